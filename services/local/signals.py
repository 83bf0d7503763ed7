"""For what runs in a terminal until told to stop: signals that unwind, a directory for once."""

import logging
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


def quiet_kafka() -> None:
    """Kafka's client tells of attempts that it repeats by itself; what fails comes as an error."""
    logger = logging.getLogger("kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C or SIGTERM unwinds what is inside by a KeyboardInterrupt, once.

    A second one cannot cut the end short.
    """

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def temporary_data_dir() -> Iterator[Path]:
    """A directory that is gone afterwards. PostgreSQL may run as another user: it must get in."""
    data_dir = Path(tempfile.mkdtemp(prefix="exchange-"))
    try:
        data_dir.chmod(0o755)
        yield data_dir
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
