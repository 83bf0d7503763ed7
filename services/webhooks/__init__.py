"""The sender of webhooks: the outbox in PostgreSQL to brokers' URLs, at least once, in order.

Reads the outbox. Writes HTTP to brokers, and what came of it into the outbox; `app` shows it.
Owns deliveries, retries, and the end of both (`prune`). Pure parts: `signature`, `schedule` (when),
`address` (where not).
"""
