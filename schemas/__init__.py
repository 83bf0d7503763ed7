"""The contract of all services: messages, topics, tables, ids and units.

Pure: no clock, no I/O, and msgspec as the only third-party package. Services import this package,
never each other.
"""
