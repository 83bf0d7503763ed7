"""How PostgreSQL refuses a user: not like a server that is away, since waiting does not help."""

import psycopg
from psycopg.errors import InsufficientPrivilege

from services.runtime.errors import AccessError

# Of a connection that does not come about the client library keeps no code, only the text.
_NOT_LET_IN = (
    "authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied for database",
    "is not permitted to log in",
)


def raise_if_auth_error(error: BaseException) -> None:
    """Raises AccessError if that is what the error means; else does nothing."""
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
