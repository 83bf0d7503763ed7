"""`python -m tests TARGET`: a selection of the tests in processes side by side.

Each process has its own servers. Their lines appear as they come, with the number of the process.
What failed is repeated at the end.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from infra.kafka_jars import default_cache_dir
from tests.selection import TARGETS, Target
from tests.support.sizes import VARIABLE

ROOT = Path(__file__).parents[1]
# Of pytest: nothing collected, which a shard of a narrow selection may have.
NO_TESTS = 5
EXIT_INTERRUPTED = 130
# Of pytest's report: the name of a failed test, the lines that say why, and the summary.
FAILURE = re.compile(r"_{3,} .* _{3,}$|E  |(FAILED|ERROR) \S+\.py")
MOST_REPEATED_LINES = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """The first exit code of a process that is not 0, or 0."""
    parser = argparse.ArgumentParser(
        prog="python -m tests",
        description="Runs a selection of the tests. Other options go to pytest.",
        epilog=f"{VARIABLE}=small or full overrides the size of the target.",
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--shards", type=int, help="number of processes side by side")
    options, more = parser.parse_known_args(arguments)
    target = TARGETS[options.target]
    shards = options.shards or target.shards
    began = time.monotonic()
    if target.servers:
        _make_aot_cache()
    codes = _run(options.target, target, shards, more)
    sys.stdout.write(f"tests: {options.target} took {time.monotonic() - began:.0f} s\n")
    return next((code for code in codes if code not in (0, NO_TESTS)), 0)


def _make_aot_cache() -> None:
    """Once for each clone: a run starts many brokers, in half the time each with the cache."""
    command = [sys.executable, "-m", "infra.aot_training", str(default_cache_dir())]
    # Without a cache, and its output says why, brokers only start more slowly.
    subprocess.run(command, cwd=ROOT, check=False)


def _run(name: str, target: Target, shards: int, more: Sequence[str]) -> list[int]:
    environment = {VARIABLE: target.size, **os.environ}
    # Without compiled modules on disk, every program that a test starts compiles the project again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    running: list[subprocess.Popen[str]] = []
    for number in range(1, shards + 1):
        command = [sys.executable, "-u", "-m", "pytest", "-p", "no:cacheprovider"]
        if not target.servers:
            # Only the generated requests use it, and importing it takes half a second.
            command += ["-p", "no:schemathesis"]
        command += ["--target", name, "--shard", f"{number}/{shards}", *more, *target.paths]
        running.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        )
    # Ctrl-C reaches every process of the terminal: each ends its servers, and is waited for here.
    former = signal.signal(signal.SIGINT, lambda *_: None)
    failures: list[list[str]] = [[] for _ in running]
    printers = [
        threading.Thread(target=print_lines, args=(number, process, found))
        for number, (process, found) in enumerate(zip(running, failures, strict=True), 1)
    ]
    try:
        for printer in printers:
            printer.start()
        for printer in printers:
            printer.join()
        codes = [process.wait() for process in running]
    finally:
        signal.signal(signal.SIGINT, former)
    # Another process may have printed hundreds of lines since, and some logs keep the end only.
    for found in failures:
        sys.stdout.writelines(found[-MOST_REPEATED_LINES:])
    return [EXIT_INTERRUPTED if code < 0 else code for code in codes]


def print_lines(number: int, process: subprocess.Popen[str], failures: list[str]) -> None:
    """Prints the output of `process` as it comes; lines that tell of failures go to `failures`."""
    assert process.stdout is not None
    for line in process.stdout:
        numbered = f"{number}| {line}"
        sys.stdout.write(numbered)
        sys.stdout.flush()
        if FAILURE.match(line):
            failures.append(numbered)


if __name__ == "__main__":
    sys.exit(main())
