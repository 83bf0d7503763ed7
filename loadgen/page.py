"""The report as one HTML page that needs nothing else. Pure."""

from collections.abc import Sequence

from loadgen.fleet import Ran
from loadgen.seconds import Second
from loadgen.summary import Summary


def page(found: Summary, ran: Ran, seconds: Sequence[Second]) -> str:
    """All of it."""
    return ""
