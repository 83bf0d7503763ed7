"""`python -m benchmarks.webhooks`: from trades to their brokers, while the sender is killed.

receiver: the brokers' side, a process of its own. kills: the sender's deaths. outbox: what
should have come, from the database. figures: one held against the other (pure); result.
"""
