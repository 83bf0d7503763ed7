"""The hub: books and trades that clients build from its messages equal the market's."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from schemas.commands import CancelAll, SetInstrument, SetPhase
from schemas.instruments import InstrumentRules
from schemas.units import Side
from services.feeds import hub as hubs
from services.feeds import known_trades, slices
from services.feeds.client import FeedClient, Subject
from services.feeds.rota import TURNS
from services.feeds.stored_trades import Stored
from tests.support.feed_market import ClientBook, FeedMarket, RecordingOutput
from tests.support.reader_outcomes import ALICE

SIDES: tuple[Side, Side] = ("bid", "ask")
BOOK_TYPES = ("book_snapshot", "book_update")


def books_of(market: FeedMarket, output: RecordingOutput) -> dict[str, ClientBook]:
    books = {symbol: ClientBook() for symbol in market.symbols}
    for message in output.of_type("book_snapshot", "book_update"):
        books[message["symbol"]].apply(message)
    return books


def require_equal_books(market: FeedMarket, output: RecordingOutput) -> None:
    for symbol, book in books_of(market, output).items():
        view = market.views.book_view(symbol)
        assert book.sequence == view.sequence
        for side in SIDES:
            assert tuple(book.levels(side)) == view.levels(side)


def subscribed(market: FeedMarket, *channels: str) -> tuple[FeedClient, RecordingOutput]:
    client, output = market.client()
    for symbol in market.symbols:
        if "book" in channels:
            market.hub.subscribe(client, Subject("book", symbol))
        if "trades" in channels:
            market.hub.subscribe(client, Subject("trades", symbol))
        if "ladder" in channels:
            market.hub.subscribe(client, Subject("ladder", symbol, 10))
    return client, output


@pytest.mark.parametrize("seed", range(20))
def test_books_of_clients_equal_the_views_for_any_cut_into_flushes(seed: int) -> None:
    market = FeedMarket(seed=seed, mass_cancels=0.04)
    market.icebergs = 0.2
    early = subscribed(market, "book")[1]
    late = RecordingOutput()
    for step in range(40):
        market.trade(1 + (seed * step) % 7)
        if step == 20:
            late = subscribed(market, "book")[1]
        if (step + seed) % 3:
            market.flush()
    market.flush()
    require_equal_books(market, early)
    require_equal_books(market, late)


def test_phase_alone_is_a_book_update_and_in_every_snapshot() -> None:
    market = FeedMarket(symbols=1)
    (symbol,) = market.symbols
    market.trade(9)
    market.send(SetInstrument(symbol, "0" * 16, InstrumentRules(), 100))
    output = subscribed(market, "book")[1]
    market.flush()
    (known,) = output.of_type("book_snapshot")
    assert known["phase"] == "continuous"
    market.send(SetPhase(symbol, "0" * 16, "halted"), SetPhase(symbol, "0" * 16, "halted"))
    market.flush()
    (update,) = output.of_type("book_update")
    assert update == {
        "type": "book_update",
        "symbol": symbol,
        "previous": known["sequence"],
        "sequence": known["sequence"] + 1,
        "time": market.now_ms() - 1,
        "checksum": known["checksum"],
        "phase": "halted",
    }
    late = subscribed(market, "book")[1]
    market.flush()
    assert [snapshot["phase"] for snapshot in late.of_type("book_snapshot")] == ["halted"]
    market.send(CancelAll(ALICE, "0" * 16))
    market.flush()
    assert "phase" not in output.of_type("book_update")[-1]
    require_equal_books(market, output)
    require_equal_books(market, late)


def test_trades_of_clients_equal_the_market_in_order() -> None:
    market = FeedMarket()
    some, all_ = subscribed(market, "trades")[1], market.client()
    market.hub.subscribe(all_[0], Subject("trades", "*"))
    for _ in range(60):
        market.trade(5)
        market.flush()
    assert len(market.trades) > 20
    for symbol in market.symbols:
        expected = [trade for trade in market.trades if trade["symbol"] == symbol]
        for output in (some, all_[1]):
            assert [m for m in output.of_type("trade") if m["symbol"] == symbol] == expected


def test_ladder_after_each_flush_shows_the_best_levels() -> None:
    market = FeedMarket()
    output = subscribed(market, "ladder")[1]
    for _ in range(60):
        market.trade(2)
        market.flush()
        for symbol in market.symbols:
            shown = [m for m in output.of_type("ladder") if m["symbol"] == symbol][-1]
            view = market.views.book_view(symbol)
            for side, name in zip(SIDES, ("bids", "asks"), strict=True):
                assert shown[name] == [
                    [level.price, level.total_quantity, level.order_count]
                    for level in view.levels(side, 10)
                ]


def test_trade_precedes_the_book_change_of_its_command() -> None:
    market = FeedMarket(symbols=1)
    output = subscribed(market, "trades", "book")[1]
    market.flush()
    while not market.trades:
        market.trade(1)
    market.flush()
    types = [m["type"] for m in output.of_type("trade", "book_update")]
    assert types == ["trade"] * (len(types) - 1) + ["book_update"]


@pytest.mark.parametrize("others", [0, 1])
def test_change_before_the_first_snapshot_is_part_of_it(others: int) -> None:
    market = FeedMarket()
    for _ in range(others):
        subscribed(market, "book")
    market.flush()
    late = subscribed(market, "book")[1]
    market.trade(20)
    market.flush()
    found = [(each["symbol"], each.get("reason")) for each in late.of_type(*BOOK_TYPES)]
    assert sorted(found) == [(symbol, "subscribed") for symbol in market.symbols]


def test_book_without_subscribers_keeps_no_changes() -> None:
    market = FeedMarket()
    client, output = subscribed(market, "book")
    market.trade(20)
    for symbol in market.symbols:
        market.hub.unsubscribe(client, Subject("book", symbol))
    market.trade(20)
    assert all(market.hub.changes.take(symbol).book is None for symbol in market.symbols)
    market.flush()
    assert output.of_type("book_snapshot", "book_update") == []


def test_known_trades_are_sent_again_and_older_ones_are_named_as_a_gap() -> None:
    market = FeedMarket(symbols=1)
    while len(market.trades) < 300:
        market.trade(10)
    market.flush()
    client, output = market.client()
    trades, subjects = market.hub.trades, [Subject("trades", "S0")]
    trades.replay(client, subjects, {"S0": 290}, 0, Stored())
    trades.replay(client, subjects, {"S0": 3}, 0, Stored())
    trades.replay(client, subjects, {}, 5, Stored())
    client.write_out()
    gap = output.of_type("gap")
    newest = len(market.trades)
    assert [(each["first"], each["last"]) for each in gap] == [(4, newest - 250)]
    sequences = [each["sequence"] for each in output.of_type("trade")]
    assert sequences == [
        *range(291, newest + 1),
        *range(newest - 249, newest + 1),
        *range(newest - 4, newest + 1),
    ]


def test_quiet_market_has_heartbeats_with_the_position() -> None:
    market = FeedMarket()
    output = market.client()[1]
    market.trade(3)
    market.flush()
    market.flush()
    beat = output.of_type("heartbeat")
    assert len(beat) == 1
    assert (beat[0]["position"], beat[0]["ready"]) == ("3", True)
    market.flush_later()
    assert len(output.of_type("heartbeat")) == 2


def test_heartbeats_of_many_clients_are_spread_over_their_interval() -> None:
    market = FeedMarket()
    outputs = [market.client()[1] for _ in range(4 * TURNS)]
    market.flush()
    beats: list[int] = []
    for _ in range(TURNS):
        before = sum(len(each.of_type("heartbeat")) for each in outputs)
        # As if the time of one turn had passed.
        market.hub._heartbeats._taken -= 1
        market.flush()
        beats.append(sum(len(each.of_type("heartbeat")) for each in outputs) - before)
    # The machine's own time adds a turn now and then.
    assert min(beats) == 4
    assert sorted(beats)[TURNS // 2] == 4


def test_position_of_a_heartbeat_has_only_commands_whose_changes_were_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    market = FeedMarket()
    output = subscribed(market, "book")[1]

    async def flush_with_commands_in_between() -> None:
        flush = asyncio.ensure_future(market.hub.flush())
        while not flush.done():
            await asyncio.sleep(0)
            market.trade(1)

    market.trade(1)
    asyncio.run(flush_with_commands_in_between())
    (beat,) = output.of_type("heartbeat")
    assert (beat["position"], market.offset > 1) == ("1", True)


def test_one_flush_writes_once_to_each_client() -> None:
    market = FeedMarket()
    output = subscribed(market, "book", "trades", "ladder")[1]
    market.flush()
    market.trade(50)
    writes = output.writes
    market.flush()
    assert output.writes == writes + 1


def test_stop_sends_closing_to_every_client() -> None:
    market = FeedMarket()
    outputs = [subscribed(market, "book")[1] for _ in range(3)]
    market.hub.close()
    for output in outputs:
        assert output.of_type("closing") == [{"type": "closing", "reason": "restart"}]
        assert output.cuts == [(hubs.RESTART, "restart")]


def test_whole_books_for_one_client_leave_the_loop_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    market = FeedMarket(symbols=450)
    client, output = subscribed(market, "book")
    market.flush()
    for symbol in market.symbols:
        market.hub.request(client, Subject("book", symbol), "resync")

    async def turns_of_a_flush() -> int:
        flush = asyncio.ensure_future(market.hub.flush())
        turns = 0
        while not flush.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(turns_of_a_flush()) >= 450
    assert len(output.of_type("book_snapshot")) == 2 * 450


def test_trades_that_are_sent_again_are_bounded_for_all_symbols_of_a_subscription(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_trades, "REPLAYED_TRADES_MAX", 7)
    market = FeedMarket(symbols=2)
    while len(market.trades) < 100:
        market.trade(10)
    market.flush()
    client, output = market.client()
    subjects = [Subject("trades", symbol) for symbol in ("S0", "S1")]
    market.hub.trades.replay(client, subjects, {"S0": 0, "S1": 0}, 0, Stored())
    client.write_out()
    newest = [trade for trade in market.trades if trade["symbol"] == "S0"][-7:]
    gap, *trades, other = output.received
    assert trades == newest
    assert (gap["type"], gap["last"]) == ("gap", newest[0]["sequence"] - 1)
    assert (other["type"], other["last"]) == ("gap", market.hub.trades.newest(subjects[1]))


@pytest.mark.parametrize("slice_s", [0.0, 60.0])
def test_every_slice_of_a_flush_is_timed(monkeypatch: pytest.MonkeyPatch, slice_s: float) -> None:
    monkeypatch.setattr(slices, "SLICE_S", slice_s)
    market = FeedMarket()
    subscribed(market, "book", "trades", "ladder")
    market.trade(50)

    def timed(what: str) -> float:
        return REGISTRY.get_sample_value(f"exchange_stream_flush_seconds_{what}") or 0.0

    count, spent_s, started_s = timed("count"), timed("sum"), time.monotonic()
    market.flush()
    elapsed_s = time.monotonic() - started_s
    # One that is never over, or one for each symbol and client.
    found = timed("count") - count
    assert found == 1 if slice_s else found > len(market.symbols)
    assert 0 < timed("sum") - spent_s <= elapsed_s
