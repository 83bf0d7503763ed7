"""Errors of the soak benchmark."""


class DayError(Exception):
    """The run cannot continue, or would not fit; the text gives the reason."""
