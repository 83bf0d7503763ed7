"""One public port: ingest's, reader's and webhooks' calls, over one consumer of the log.

Reads and writes what they do. Owns nothing. Pure part: none, it only joins.
"""
