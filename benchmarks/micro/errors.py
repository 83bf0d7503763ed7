"""Errors of the micro-benchmarks."""


class BenchError(Exception):
    """A benchmark cannot be measured, or did not do what it measures; the text gives the reason."""
