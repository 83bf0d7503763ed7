"""Why a day ends early."""


class DayError(Exception):
    """The run cannot go on, or would not fit; the text says why."""
