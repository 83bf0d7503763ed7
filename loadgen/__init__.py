"""Drives an exchange as its brokers would: a seeded plan, an open-loop client, honest figures.

`orderflow` is pure and also feeds the property tests; `run` puts the parts together.
"""
