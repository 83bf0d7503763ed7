"""What can go wrong while answering; `app` turns it into an answer, nothing here ends a process.

ArchiveUnavailableError   PostgreSQL did not answer in time: the caller is asked to try again
"""


class ArchiveUnavailableError(Exception):
    """The archive of closed orders gave no answer, so nothing is known of what it holds."""
