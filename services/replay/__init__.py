"""Recomputes one partition from its command log, compares it with the recorded outcomes, dumps it.

Reads commands, executions and snapshots; writes nothing. Pure: recompute, dump.
"""
