"""Micro-benchmarks: each operation of the exchange alone, with its curve as the work grows.

`harness` repeats and times, `report` prints and compares with the budgets (pure), `page` draws
(pure), `registry` lists the benchmarks; each other module measures one part of the pipeline.
"""
