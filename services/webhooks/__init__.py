"""Sends webhooks: from the outbox in PostgreSQL to brokers' URLs, at least once, in order.

Reads the outbox. Writes HTTP requests to brokers and their results into the outbox; `app` shows
them. Owns deliveries, retries and pruning (`prune`). Pure: `signature`, `schedule` (when to send),
`address` (where not to send).
"""
