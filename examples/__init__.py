"""Programs to read and to start from. Each says at its top what it shows; `--help` repeats it.

`tail`, `live_vwap` and `full_book` know the public topics and nothing else of this repository: they
run wherever this folder is copied to. `replay_book` uses the exchange as a library.
"""
