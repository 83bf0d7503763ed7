"""Authentication errors of PostgreSQL, which differ from an outage: waiting does not help."""

import psycopg
from psycopg.errors import InsufficientPrivilege

from services.runtime.errors import AccessError

# For a failed connection the client library keeps no error code, only the text.
_NOT_LET_IN = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied for database",
    "is not permitted to log in",
)


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
