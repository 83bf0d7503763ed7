"""The trading rules as a broker may rely on them, judged over HTTP alone, against any exchange.

Every rule trades symbols and registers brokers of its own, so runs may go on side by side, and
beside other traffic. Nothing is timed: what must become true is waited for. The docstring of a
test is the rule, the docstring of its module the chapter; the command line prints both. What an
exchange may leave out (webhooks) is asked of its OpenAPI document, and told as not offered.
"""
