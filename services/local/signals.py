"""Signals and temporary directories of programs that run in a terminal until they are stopped."""

import logging
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from services.runtime.stop_signals import stop_signals


def quiet_kafka() -> None:
    """Silence Kafka's client, which logs attempts that it repeats; failures are raised as
    errors."""
    logger = logging.getLogger("kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt in the context on Ctrl-C, SIGTERM or a closed terminal, once.

    A second signal cannot cut the cleanup short. Under `nohup` SIGHUP stays ignored.
    """

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in former:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    former = {number: signal.getsignal(number) for number in stop_signals()}
    for number in former:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def temporary_data_dir() -> Iterator[Path]:
    """A private directory that is removed afterwards."""
    data_dir = Path(tempfile.mkdtemp(prefix="exchange-"))
    try:
        yield data_dir
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
