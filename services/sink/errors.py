"""Errors of the sink.

ExchangeError (services.runtime.errors)
|-- MigrationError        7  the tables are not those of this version: migrate, or use the other
+-- ForeignDatabaseError  8  the database holds another exchange, or a later state of this one
OvertakenError               another sink stored this batch: `loop` re-reads the positions
"""

from services.runtime.errors import ExchangeError


class MigrationError(ExchangeError):
    """The database's tables and this version's migrations do not match."""

    exit_code = 7


class ForeignDatabaseError(ExchangeError):
    """The database was filled from another log; writing would mix two exchanges."""

    exit_code = 8


class OvertakenError(Exception):
    """Another sink has moved the stored position; nothing was written."""
