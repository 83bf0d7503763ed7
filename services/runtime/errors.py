"""Errors that end a process. Each class has one exit code; only `lifecycle` and the `exchange`
command catch them.

ExchangeError
|-- SettingsError       2  a setting is missing, bad or unknown: correct it
|-- UnavailableError    3  Kafka or PostgreSQL did not answer in time: start it first
|-- TopicsError         3  the topics are not what this version needs: `exchange topics apply`
|-- SupersededError     4  a newer matcher owns the partition: nothing to do
|-- DeliveryError       5  a record may not have reached the log: restart is the recovery
|   +-- LostTailError   5  a record that was read has left the log: restart is the recovery
|-- BrokenLogError      6  the log contradicts itself: a bug or foreign writer, no restart helps
|-- BusyError           9  the port or the data directory belongs to another program
|-- GaveUpError        10  a service or server fails repeatedly: its log file says why
|-- RefusedError       11  the command would do harm and changed nothing
|-- AccessError        12  Kafka or PostgreSQL refuses this user: correct password or rights
+-- ClockAheadError    13  a command's timestamp is far ahead of this machine: correct the clocks
"""


class ExchangeError(Exception):
    """The process cannot continue; `exit_code` gives the supervisor the reason."""

    exit_code = 1


class SettingsError(ExchangeError):
    """A setting is missing, bad or unknown."""

    exit_code = 2


class UnavailableError(ExchangeError):
    """A server that this process needs did not answer in time."""

    exit_code = 3


class TopicsError(ExchangeError):
    """The topics are missing or have another shape than this version needs."""

    exit_code = 3


class SupersededError(ExchangeError):
    """A newer claim owns the partition."""

    exit_code = 4


class DeliveryError(ExchangeError):
    """A record may not have reached the log."""

    exit_code = 5


class LostTailError(DeliveryError):
    """Records that were read are no longer in the log: a power cut took them."""


class BrokenLogError(ExchangeError):
    """The log contradicts itself."""

    exit_code = 6


class BusyError(ExchangeError):
    """The port or the data directory is in use."""

    exit_code = 9


class GaveUpError(ExchangeError):
    """A process fails repeatedly, and restarting it does not help."""

    exit_code = 10


class RefusedError(ExchangeError):
    """The command was refused, and nothing was changed."""

    exit_code = 11


class AccessError(ExchangeError):
    """A server refuses this user, or forbids a necessary operation."""

    exit_code = 12


class ClockAheadError(ExchangeError):
    """A command has a timestamp far ahead of this machine's clock; its outcome is not published."""

    exit_code = 13
