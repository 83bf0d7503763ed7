"""Two gateways and four matchers, one on each of four partitions, under one flow."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec import structs

from benchmarks.processes import one_more
from conformance.api import Api, eventually
from loadgen.client.client import Job, LoadClient
from loadgen.client.client_log import client_lines
from loadgen.client.record import RequestRecord
from loadgen.workload.orderflow import Profile, plan
from schemas.codec import decode_execution
from schemas.executions import Outcomes
from schemas.topics import EXECUTIONS
from services.audit.run import run_audit
from services.runtime.progress import Progress
from tests.support.exchange import SETTINGS, Exchange, fresh_exchange

PARTITIONS = 4
FLOW = plan(
    Profile(brokers=8, symbols=40, orders_per_s=80, duration_s=8, reads_per_53_orders=20), seed=3
)
# The orders of one half of the brokers go to the first gateway singly, the others in batches.
BATCHES = (1, 5)


def send(urls: list[str], keys: tuple[str, ...]) -> list[RequestRecord]:
    """Send the flow, each half of the brokers through its gateway; every request's record."""
    jobs = [
        Job(url, keys, "flow-", batch=batch, part=part, parts=len(urls))
        for part, (url, batch) in enumerate(zip(urls, BATCHES, strict=True))
    ]
    clients = [LoadClient(job, FLOW) for job in jobs]

    async def run() -> None:
        await asyncio.gather(*(client.run() for client in clients))

    asyncio.run(run())
    for client in clients:
        assert len(client.records) > 100
    return [line for client in clients for line in client.records]


def claimed_by(exchange: Exchange, partition: int) -> str:
    """The matcher of the partition's newest claim."""
    records = map(decode_execution, exchange.values(EXECUTIONS, partition))
    return [record.matcher for record in records if not isinstance(record, Outcomes)][-1]


@pytest.mark.timeout(200)
def test_audit_holds_with_two_gateways_and_a_matcher_for_each_partition(tmp_path: Path) -> None:
    settings = structs.replace(SETTINGS, partitions=PARTITIONS)
    with fresh_exchange(tmp_path, settings) as exchange, ExitStack() as ending:
        assert exchange.stack.stop("matcher") == 0
        for number in range(PARTITIONS):
            arguments = (f"matcher-{number}", "--partitions", str(number))
            ending.enter_context(one_more(exchange.stack, "matcher", *arguments))
        second = ending.enter_context(one_more(exchange.stack, "gateway", "gateway-2"))
        urls = [exchange.url, second.url]
        admin = exchange.admin()
        brokers = [
            admin.call("POST", "/register", {"name": f"Broker {number}"}).body
            for number in range(FLOW.profile.brokers)
        ]
        keys = tuple(broker["api_key"] for broker in brokers)
        known = Api(urls[1], keys[-1])
        eventually("the second gateway knows the keys", lambda: known.get("/balance").status == 200)
        records = send(urls, keys)
        assert {line.kind for line in records} <= {"ok", "expected", "not_sent"}
        assert len({claimed_by(exchange, partition) for partition in range(PARTITIONS)}) == 4
        assert all(len(exchange.outcomes(partition)) > 20 for partition in range(PARTITIONS))
        books = [f"/stocks/{symbol}/book?depth=50" for symbol in FLOW.symbols]
        one, other = (Api(url, keys[0]) for url in urls)
        for path in books:
            eventually(
                f"both gateways answer {path} alike",
                lambda path=path: seen(one, path) == seen(other, path),  # type: ignore[misc]
            )
        lines = list(client_lines(records, [broker["broker_id"] for broker in brokers]))
        report = run_audit(exchange.stack.operator, lines, 30.0, Progress())
        assert report.holds, "\n".join(report.lines())


def seen(api: Api, path: str) -> object:
    """The answer without the moment of its making."""
    body = dict(api.get(path).body)
    body.pop("as_of")
    return body
