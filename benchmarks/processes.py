"""The processes of a local exchange from outside: their ids and metrics, and further ones."""

import os
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct, structs
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Metric

from infra.ports import LOOPBACK, free_port
from infra.process import ChildProcess
from services.local.child_environment import environment
from services.local.exchange import READY_TIMEOUT_S, STOP_GRACE_S, LocalExchange
from services.runtime.errors import UnavailableError
from services.runtime.readiness import DIRECT, wait_ready

# A process under load answers late; its last known figures remain in use meanwhile.
ANSWER_TIMEOUT_S: Final = 5.0
POSTGRES: Final = "postgres"


def pids(stack: LocalExchange) -> dict[str, int]:
    """Every process of the exchange and of the servers that it started, by name."""
    found = {name: child.pid for name, child in stack.services.items()}
    for name, server in (("kafka", stack.servers.kafka), (POSTGRES, stack.servers.postgres)):
        if server is not None:
            found[name] = server.process.pid
    return found


class OneMore(Struct, frozen=True):
    """A further process; `url` serves its API, or for other services its probes."""

    url: str
    process: ChildProcess

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


@contextmanager
def one_more(stack: LocalExchange, role: str, name: str, *arguments: str) -> Iterator[OneMore]:
    """Run one more process of a service, ready at the start of the context.

    Raises UnavailableError if it does not become ready.
    """
    port, probe = free_port(), free_port()
    settings = structs.replace(stack.settings_of(role), port=port)
    process = ChildProcess(
        [sys.executable, "-m", f"services.{role}", *arguments],
        log_file=stack.log_dir / f"{name}.log",
        env=environment(os.environ, settings, {"EXCHANGE_METRICS_PORT": str(probe)}),
        cwd=stack.data_dir,
    )
    process.start()
    try:
        url = f"http://{LOOPBACK}:{port if role == 'gateway' else probe}"
        reason = wait_ready(url, READY_TIMEOUT_S, ended=lambda: not process.alive)
        if reason is not None:
            raise UnavailableError(f"{name} is not ready: {reason}; its log is {process.log_file}")
        yield OneMore(url, process)
    finally:
        process.stop(grace_s=STOP_GRACE_S)


def metrics(stack: LocalExchange, name: str) -> list[Metric]:
    """A service's current metrics; empty when it does not answer."""
    port = stack.probes.get(name)
    return metrics_at(stack.url if port is None else f"http://127.0.0.1:{port}")


def metrics_at(base: str) -> list[Metric]:
    """Current metrics of the service at this address; empty when it does not answer."""
    try:
        with DIRECT.open(f"{base}/metrics", timeout=ANSWER_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return []
    return [metric for family in text_string_to_metric_families(text) for metric in family.samples]


def total(found: list[Metric], name: str) -> int | None:
    """The sum over all labels; None when the service does not report the metric."""
    values = [metric.value for metric in found if metric.name == name]
    return int(sum(values)) if values else None
