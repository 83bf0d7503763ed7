"""Why a command of the operator ends early.

ExchangeError (services.runtime.errors: 2 settings, 3 a server or the topics, 4-6 a service,
                                         12 access)
|-- BusyError     9  the port or the data directory belongs to another program
|-- GaveUpError  10  a service or a server dies again and again: its log file says why
+-- RefusedError 11  the command would do harm and did nothing
"""

from services.runtime.errors import ExchangeError


class BusyError(ExchangeError):
    """What this run needs is in use."""

    exit_code = 9


class GaveUpError(ExchangeError):
    """Restarting does not help."""

    exit_code = 10


class RefusedError(ExchangeError):
    """Nothing was changed."""

    exit_code = 11
