"""The exchange compared with three simpler designs: one machine, one generator, one run, one table.

`systems` starts and kills them, `measure` runs the generator, `losses` counts orders lost by a
kill, `results` stores the figures, `table` and `chart` (pure) present them.
"""
