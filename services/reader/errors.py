"""What can go wrong while answering or starting; nothing here ends a process by itself.

ArchiveUnavailableError   PostgreSQL did not answer in time: the caller is asked to try again
ViewsNotStoredError       PostgreSQL answers, and has no views of this log: read it all
"""


class ArchiveUnavailableError(Exception):
    """The archive of closed orders gave no answer, so nothing is known of what it holds."""


class ViewsNotStoredError(Exception):
    """What PostgreSQL holds is nothing to begin from."""
