"""Example programs to read and to start from. Each module docstring is also its `--help` text.

`tail`, `live_vwap` and `full_book` use only the public topics and nothing else of this repository:
they run wherever this folder is copied to. `replay_book` uses the exchange as a library.
"""
