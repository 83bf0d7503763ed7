"""`python -m tests.simulation`: many scenarios of the matcher's protocol, without Kafka.

Exit code 0: all scenarios pass; 1: some fail, their seeds are printed; 2: usage; 130: interrupted.
"""

import argparse
import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.scenario import Scenario

# Scenarios in one task of the process pool.
BLOCK = 250
PROGRESS_INTERVAL_S = 5.0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def failures(first: int, count: int) -> list[str]:
    """The failures of the scenarios with these seeds, one line each."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    found = []
    try:
        for seed in range(first, first + count):
            try:
                Scenario(seed).run()
            except Exception as error:
                found.append(f"seed {seed}: {type(error).__name__}: {error}")
    finally:
        # Later tests of the same process read log lines.
        logging.disable(disabled)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--scenarios", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="seed of the first scenario; default: random")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.scenarios < 1 or options.workers < 1:
        parser.error("scenarios and workers must be at least 1")
    drawn = random.SystemRandom().randrange(1 << 31)
    seed = drawn if options.seed is None else options.seed
    print(f"seeds {seed} to {seed + options.scenarios - 1}", flush=True)
    try:
        return _run(seed, options.scenarios, options.workers)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(seed: int, scenarios: int, workers: int) -> int:
    started = reported = time.monotonic()
    done, failed = 0, 0
    with ProcessPoolExecutor(workers) as pool:
        blocks = list(_blocks(seed, scenarios))
        firsts, counts = zip(*blocks, strict=True)
        for (_, count), found in zip(blocks, pool.map(failures, firsts, counts), strict=True):
            done += count
            failed += len(found)
            for line in found:
                print(line, flush=True)
            if time.monotonic() - reported >= PROGRESS_INTERVAL_S:
                reported = time.monotonic()
                rate = done / (reported - started)
                left_s = (scenarios - done) / rate
                print(f"{done:,} of {scenarios:,}, {rate:,.0f}/s, {left_s:,.0f} s left", flush=True)
    seconds = time.monotonic() - started
    print(f"{done:,} scenarios in {seconds:,.1f} s, {failed} failed")
    return EXIT_FAILED if failed else 0


def _blocks(seed: int, scenarios: int) -> Iterator[tuple[int, int]]:
    for start in itertools.takewhile(lambda n: n < scenarios, itertools.count(0, BLOCK)):
        yield seed + start, min(BLOCK, scenarios - start)


if __name__ == "__main__":
    sys.exit(main())
