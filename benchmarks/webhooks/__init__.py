"""`python -m benchmarks.webhooks`: webhook latency and losses while the sender is killed.

receiver: the brokers' side, a separate process. kills: kills of the sender. outbox: the expected
webhooks, from the database. figures: comparison of both (pure). result: the report.
"""
