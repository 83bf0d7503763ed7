"""Generates load as an exchange's brokers would: a seeded plan, an open-loop client, measured
figures.

`workload.orderflow` is pure and also feeds the property tests; `run` combines the parts.
"""
