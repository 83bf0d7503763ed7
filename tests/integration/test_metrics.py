"""Running services export the metrics and labels that the dashboard and the alerts use."""

import socket
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conformance.api import eventually
from infra.ports import LOOPBACK
from schemas import ids
from schemas.codec import encode
from schemas.commands import CancelOrder
from schemas.topics import COMMANDS
from services.runtime.readiness import DIRECT
from tests.support.exchange import Exchange
from tests.support.feed_reader import feed_of
from tests.support.promql import exported_samples, expressions

ORDERS = {"route": "/orders", "method": "POST", "status": "201"}
# Each metric is checked at one service: other services export the same names with zero values.
MOVED: list[tuple[str, str, dict[str, str]]] = [
    ("gateway", "exchange_http_request_duration_seconds_count", ORDERS),
    ("gateway", "exchange_http_request_duration_seconds_bucket", ORDERS | {"le": "+Inf"}),
    ("gateway", "exchange_http_connections", {}),
    ("gateway", "exchange_orders_in_memory", {}),
    ("gateway", "exchange_stream_connections", {"transport": "websocket"}),
    ("gateway", "exchange_stream_messages_total", {"channel": "book"}),
    ("gateway", "exchange_streams_cut_total", {"reason": "binary_message"}),
    ("gateway", "exchange_session_requests_total", {"op": "cancel_all", "status": "200"}),
    ("gateway", "exchange_session_requests_total", {"op": "resync", "status": "200"}),
    ("gateway", "exchange_stream_connections_max", {}),
    ("gateway", "exchange_stream_resumes_total", {"channel": "orders", "result": "complete"}),
    ("gateway", "exchange_stream_resumes_total", {"channel": "trades", "result": "complete"}),
    ("matcher", "exchange_commands_total", {"event": "OrderAccepted"}),
    ("matcher", "exchange_commands_refused_total", {"code": "order_not_open"}),
    ("matcher", "exchange_open_orders", {}),
    ("sink", "exchange_sink_rows_total", {"table": "orders"}),
    ("sink", "exchange_sink_rows_total", {"table": "trades"}),
    ("sink", "exchange_sink_behind_seconds", {}),
    ("sink", "exchange_disk_bytes", {}),
    ("sink", "exchange_disk_used_bytes", {}),
    ("webhooks", "process_resident_memory_bytes", {}),
]


def page(exchange: Exchange, job: str) -> str:
    port = exchange.stack.probes.get(job)
    base = exchange.url if port is None else f"http://{LOOPBACK}:{port}"
    with DIRECT.open(f"{base}/metrics") as answer:
        text: bytes = answer.read()
    return text.decode()


@pytest.fixture
def traded(exchange: Exchange) -> Iterator[Exchange]:
    """An exchange with resting orders and trades, which PostgreSQL stores."""
    symbol, broker = exchange.symbol(), exchange.broker()
    assert broker.place("ask", symbol, 100, 1000).status == 201
    assert broker.place("bid", symbol, 30, 1000).status == 201
    assert broker.place("ask", exchange.symbol(), 1, 1000).status == 201
    # Straight to the log: the API sends no cancel of an order that is closed.
    unknown = CancelOrder(order_id=ids.order_id(0, 0, 1), broker_id=ids.order_id(0, 0, 2))
    exchange.write(COMMANDS, 0, encode(unknown))
    # Metrics are read on another port: one client stays connected to the API's.
    port = int(exchange.url.rpartition(":")[2])
    with socket.create_connection((LOOPBACK, port)), feed_of(exchange) as feed:
        feed.ask("login", key=broker.key)
        feed.ask("subscribe", channel="book", symbols=[symbol])
        feed.ask("resync", channel="book", symbols=[symbol])
        feed.ask("subscribe", channel="orders", after={})
        feed.ask("subscribe", channel="trades", symbols=[symbol], after={symbol: 0})
        feed.ask("cancel_all", symbol=symbol)
        with feed_of(exchange) as other:
            other.connection.send(b"binary")
            yield exchange


@pytest.mark.parametrize(("job", "name", "labels"), MOVED)
def test_metric_changes_at_the_service_it_is_queried_from(
    traded: Exchange, job: str, name: str, labels: dict[str, str]
) -> None:
    def moved() -> bool:
        return any(
            sample.value > 0 and sample.labels.items() >= labels.items()
            for family in text_string_to_metric_families(page(traded, job))
            for sample in family.samples
            if sample.name == name
        )

    eventually(f"{name}{labels} of {job} moves", moved)


def test_every_queried_metric_is_on_the_page_of_its_service(traded: Exchange) -> None:
    pages = {job: page(traded, job) for job in ("gateway", "matcher", "sink", "webhooks")}
    # A labelled family without any events has its name on the page but no sample.
    families = {
        job: {family.name for family in text_string_to_metric_families(text)}
        for job, text in pages.items()
    }
    for expression in expressions():
        jobs = {value for label, value in expression.wanted if label == "job"} & pages.keys()
        for metric in expression.metrics - {"up"}:
            for job in jobs or pages.keys():
                assert any(
                    metric in (name, *(name + suffix for suffix in ("_total", "_bucket", "_count")))
                    for name in families[job]
                ), f"{metric} of {job}, for {expression.text}"


def test_exported_metrics_are_known_to_the_dashboard_test(traded: Exchange) -> None:
    shown = {
        sample.name
        for family in text_string_to_metric_families(page(traded, "gateway"))
        for sample in family.samples
        if sample.name.startswith("exchange_") and not sample.name.endswith("_created")
    }
    assert shown <= exported_samples().keys()
