"""The contract: every message that travels, the topics it travels on, what ids and units mean.

Pure: no clock, no I/O, no third party but msgspec. Services import this, and never each other.
"""
