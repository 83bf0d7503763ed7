"""Observes the processes of a local exchange from outside: process ids and metrics."""

import urllib.error
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Metric

from services.local.exchange import LocalExchange
from services.runtime.readiness import DIRECT

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
