"""The pure parts of `exchange replay`: recomputation, comparison, dump, options and output."""

from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from schemas.book import Level
from schemas.codec import encode
from schemas.commands import Command
from schemas.executions import CommandRefused, OrderAccepted
from services.cli.__main__ import app
from services.cli.replay import bound, check_dump_path, summary_text
from services.matcher.engine import Engine, EnginePosition
from services.replay.dump import dump
from services.replay.recompute import SAMPLES_MAX, Recomputation, command_of
from services.runtime.errors import BrokenLogError, SettingsError
from tests.support import scenario
from tests.support.orders import START_MS, cancel, limit, order_id

COMMANDS: tuple[Command, ...] = (
    limit(1),
    limit(2, price=900),
    limit(3),
    limit(4, side="ask", price=1_200),
    cancel(2),
)


def replayed(*values: bytes) -> Recomputation:
    replay = Recomputation(Engine(0))
    for offset, value in enumerate(values):
        replay.apply(offset, START_MS + offset, command_of(value))
    return replay


def test_replay_of_commands_gives_the_digest_of_an_engine_with_the_same_input() -> None:
    engine = Engine(0)
    for offset, command in enumerate(COMMANDS):
        engine.apply(command, EnginePosition(0, offset, START_MS + offset))
    summary = replayed(*map(encode, COMMANDS)).summary(verified=False)
    assert summary.digest == engine.digest().hex()
    assert (summary.commands, summary.next_offset, summary.clock) == (5, 5, START_MS + 4)
    assert summary.open_orders == 3


def test_replay_of_an_unreadable_command_refuses_it_as_the_matcher_does() -> None:
    outcome = Recomputation(Engine(0)).apply(0, START_MS, command_of(b"not a command"))
    assert outcome.event == CommandRefused("malformed_command")


def test_replay_of_a_log_with_a_gap_raises() -> None:
    replay = replayed(encode(limit(1)))
    with pytest.raises(BrokenLogError, match="command 2 came, 1 was next"):
        replay.apply(2, START_MS, command_of(encode(limit(2))))


def test_compare_of_equal_outcomes_finds_no_difference() -> None:
    replay = Recomputation(Engine(0))
    outcome = replay.apply(0, START_MS, command_of(encode(limit(1))))
    replay.compare(outcome, structs.replace(outcome))
    summary = replay.summary(verified=True)
    assert (summary.compared, summary.differences, summary.samples) == (1, 0, [])


def test_compare_without_a_record_is_counted_separately() -> None:
    replay = Recomputation(Engine(0))
    replay.compare(replay.apply(0, START_MS, command_of(encode(limit(1)))), None)
    summary = replay.summary(verified=True)
    assert (summary.compared, summary.not_recorded, summary.differences) == (0, 1, 0)


def test_compare_of_many_differences_counts_all_and_shows_the_first() -> None:
    replay = Recomputation(Engine(0))
    for number in range(SAMPLES_MAX + 2):
        outcome = replay.apply(number, START_MS, command_of(encode(limit(number + 1))))
        # In every outcome but the first, something is changed.
        replay.compare(outcome, structs.replace(outcome, time=START_MS + min(number, 1)))
    summary = replay.summary(verified=True)
    assert (summary.compared, summary.differences) == (SAMPLES_MAX + 2, SAMPLES_MAX + 1)
    assert [sample.offset for sample in summary.samples] == [1, 2, 3, 4, 5]
    assert str(START_MS + 1) in summary.samples[0].recorded
    assert str(START_MS + 1) not in summary.samples[0].recomputed


def test_compare_of_an_outcome_with_non_ascii_text_shows_it() -> None:
    replay = Recomputation(Engine(0))
    outcome = replay.apply(0, START_MS, command_of(encode(limit(1))))
    assert isinstance(outcome.event, OrderAccepted)
    event = structs.replace(outcome.event, broker_id="é" * 500)
    replay.compare(outcome, structs.replace(outcome, event=event))
    assert "éé" in replay.summary(verified=True).samples[0].recorded


def test_compare_of_long_outcomes_shows_where_they_differ() -> None:
    replay = Recomputation(Engine(0))
    outcome = replay.apply(0, START_MS, command_of(encode(limit(1))))
    assert isinstance(outcome.event, OrderAccepted)
    mine, recorded = (
        structs.replace(outcome, event=structs.replace(outcome.event, broker_id="a" * 5_000 + end))
        for end in "bc"
    )
    replay.compare(mine, recorded)
    (sample,) = replay.summary(verified=True).samples
    assert sample.recorded.startswith("...aaa")
    assert 'ac"' in sample.recorded
    assert 'ab"' in sample.recomputed
    assert max(len(sample.recorded), len(sample.recomputed)) < 400


def test_dump_of_an_engine_has_levels_and_orders_in_priority_order() -> None:
    replay = replayed(*map(encode, [*COMMANDS, limit(5, price=1_100), limit(6, symbol="ABEV3")]))
    dumped = dump(replay.engine, replay.next_offset)
    assert (dumped.next_offset, dumped.open_orders) == (7, 5)
    assert dumped.digest == replay.engine.digest().hex()
    assert [book.symbol for book in dumped.books] == ["ABEV3", "PETR4"]
    book = dumped.books[1]
    assert (book.sequence, book.trade_sequence) == (6, 0)
    assert book.bids == [Level(1_100, 100, 1), Level(1_000, 200, 2)]
    assert book.asks == [Level(1_200, 100, 1)]
    assert [order.order_id for order in book.bid_orders] == [order_id(5), order_id(1), order_id(3)]
    assert [order.accepted_at for order in book.bid_orders] == [5, 0, 2]
    assert [order.order_id for order in book.ask_orders] == [order_id(4)]


