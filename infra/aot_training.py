"""Makes the broker's AOT cache: `python -m infra.aot_training CACHE_DIR [--when-idle]`.

A training run is a broker of its own, on free ports of the loopback interface and in a temporary
folder, under load. Then a second JVM turns what the broker recorded into the cache. A process that
is ended at any point leaves no JVM; a folder that it leaves is removed by the next one.
"""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no annotations

from infra.aot_cache import TRAINED, cache_file, fault, remove_others, room_mib
from infra.aot_workload import exercise
from infra.broker import LocalKafka
from infra.errors import InfraError
from infra.java import find_java
from infra.jvm import FLAGS, Jvm
from infra.kafka_jars import fetch_jars
from infra.process import run_tool

# On an idle machine it takes 30 s; beyond the limit the machine has no time to spare.
TIME_LIMIT_S = 300
# The cache takes 80 MiB, its recording and the log of the run 150.
ROOM_MIB_MIN = 512
WORKLOAD_S = 12.0
# The JVM writes its recording after the broker has stopped.
STOP_GRACE_S = 120.0
# An exchange that has just started is settled, and first callers are served, before the first look.
SETTLING_S = 30.0
IDLE_INTERVAL_S = 10.0
# Share of all cores. A training run takes one core, and has the lowest priority there.
BUSY_PERCENT_MAX = 40.0
_PREFIX = "training-"


def wanted(jvm: Jvm) -> Path | None:
    """The file of the cache that is still to be made; None if there is one, or none is possible."""
    file = cache_file(jvm)
    if file is None or (file.exists() and fault(file) is None):
        return None
    return file


def train(cache_dir: Path) -> str:
    """Make the cache unless it is there; return one line for the operator about what was done.

    Raises InfraError, OSError.
    """
    # A link to the folder leads to the same jars, and so to the same cache.
    cache_dir = cache_dir.resolve()
    jvm = Jvm(find_java(), fetch_jars(cache_dir), FLAGS[TRAINED])
    file = wanted(jvm)
    if file is None:
        return "no cache is to be made"
    with _only_one(file.parent) as first:
        if not first:
            return "another process is making the cache"
        if wanted(jvm) is None:
            return "another process has made the cache"
        if room_mib(file.parent) < ROOM_MIB_MIN:
            return f"no cache: {file.parent} has less than {ROOM_MIB_MIN} MiB left"
        _remove_abandoned(file.parent)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=_PREFIX) as folder:
            made = _assemble(jvm, _record(jvm, Path(folder)))
            made.chmod(0o600)
            # A file of the final name is complete.
            made.replace(file)
        remove_others(cache_dir, file)
    return f"made {file} ({file.stat().st_size // 2**20} MiB)"


def _record(jvm: Jvm, folder: Path) -> Path:
    """Run a broker under load; returns the record of its classes and profiles."""
    recorded = folder / "recorded"
    recording = jvm.with_flags("-XX:AOTMode=record", f"-XX:AOTConfiguration={recorded}")
    kafka = LocalKafka(folder / "kafka", jvm=recording)
    try:
        kafka.start()
        exercise(kafka.bootstrap_servers, WORKLOAD_S)
        kafka.process.stop(grace_s=STOP_GRACE_S)
    finally:
        # The orderly stop of a run that was given up would write the record first.
        kafka.kill()
    return recorded


def _assemble(jvm: Jvm, recorded: Path) -> Path:
    made = recorded.with_name("made.aot")
    flags = ("-XX:AOTMode=create", f"-XX:AOTConfiguration={recorded}", f"-XX:AOTCache={made}")
    run_tool(jvm.with_flags(*flags).command("kafka.Kafka", []), cwd=recorded.parent)
    return made


@contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    """False if another process holds the lock; the kernel frees that of a process that died."""
    with (folder / "training.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*/"):
        shutil.rmtree(left, ignore_errors=True)


def _wait_until_idle() -> None:
    """Return when the machine has been idle for a while."""
    psutil.cpu_percent(SETTLING_S)
    while psutil.cpu_percent(IDLE_INTERVAL_S) > BUSY_PERCENT_MAX:
        pass


def _give_up(number: int, _: object) -> None:
    # Raised in the main thread, so that every context is left: broker, folder, lock.
    sys.exit(f"no cache: ended by {signal.Signals(number).name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0: there is a cache, or none can be used; 1: none was made."""
    parser = argparse.ArgumentParser(prog="python -m infra.aot_training", description=__doc__)
    parser.add_argument("cache_dir", type=Path)
    parser.add_argument("--when-idle", action="store_true")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _give_up)
    signal.signal(signal.SIGALRM, _give_up)
    try:
        if options.when_idle:
            # Its JVMs inherit this: they run only while no other process has work.
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            _wait_until_idle()
        signal.alarm(TIME_LIMIT_S)
        print(train(options.cache_dir), flush=True)
    except (InfraError, OSError) as error:
        print(f"no cache: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
