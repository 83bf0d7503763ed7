"""PostgreSQL errors: those that a retry can resolve, and how each is reported."""

import psycopg
import pytest
from psycopg import errors

from services.runtime.errors import AccessError
from services.runtime.postgres.errors import outage, raise_if_auth_error, waitable

PASSING = [
    psycopg.OperationalError("connection to server failed: Connection refused"),
    psycopg.InterfaceError("the connection is lost"),
    errors.AdminShutdown("terminating connection due to administrator command"),
    errors.CannotConnectNow("the database system is starting up"),
    errors.QueryCanceled("canceling statement due to statement timeout"),
    errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
    errors.DiskFull("could not extend file"),
    errors.TooManyConnections("sorry, too many clients already"),
    errors.OutOfMemory("out of memory"),
    errors.IoError("could not read block 3"),
    errors.SerializationFailure("could not serialize access"),
    errors.DeadlockDetected("deadlock detected"),
    errors.LockNotAvailable("could not obtain lock"),
    errors.IdleInTransactionSessionTimeout("terminating connection due to idle transaction"),
    errors.ProtocolViolation("unsupported startup parameter: options"),
]
LASTING = [
    psycopg.ProgrammingError("invalid connection option"),
    errors.UndefinedTable('relation "orders" does not exist'),
    errors.UniqueViolation("duplicate key value"),
    errors.CheckViolation("violates check constraint"),
    errors.NumericValueOutOfRange("integer out of range"),
    errors.SyntaxError("syntax error"),
    errors.InsufficientPrivilege("permission denied for table orders"),
    ValueError("not of PostgreSQL"),
]


def by_class(error: BaseException) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", PASSING, ids=by_class)
def test_temporary_error_is_retried(error: BaseException) -> None:
    assert waitable(error)
    raise_if_auth_error(error)


@pytest.mark.parametrize("error", LASTING, ids=by_class)
def test_permanent_error_is_not_retried(error: BaseException) -> None:
    assert not waitable(error)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            errors.QueryCanceled("canceling statement due to statement timeout\nCONTEXT: SQL"),
            "PostgreSQL cancelled a statement: canceling statement due to statement timeout",
        ),
        (
            errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
            "PostgreSQL is read-only: cannot execute INSERT in a read-only transaction",
        ),
        (
            errors.DiskFull("could not extend file"),
            "PostgreSQL lacks resources: could not extend file",
        ),
        (psycopg.OperationalError(""), "PostgreSQL is away: OperationalError"),
        (psycopg.OperationalError("one\n\ttwo\n"), "PostgreSQL is away: one"),
        (psycopg.OperationalError("All failures were:\n- a\n- b"), "PostgreSQL is away: - b"),
    ],
)
def test_log_line_has_the_meaning_of_the_error(error: psycopg.Error, line: str) -> None:
    assert outage(error) == line


@pytest.mark.parametrize(
    "error",
    [
        errors.InsufficientPrivilege("permission denied for table orders"),
        psycopg.OperationalError('FATAL: password authentication failed for user "sink"'),
    ],
    ids=by_class,
)
def test_refused_user_ends_the_program(error: psycopg.Error) -> None:
    with pytest.raises(AccessError):
        raise_if_auth_error(error)
