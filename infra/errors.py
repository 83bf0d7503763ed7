"""Errors of local servers. Each message contains its remedy.

InfraError
├── ToolMissingError       Java or Maven is absent or too old
├── JarsUnavailableError   Maven could not fetch the broker
├── FolderBusyError        another process works on the same data directory
├── RootRefusedError       PostgreSQL cannot run here for root
└── ServerFailedError      a program did not start, or ended before it was ready
"""


class InfraError(Exception):
    """A local server cannot be had; the message is meant for the person at the terminal."""


class ToolMissingError(InfraError):
    """Java or Maven is absent or too old."""


class JarsUnavailableError(InfraError):
    """Maven ran, and did not bring the jars."""


class FolderBusyError(InfraError):
    """Two runs on one data directory would destroy it."""


class RootRefusedError(InfraError):
    """PostgreSQL does not run as root, and no other identity could be taken."""


class ServerFailedError(InfraError):
    """A server or one of its tools did not start, or failed."""
