"""Errors while answering or starting; none of them ends the process.

OrderStateUnknownError        it is unknown now whether there is such an order: try again
├── ArchiveUnavailableError   PostgreSQL did not answer in time
└── ViewBehindError           the log holds commands that the views have not applied yet
ViewsNotStoredError           PostgreSQL answers, and has no views of this log: read the whole log
"""


class OrderStateUnknownError(Exception):
    """It is unknown now whether there is such an order."""


class ArchiveUnavailableError(OrderStateUnknownError):
    """The archive of closed orders gave no answer."""


class ViewBehindError(OrderStateUnknownError):
    """The command log holds commands without an outcome; the order may be among them."""


class ViewsNotStoredError(Exception):
    """PostgreSQL holds no usable starting state."""