def test_dump_has_documents_and_preventions_where_the_symbol_has_an_instrument() -> None:
    texts = [
        "buy 1 @ 99 by ann as a1",
        "instrument 100",
        "buy 1 @ 99 by bob as b1 doc 7",
        "buy 1 @ 99 by bob as b2 doc 8 own cancel_both",
        "buy 1 by bob as b3 stop 105 doc 9 own cancel_maker",
    ]
    engine = Engine(0)
    for offset, text in enumerate(texts):
        engine.apply(scenario.command_of(text), EnginePosition(0, offset, 1))
    dumped = dump(engine, 5)
    orders, stops = dumped.books[0].bid_orders, dumped.stops
    found = [(one.document_number, one.self_trade_prevention) for one in orders]
    assert [*found, *((one.document_number, one.self_trade_prevention) for one in stops)] == [
        (None, None),
        ("7", None),
        ("8", "cancel_both"),
        ("9", "cancel_maker"),
    ]


def test_dump_has_phases_and_day_orders() -> None:
    texts = [
        "buy 1 @ 99 in OTHER by ann as a1",
        "instrument 100",
        "buy 1 @ 99 by bob as b1 for day",
        "buy 1 @ 99 by bob as b2",
        "buy 1 by bob as b3 stop 105 for day",
        "phase closed",
    ]
    engine = Engine(0)
    for offset, text in enumerate(texts):
        engine.apply(scenario.command_of(text), EnginePosition(0, offset, 7))
    dumped = dump(engine, 6)
    assert [(book.symbol, book.phase) for book in dumped.books] == [
        ("OTHER", None),
        ("PETR4", "closed"),
    ]
    orders = [order for book in dumped.books for order in book.bid_orders]
    assert [(one.order_id, one.time_in_force, one.valid_until) for one in orders] == [
        ("a1", "gtc", None),
        ("b1", "day", 7),
        ("b2", "gtc", None),
    ]
    (stop,) = dumped.stops
    assert (stop.time_in_force, stop.valid_until) == ("day", 7)


def test_compare_digest_counts_snapshots_and_shows_one_that_differs() -> None:
    replay = replayed(*map(encode, COMMANDS))
    replay.compare_digest(replay.engine.digest().hex())
    replay.compare_digest("00")
    found = replay.summary(verified=True)
    assert (found.snapshots, found.differences) == (2, 1)
    assert found.samples[0].recorded == "00"


def test_dump_after_a_trade_has_the_remaining_orders() -> None:
    dumped = dump(replayed(encode(limit(1)), encode(limit(2, side="ask", quantity=40))).engine, 2)
    (book,) = dumped.books
    assert (book.trade_sequence, book.bids, book.asks) == (1, [Level(1_000, 60, 1)], [])
    assert [order.remaining_quantity for order in book.bid_orders] == [60]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T01:00:00.25+01:00", 250),
        # No record has a timestamp between two milliseconds: the bound is the later one.
        ("1970-01-01T00:00:00.000001Z", 1),
        (None, None),
    ],
)
def test_bound_of_a_time_is_its_milliseconds(text: str | None, expected: int | None) -> None:
    assert bound(text) == (None, expected)


def test_bound_of_a_whole_number_is_an_offset() -> None:
    assert bound("1700") == (1_700, None)


@pytest.mark.parametrize("text", ["2026-11-23T13:00:00", "2026-11-23", "yesterday", "", "-1"])
def test_bound_of_another_text_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="a time with its zone"):
        bound(text)


def test_check_dump_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    check_dump_path(None)
    check_dump_path(Path("-"))
    check_dump_path(tmp_path / "new.json")
    for path in (tmp_path, tmp_path / "missing" / "new.json"):
        with pytest.raises(SettingsError, match="the file cannot be written"):
            check_dump_path(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--until-time", "2026-11-23T13:00:00"], "with its zone"),
        (["--until-offset", "-1"], "write an offset"),
        (["--dump", "/nowhere/at/all"], "the file cannot be written"),
    ],
)
def test_replay_with_invalid_options_exits_with_2(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["replay", "--partition", "0", *options])
    assert result.exit_code == 2
    assert message in result.stderr


def test_summary_text_without_verification_omits_its_figures() -> None:
    text = summary_text(replayed(encode(limit(1))).summary(verified=False))
    assert "clock         2023-11-14T22:13:20.000Z" in text
    assert "differences" not in text


def test_summary_text_with_a_difference_shows_both_outcomes() -> None:
    replay = Recomputation(Engine(0))
    outcome = replay.apply(0, START_MS, command_of(encode(limit(1))))
    replay.compare(outcome, structs.replace(outcome, time=7))
    text = summary_text(replay.summary(verified=True))
    assert "differences   1" in text
    assert '0@0\n  recorded    {"time":7,' in text
