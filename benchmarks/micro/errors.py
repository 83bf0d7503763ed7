"""Why a benchmark has no figure."""


class BenchError(Exception):
    """This one cannot be measured, or did not do what it measures; the text says why."""
