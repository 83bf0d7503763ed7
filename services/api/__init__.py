"""HTTP for every service that answers brokers: protocol, routing, keys, rate limits, problems.

Services pass a table of calls. This package knows brokers and the form of errors, but no order
book: each service has the meaning of its calls.
"""
