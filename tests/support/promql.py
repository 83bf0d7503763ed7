"""What an expression of Prometheus names: metrics, their labels, the jobs that they are read of."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from infra.compose import COMPOSE_FILE
from services.runtime import metrics

MONITORING = COMPOSE_FILE.with_name("monitoring")
DASHBOARD = MONITORING / "grafana/dashboards/exchange.json"
ALERTS = MONITORING / "alerts.yml"

_WORDS = frozenset({"sum", "by", "rate", "histogram_quantile", "unless"})
_SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[\w+\]")
_NAME = re.compile(r"[a-z_:][a-z0-9_:]*")
# Of which kind each family is says what its samples are called.
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


class Named(Struct, frozen=True):
    """One expression, taken apart. `wanted` are the values that labels are compared with."""

    text: str
    metrics: frozenset[str]
    labels: frozenset[str]
    wanted: frozenset[tuple[str, str]]


def named(expression: str) -> Named:
    """What is left when grouping, ranges, matchers and PromQL's own words are gone is a metric.

    Raises ValueError for what only Prometheus itself understands.
    """
    wanted = frozenset(
        (label, each)
        for _, matchers in _SELECTOR.findall(expression)
        for label, values in _MATCHER.findall(matchers)
        for each in values.split("|")
    )
    groups = frozenset(
        label.strip() for found in _GROUPING.findall(expression) for label in found.split(",")
    )
    bare = _RANGE.sub("", _GROUPING.sub("", _SELECTOR.sub(r"\1 ", expression)))
    if set(bare) & set("{}[]"):
        raise ValueError(f"not understood: {expression}")
    return Named(
        expression,
        frozenset(_NAME.findall(bare)) - _WORDS,
        groups | {label for label, _ in wanted},
        wanted,
    )


def expressions() -> Iterator[Named]:
    """Of every alert and every panel."""
    rules = msgspec.yaml.decode(ALERTS.read_bytes(), type=dict[str, Any])
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield named(rule["expr"])
    for panel in msgspec.json.decode(DASHBOARD.read_bytes())["panels"]:
        for target in panel["targets"]:
            yield named(target["expr"])


def defined() -> dict[str, frozenset[str]]:
    """Every sample's name that a service can show, with its labels."""
    labels_of = {
        family.name: frozenset(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.describe()
    }
    # Prometheus adds `up`, and its client the metrics of the process.
    samples = {"up": frozenset[str]()}
    for family in REGISTRY.collect():
        labels = labels_of.get(family.name, frozenset())
        for suffix in _SUFFIXES.get(family.type, ("",)):
            samples[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return samples


def read(path: Path) -> Any:
    """A YAML file."""
    return msgspec.yaml.decode(path.read_bytes())
