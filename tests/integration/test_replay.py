"""`exchange replay` on the records of a real matcher and on modified copies, with real Kafka."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from schemas.codec import encode
from schemas.commands import Tick
from schemas.topics import COMMANDS, EXECUTIONS, Topic
from schemas.units import rfc3339
from services.cli.__main__ import app
from services.replay.dump import Dump, OpenOrder
from services.replay.recompute import ReplaySummary
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader, Record
from tests.integration.audited_market import (
    PARTITIONS,
    AuditedMarket,
    with_changed_log,
)

Edit = Callable[[list[Record]], list[Record]]


def run(market: AuditedMarket, *options: str, partition: int | None = 0) -> Result:
    environment = {
        "EXCHANGE_KAFKA": market.settings.kafka,
        "EXCHANGE_TOPIC_PREFIX": market.settings.topic_prefix,
        "EXCHANGE_DATA_DIR": str(market.settings.data_dir),
    }
    chosen = [] if partition is None else ["--partition", str(partition)]
    command = ["replay", *chosen, *options]
    return CliRunner(env=environment).invoke(app, command)


def summary(result: Result, exit_code: int = 0) -> ReplaySummary:
    assert result.exit_code == exit_code, result.output
    return msgspec.json.decode(result.stdout, type=ReplaySummary)


def log_of(market: AuditedMarket, topic: Topic) -> list[Record]:
    partition = Partition(topic.full_name(market.settings.topic_prefix), 0)
    with closing(LogReader(kafka_access(market.settings), partition)) as reader:
        return list(reader.records())


def with_edited(market: AuditedMarket, topic: Topic, edit: Edit) -> AuditedMarket:
    """A copy of the market with partition 0 of one topic changed."""
    done: list[bool] = []

    def change(of: Topic, records: list[Record]) -> list[Record]:
        if of is not topic or done:
            return records
        done.append(True)
        return edit(records)

    return with_changed_log(market, change)


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_replay_of_a_good_log_finds_no_difference_and_the_same_digest_again(
    market: AuditedMarket, partition: int
) -> None:
    first = summary(run(market, "--verify", "--json", partition=partition))
    assert first.verified
    assert first.commands > 200
    assert (first.compared, first.not_recorded) == (first.commands, 0)
    assert (first.differences, first.samples) == (0, [])
    assert summary(run(market, "--verify", "--json", partition=partition)) == first


def test_replay_without_verify_gives_the_same_digest_and_compares_nothing(
    market: AuditedMarket,
) -> None:
    plain, verified = summary(run(market, "--json")), summary(run(market, "--verify", "--json"))
    assert plain.digest == verified.digest
    assert (plain.verified, plain.compared, plain.not_recorded) == (False, 0, 0)


def test_replay_as_text_contains_the_digest(market: AuditedMarket) -> None:
    result = run(market)
    assert result.exit_code == 0
    assert summary(run(market, "--json")).digest in result.stdout


def test_replay_writes_nothing_to_the_logs(market: AuditedMarket) -> None:
    before = [log_of(market, topic) for topic in (COMMANDS, EXECUTIONS)]
    summary(run(market, "--verify", "--json"))
    assert [log_of(market, topic) for topic in (COMMANDS, EXECUTIONS)] == before


def test_replay_of_a_log_with_a_changed_outcome_reports_it(market: AuditedMarket) -> None:
    old, new = b'"client_order_id":"', b'"client_order_id":"changed-'

    def edit(records: list[Record]) -> list[Record]:
        number = next(i for i, record in enumerate(records) if old in (record.value or b""))
        value = (records[number].value or b"").replace(old, new, 1)
        records[number] = records[number]._replace(value=value)
        return records

    found = summary(run(with_edited(market, EXECUTIONS, edit), "--verify", "--json"), exit_code=1)
    assert found.differences == 1
    assert found.compared == found.commands
    (sample,) = found.samples
    assert "changed-" in sample.recorded
    assert "changed-" not in sample.recomputed
    # The outcome repeats the client's order id, which shows that the sample's offset is correct.
    command = log_of(market, COMMANDS)[sample.offset].value or b""
    client_id = msgspec.json.decode(command)["client_order_id"]
    assert f'"client_order_id":"changed-{client_id}"' in sample.recorded
    assert found.digest == summary(run(market, "--json")).digest


def test_replay_of_a_command_without_outcome_is_no_difference(market: AuditedMarket) -> None:
    behind = with_edited(
        market,
        COMMANDS,
        lambda records: [*records, records[-1]._replace(key=None, value=encode(Tick()))],
    )
    found = summary(run(behind, "--verify", "--json"))
    assert (found.not_recorded, found.differences) == (1, 0)
    assert found.compared == found.commands - 1


def test_replay_until_an_offset_stops_there(market: AuditedMarket) -> None:
    found = summary(run(market, "--until-offset", "100", "--verify", "--json"))
    assert (found.commands, found.next_offset, found.compared) == (100, 100, 100)
    assert found.clock == max(record.timestamp for record in log_of(market, COMMANDS)[:100])
    nothing = summary(run(market, "--until-offset", "0", "--verify", "--json"))
    assert (nothing.commands, nothing.clock, nothing.open_orders) == (0, 0, 0)


def test_replay_of_all_partitions_equals_that_of_each(market: AuditedMarket) -> None:
    found = run(market, "--verify", "--json", partition=None)
    assert found.exit_code == 0, found.output
    summaries = msgspec.json.decode(found.stdout, type=list[ReplaySummary])
    assert len(summaries) == PARTITIONS
    for number, one in enumerate(summaries):
        assert one == summary(run(market, "--verify", "--json", partition=number))
    text = run(market, partition=None)
    assert text.stdout.count("open orders") == PARTITIONS


def test_replay_until_a_time_stops_before_the_first_command_of_that_time(
    market: AuditedMarket,
) -> None:
    records = log_of(market, COMMANDS)
    bound = records[len(records) // 2].timestamp
    first = next(record.offset for record in records if record.timestamp >= bound)
    found = summary(run(market, "--until-time", rfc3339(bound), "--json"))
    assert found.next_offset == first
    after = summary(run(market, "--until-time", rfc3339(records[-1].timestamp + 1), "--json"))
    assert after.next_offset == len(records)


def test_replay_dump_has_levels_equal_to_the_sums_of_its_open_orders(
    market: AuditedMarket, tmp_path: Path
) -> None:
    half = len(log_of(market, COMMANDS)) // 2
    path = tmp_path / "dump.json"
    options = ("--until-offset", str(half), "--json", "--dump")
    found = summary(run(market, *options, str(path)))
    dumped = msgspec.json.decode(path.read_bytes(), type=Dump)
    assert (dumped.digest, dumped.next_offset) == (found.digest, half)
    orders = 0
    for book in dumped.books:
        assert book.bids == sorted(book.bids, key=lambda level: -level.price)
        assert book.asks == sorted(book.asks, key=lambda level: level.price)
        for levels, resting in ((book.bids, book.bid_orders), (book.asks, book.ask_orders)):
            assert [tuple(msgspec.to_builtins(level)) for level in levels] == added_up(resting)
            orders += len(resting)
    assert orders + len(dumped.stops) == dumped.open_orders == found.open_orders
    assert orders > 0 < len(dumped.stops)
    on_stdout = run(market, *options, "-")
    assert on_stdout.exit_code == 0
    assert msgspec.json.decode(on_stdout.stdout, type=Dump) == dumped
    assert found.digest in on_stdout.stderr


def added_up(orders: list[OpenOrder]) -> list[tuple[int, int, int]]:
    """Displayed price levels in the order of their first order; requires time priority within each
    level of all but iceberg orders, whose later slices queue behind the others."""
    levels: dict[int, list[OpenOrder]] = defaultdict(list)
    for order in orders:
        levels[order.price].append(order)
    for queue in levels.values():
        plain = [order for order in queue if order.display_quantity is None]
        assert plain == sorted(plain, key=lambda order: order.accepted_at)
    return [
        (price, sum(order.displayed_quantity for order in queue), len(queue))
        for price, queue in levels.items()
    ]


@pytest.mark.parametrize("partition", [-1, PARTITIONS])
def test_replay_of_a_partition_out_of_range_is_refused(
    market: AuditedMarket, partition: int
) -> None:
    result = run(market, partition=partition)
    assert result.exit_code == 2
    assert f"partition {partition}: the exchange has 0-{PARTITIONS - 1}" in result.stderr


@pytest.mark.parametrize("topic", [COMMANDS, EXECUTIONS])
def test_replay_of_a_trimmed_log_is_refused(market: AuditedMarket, topic: Topic) -> None:
    copy = with_changed_log(market, lambda _, records: records)
    name = topic.full_name(copy.settings.topic_prefix)
    admin = AdminClient({"bootstrap.servers": copy.settings.kafka})
    for deleted in admin.delete_records([TopicPartition(name, 0, 5)]).values():
        deleted.result()
    result = run(copy, "--verify")
    assert result.exit_code == 3
    assert f"the beginning of {topic.name} is gone: it starts at 5" in result.stderr


def test_replay_of_executions_with_a_gap_exits_with_6(market: AuditedMarket) -> None:
    gap = with_edited(market, EXECUTIONS, lambda records: [*records[:3], *records[4:]])
    result = run(gap, "--verify")
    assert result.exit_code == 6
    assert "expected" in result.stderr
    assert run(gap).exit_code == 0


def test_replay_without_kafka_exits_with_3(market: AuditedMarket) -> None:
    away = msgspec.structs.replace(market.settings, kafka="127.0.0.1:1")
    result = run(msgspec.structs.replace(market, settings=away))
    assert result.exit_code == 3
    assert "exchange: " in result.stderr
