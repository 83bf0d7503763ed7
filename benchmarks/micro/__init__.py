"""Micro-benchmarks: each single operation of the exchange, with its curve as the work grows.

`harness` repeats and times, `report` tells and judges (pure), `page` draws (pure), `registry`
lists; the other modules each measure one part of the pipeline.
"""
