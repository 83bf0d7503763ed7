"""One public port for the calls of ingest, reader and webhooks, with one consumer of the topics.

Reads and writes what these do. Owns nothing.
"""
