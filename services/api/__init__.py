"""HTTP for every service that answers brokers: protocol, routing, keys, rate limits, problems.

Services give it a table of calls; it does the rest. It knows brokers and the shape of errors, and
no order book: what a call means stays with its service.
"""
