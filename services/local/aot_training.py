"""The making of Kafka's AOT cache while `exchange run` serves: a process that waits until the
machine is idle, and ends with the exchange at the latest."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.aot_training import wanted
from infra.environment import server_environment
from infra.process import ChildProcess
from services.local.child_environment import ROOT
from services.local.exchange import LocalExchange

# Enough to end its JVMs and to remove its folder; a folder that is left is removed by the next.
STOP_GRACE_S = 10.0


@contextmanager
def aot_training(stack: LocalExchange, report: Callable[[str], None]) -> Iterator[None]:
    """Make the cache in the background of this context, unless there is one or it is not wanted."""
    kafka = stack.servers.kafka
    file = wanted(kafka.jvm()) if kafka is not None and kafka.uses_aot_cache else None
    if kafka is None or file is None:
        yield
        return
    log_file = stack.log_dir / "aot-training.log"
    training = ChildProcess(
        [sys.executable, "-m", "infra.aot_training", str(kafka.cache_dir), "--when-idle"],
        log_file=log_file,
        env=server_environment(os.environ) | {"PYTHONPATH": str(ROOT)},
        cwd=stack.data_dir,
    )
    training.start()
    report(
        "making a cache for faster starts of Kafka once this machine is idle "
        f"(EXCHANGE_AOT_CACHE=off: never); log: {log_file}"
    )
    try:
        yield
    finally:
        training.stop(grace_s=STOP_GRACE_S)
