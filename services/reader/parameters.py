"""Parameters that several queries share, as FastAPI reads and documents them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.api.messages import ProblemError, not_accepted
from services.api.query import TICKER, Count
from services.reader.hot_parameters import PAGE_DEFAULT, PAGE_MAX

# Entries that one page may read to find those of a filter that no index has: some milliseconds.
SCAN_MAX = 1_000
# The second answer of PostgreSQL has what left memory during the first.
ATTEMPTS = 2
NOT_A_CURSOR = "must be the next_cursor of an answer"


class PageQuery(BaseModel):
    """The parameters of every list; each list adds its `cursor`."""

    limit: Annotated[int, Count(PAGE_MAX), Field(description="Most entries in an answer")] = (
        PAGE_DEFAULT
    )


class OwnQuery(PageQuery):
    """The parameters of lists of a broker's own entries."""

    symbol: Annotated[
        Annotated[str, TICKER] | None, Field(description="Only entries of this symbol")
    ] = None
    sort: Annotated[
        Literal["newest", "oldest"], Field(description="The entries that come first")
    ] = "newest"

    def scan(self, *, filtered: bool) -> int:
        """The most entries that the page reads; `filtered`: by a field that no index has."""
        return SCAN_MAX if filtered else self.limit + 1


def unreadable() -> ProblemError:
    """503: the list needs PostgreSQL, which does not answer or has lost records."""
    return not_accepted("the list cannot be read now; try again")
