"""Remedies by exit code of a service, for the operator of `exchange run`. Pure."""

import signal

import psycopg

from services.runtime.errors import ExchangeError

REMEDIES = {
    1: "read its service log",
    2: "correct the setting that its service log names",
    3: "start or repair the server or topics that its service log names",
    4: "none: another process has taken its place",
    5: "none: a restart recovers",
    6: "the topics or tables contradict themselves; run: exchange audit",
    7: "run: python -m services.sink --migrate; if the tables are newer, run their version",
    8: "give this exchange an empty database: EXCHANGE_DATABASE_URL, or remove the directory "
    "`postgres` in the data directory; the tables are filled again from the topics",
    9: "stop the other program on its port, or restart the exchange",
    10: "read its service log",
    11: "read its service log",
    12: "correct its user on Kafka or PostgreSQL; run: exchange access apply",
    13: "correct the clock of Kafka's machine or of this one; see docs/operating.md, Clocks",
}


def ended(exit_code: int | None, log: str) -> str:
    """A death in words: exit code or signal, remedy, and where the service log is."""
    if exit_code is None:
        return f"did not start; remedy: read its service log ({log})"
    if exit_code < 0:
        return f"was ended by {_signal_name(-exit_code)}; its service log is {log}"
    remedy = REMEDIES.get(exit_code, REMEDIES[1])
    return f"ended with exit code {exit_code}; remedy: {remedy} ({log})"


def start_failure(error: BaseException) -> str:
    """A failed start in one line, with its remedy."""
    if isinstance(error, psycopg.Error):
        # The text of such an error may contain the database URL and is left out.
        reason = error.diag.message_primary or type(error).__name__
        return f"does not start: {reason}; remedy: read the log of PostgreSQL"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, ExchangeError):
        reason += f"; remedy: {REMEDIES.get(error.exit_code, REMEDIES[1])}"
    # The message of an error of local servers contains its remedy.
    return f"does not start: {reason}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
