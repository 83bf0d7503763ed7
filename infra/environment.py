"""Environment of local servers: the caller's, without variables that are not meant for them."""

import os
import re
from collections.abc import Mapping
from typing import Final

# Read by libpq in this process too: they are meant for another server than the local one.
_POSTGRES: Final = re.compile(r"PG[A-Z]+")
# EXCHANGE_ADMIN_KEY and passwords; a server needs no setting of the exchange.
_SETTINGS: Final = "EXCHANGE_"
# Both read paths in the encoding of the locale; with that of the caller, `C` for example, a data
# directory with accents is not found.
_LOCALE: Final = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def server_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The whole environment for a server or its tools."""
    kept = {
        name: text
        for name, text in base.items()
        if not (name.startswith((_SETTINGS, "LC_")) or _POSTGRES.fullmatch(name))
    }
    return kept | _LOCALE


def without_postgres_variables(base: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that uses no PostgreSQL; PGPASSWORD is a secret."""
    return {name: text for name, text in base.items() if not _POSTGRES.fullmatch(name)}


def forget_postgres_variables() -> None:
    """Remove libpq's variables from this process, which uses a local server from now on."""
    for name in [name for name in os.environ if _POSTGRES.fullmatch(name)]:
        del os.environ[name]
