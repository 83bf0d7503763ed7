"""The cost model: CPU and memory of each process under load, and what larger markets would need.

Run: `python -m benchmarks.cost --help`. Needs: what `make run` needs, and a machine without other
work. Publishes: the cost tables of `docs/performance.md`.
"""
