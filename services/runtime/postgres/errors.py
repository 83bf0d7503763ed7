"""Meaning of PostgreSQL's errors: wait and connect again, or end because waiting does not help.

One rule for all programs, at their start and later: `raise_if_auth_error`, then `waitable`.
"""

import psycopg
from psycopg.errors import InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction

from services.runtime.errors import AccessError

# For a failed connection the client library keeps no error code, only the text.
_NOT_LET_IN = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied for database",
    "is not permitted to log in",
)
# Classes of SQLSTATE: connection lost, conflict with another transaction, out of disk, memory or
# connections, shut down or cancelled by an operator or a time limit, error of the disk.
_WAIT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
# Database set to read-only; idle or long transaction ended by a time limit; lock not available;
# object in use.
_WAIT_STATES = frozenset({"25006", "25P03", "25P04", "55P03", "55006"})


def waitable(error: BaseException) -> bool:
    """True if the error can pass by itself: connect again after a pause."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        # A connection that failed or was lost has no code.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in _WAIT_CLASSES or state in _WAIT_STATES


def line_of(error: BaseException) -> str:
    """The error in one line: the first one, which later ones only explain."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    # A URL with several hosts: a title, and a line for each of them.
    return lines[-1 if lines[0].endswith(":") else 0]


def outage(error: BaseException) -> str:
    """One log line that explains an error after which waiting helps."""
    match error:
        case QueryCanceled():
            return f"PostgreSQL cancelled a statement: {line_of(error)}"
        case ReadOnlySqlTransaction():
            return f"PostgreSQL is read-only: {line_of(error)}"
        case psycopg.Error(sqlstate=str() as state) if state[:2] == "53":
            return f"PostgreSQL lacks resources: {line_of(error)}"
        case _:
            return f"PostgreSQL is away: {line_of(error)}"


def raise_if_auth_error(error: BaseException) -> None:
    """Raise AccessError if the error means a refused user; else do nothing."""
    if not isinstance(error, psycopg.Error):
        return
    text = str(error)
    if isinstance(error, InsufficientPrivilege):
        raise AccessError(
            f"PostgreSQL forbids: {text.splitlines()[0]}; see: exchange access show"
        ) from error
    if any(mark in text for mark in _NOT_LET_IN):
        reason = text.strip().splitlines()[-1]
        raise AccessError(
            f"PostgreSQL does not let us in: {reason}; correct EXCHANGE_DATABASE_URL"
        ) from error
