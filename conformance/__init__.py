"""Conformance suite: the trading rules over HTTP alone, for any exchange.

Each rule trades its own symbols and registers its own brokers, so several runs may share one
exchange with each other and with other traffic. No rule measures time: a test polls until the
expected state appears. The docstring of a test is the rule and the docstring of its module the
chapter; `python -m conformance` prints both. Webhooks are optional: where the exchange's OpenAPI
document has no such calls, their rules are reported as not offered.
"""
