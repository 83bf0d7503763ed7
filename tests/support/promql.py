"""Metrics and labels in the PromQL expressions of alerts and dashboard, and those exported."""

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

_WORDS = frozenset(
    {"sum", "max", "by", "rate", "histogram_quantile", "unless", "predict_linear", "deriv"}
)
_SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[\w+\]")
_NAME = re.compile(r"[a-z_:][a-z0-9_:]*")
# Suffixes of the samples' names by kind of metric.
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


class Expression(Struct, frozen=True):
    """Names in one expression. `wanted`: pairs of a label and a value that it is compared with."""

    text: str
    metrics: frozenset[str]
    labels: frozenset[str]
    wanted: frozenset[tuple[str, str]]


def parsed(expression: str) -> Expression:
    """Parse an expression: names outside grouping, ranges, matchers and keywords are metrics.

    Raises ValueError for syntax beyond this.
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
        raise ValueError(f"syntax not supported by this parser: {expression}")
    return Expression(
        expression,
        frozenset(_NAME.findall(bare)) - _WORDS,
        groups | {label for label, _ in wanted},
        wanted,
    )


def expressions() -> Iterator[Expression]:
    """Expressions of every alert and every panel."""
    rules = msgspec.yaml.decode(ALERTS.read_bytes(), type=dict[str, Any])
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield parsed(rule["expr"])
    for panel in msgspec.json.decode(DASHBOARD.read_bytes())["panels"]:
        for target in panel["targets"]:
            yield parsed(target["expr"])


def exported_samples() -> dict[str, frozenset[str]]:
    """Name of every sample that a service can export, with its labels."""
    labels_of = {
        family.name: frozenset(metric._labelnames)
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
        for family in metric.describe()
    }
    # Prometheus adds `up`, and its client library adds the metrics of the process.
    samples = {"up": frozenset[str]()}
    for family in REGISTRY.collect():
        labels = labels_of.get(family.name, frozenset())
        for suffix in _SUFFIXES.get(family.type, ("",)):
            samples[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return samples


def read(path: Path) -> Any:
    """Parse a YAML file."""
    return msgspec.yaml.decode(path.read_bytes())
