"""Errors while answering or starting; none of them ends the process.

OrderStateUnknownError        it is unknown now whether there is such an order: try again
├── ArchiveUnavailableError   PostgreSQL did not answer in time
├── ArchiveBehindError        PostgreSQL lacks orders that it had before
└── ViewBehindError           the log holds commands that the views have not applied yet
ViewsNotStoredError           PostgreSQL has no views of this log: the whole log is read
"""


class OrderStateUnknownError(Exception):
    """It cannot be decided now whether the order exists."""


class ArchiveUnavailableError(OrderStateUnknownError):
    """The archive of closed orders gave no answer."""


class ArchiveBehindError(OrderStateUnknownError):
    """The archive lacks outcomes that it had before: it went back in time."""


class ViewBehindError(OrderStateUnknownError):
    """The command log holds commands without an outcome; the order may be among them."""


class ViewsNotStoredError(Exception):
    """PostgreSQL holds no usable starting state."""
