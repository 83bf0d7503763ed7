"""One public port: ingest's and reader's calls side by side, over one consumer of the log.

Reads and writes what its two halves do. Owns nothing. Pure part: none, it only joins.
"""
