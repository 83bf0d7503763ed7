"""What can go wrong while answering or starting; nothing here ends a process by itself.

UndecidedError                nobody can tell now whether there is such an order: try again
├── ArchiveUnavailableError   PostgreSQL did not answer in time
└── NotFoldedError            the log holds commands that the views have not folded yet
ViewsNotStoredError           PostgreSQL answers, and has no views of this log: read it all
"""


class OrderStateUnknownError(Exception):
    """Whether there is such an order cannot be told now."""


class ArchiveUnavailableError(OrderStateUnknownError):
    """The archive of closed orders gave no answer, so nothing is known of what it holds."""


class ViewBehindError(OrderStateUnknownError):
    """The matcher has not told yet what became of the commands among which the order may be."""


class ViewsNotStoredError(Exception):
    """What PostgreSQL holds is nothing to begin from."""
