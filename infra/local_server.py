"""Base of the local servers: a process, a locked data directory, and faults for tests."""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from infra.errors import ServerFailedError
from infra.folder_lock import FolderLock
from infra.process import ChildProcess

# Longer than Kafka or PostgreSQL takes to write its buffers.
STOP_GRACE_S = 20.0
# Starts of a server whose port was taken by another program; each is on another port.
PORT_ATTEMPTS = 3


class LocalServer(ABC):
    """One server. Subclasses implement `start`."""

    name: ClassVar[str]
    stop_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self._lock = FolderLock(self.data_dir)
        self._process: ChildProcess | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it, also again after `stop` or `kill`, and return when it answers."""

    @property
    def process(self) -> ChildProcess:
        if self._process is None:
            raise ServerFailedError(f"{self.name} was never started")
        return self._process

    @property
    def launched(self) -> bool:
        """True once its program was started, however that ended."""
        return self._process is not None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    def stop(self) -> None:
        """The orderly end: everything acknowledged is on disk."""
        if self._process is not None:
            self._process.stop(self.stop_signal, STOP_GRACE_S)
        self._lock.release()

    def kill(self) -> None:
        """kill -9 of the server and all its processes: the page cache survives, they do not."""
        if self._process is not None:
            self._process.kill()
        self._lock.release()

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def tail_of_log(self, lines: int = 20) -> str:
        return self.process.tail_of_log(lines)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
