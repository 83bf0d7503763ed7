"""The exchange beside three simpler designs: one machine, one generator, one run, one table.

`systems` start and strike, `measure` asks the generator, `losses` counts what a kill took,
`results` keeps it all, `table` and `chart` (pure) tell it.
"""
