"""Tickers and candles of the hub equal the views and the fold of all trades."""

import time
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.commands import SetInstrument, SetPhase
from schemas.instruments import InstrumentRules
from schemas.operations import OperationsResource, ProcessState, StreamsState
from services.feeds import hub as hubs
from services.feeds.client import Subject
from services.reader.candles import DAY_MS
from tests.support.feed_market import FeedMarket, RecordingOutput
from tests.support.feed_session import ConnectedClient

STEP_MS = 7_000
HOUR_MS = 3_600_000


def naive(market: FeedMarket, symbol: str, interval: Interval) -> list[dict[str, Any]]:
    """Every candle of a symbol from the list of all trades, without `closed`."""
    found: dict[int, Candle] = {}
    for trade in market.trades:
        if trade["symbol"] != symbol:
            continue
        # Since 1970 in UTC, without the product's own rounding.
        start = trade["time"] - trade["time"] % INTERVALS_MS[interval]
        numbers = trade["price"], trade["quantity"], trade["sequence"]
        if start in found:
            found[start].traded(*numbers)
        else:
            found[start] = Candle.of_trade(start, *numbers)
    return [structs.asdict(found[start]) for start in sorted(found)]


def candles_of(output: RecordingOutput, symbol: str, *, closed: bool) -> list[dict[str, Any]]:
    names = Candle.__struct_fields__
    return [
        {name: message[name] for name in names}
        for message in output.of_type("candle")
        if message["symbol"] == symbol and message["closed"] is closed
    ]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("interval", "step_ms"), [("1m", STEP_MS), ("5m", STEP_MS), ("1d", HOUR_MS)]
)
def test_candles_equal_the_fold_of_all_trades_for_any_cut_into_flushes(
    seed: int, interval: Interval, step_ms: int
) -> None:
    market = FeedMarket(seed=seed, step_ms=step_ms)
    early, late = market.client(), market.client()
    for symbol in market.symbols:
        market.hub.subscribe(early[0], Subject("candles", symbol, interval=interval))
    for step in range(60):
        market.trade(2 + (seed * step) % 7)
        if step == 30:
            for symbol in market.symbols:
                market.hub.subscribe(late[0], Subject("candles", symbol, interval=interval))
        if (step + seed) % 3:
            market.flush_later()
    market.flush_later()
    for symbol in market.symbols:
        wanted = naive(market, symbol, interval)
        for output in (early[1], late[1]):
            ended = candles_of(output, symbol, closed=True)
            running = candles_of(output, symbol, closed=False)[-1:]
            shown = ended + [each for each in running if each["start"] > ended[-1]["start"]]
            assert shown == wanted[-len(shown) :]
        assert len(candles_of(early[1], symbol, closed=True)) >= len(wanted) - 1 > 0


def test_candle_of_a_symbol_without_trades_is_empty() -> None:
    market = FeedMarket()
    client, output = market.client()
    market.hub.subscribe(client, Subject("candles", "NONE", interval="1d"))
    market.flush()
    (message,) = output.of_type("candle")
    assert (message["open"], message["trades"], message["last_sequence"]) == (None, 0, 0)
    assert message["start"] % INTERVALS_MS["1d"] == 0
    assert message["closed"] is False


def test_candle_in_a_quiet_market_is_closed_once_by_the_clock_of_the_log() -> None:
    market = FeedMarket(symbols=1)
    client, output = market.client()
    market.hub.subscribe(client, Subject("candles", "S0", interval="1m"))
    while not market.trades:
        market.trade(1)
    market.flush_later()
    assert [message["closed"] for message in output.of_type("candle")] == [False]
    market.tick(60_000)
    market.flush_later()
    market.flush_later()
    assert [message["closed"] for message in output.of_type("candle")] == [False, True]
    later = market.client()
    market.hub.subscribe(later[0], Subject("candles", "S0", interval="1m"))
    market.tick(60_000)
    market.flush_later()
    assert later[1].of_type("candle") == output.of_type("candle")[-1:]


def test_client_that_does_not_read_gets_every_closed_candle_later() -> None:
    market = FeedMarket(symbols=1, step_ms=STEP_MS)
    client, output = market.client()
    market.hub.subscribe(client, Subject("candles", "S0", interval="1m"))
    market.flush()
    client.fall_behind(0.0)
    for _ in range(20):
        market.trade(5)
        # The hub's clock is the machine's; a client that fell behind at 0 would be cut by it.
        client._behind_since_s = time.monotonic()
        market.flush_later()
    assert len(output.of_type("candle")) == 1
    client.catch_up()
    market.flush_later()
    wanted = naive(market, "S0", "1m")
    ended = candles_of(output, "S0", closed=True)
    assert ended == wanted[: len(ended)]
    assert len(ended) >= len(wanted) - 1
    assert len(candles_of(output, "S0", closed=False)) <= 2


def shown(market: FeedMarket, symbol: str) -> dict[str, Any]:
    """The figures of a symbol from views and trades, by the names of a ticker message."""
    view, last = market.views.book_view(symbol), market.views.last_trade(symbol)
    bid, ask = view.levels("bid", 1), view.levels("ask", 1)
    start = start_of(max(0, market.views.clock(symbol, 0) - DAY_MS), INTERVALS_MS["5m"])
    day = [t for t in market.trades if t["symbol"] == symbol and t["time"] >= start]
    prices = [trade["price"] for trade in day]
    return {
        "last": last.price if last else None,
        "open": prices[0] if day else None,
        "high": max(prices, default=None),
        "low": min(prices, default=None),
        "volume": sum(trade["quantity"] for trade in day),
        "value": sum(trade["price"] * trade["quantity"] for trade in day),
        "trades": len(day),
        "bid": bid[0].price if bid else None,
        "bid_quantity": bid[0].total_quantity if bid else None,
        "ask": ask[0].price if ask else None,
        "ask_quantity": ask[0].total_quantity if ask else None,
        "sequence": last.sequence if last else 0,
        "phase": "continuous",
    }


def test_changed_phase_is_sent_with_the_ticker_once() -> None:
    market = FeedMarket(symbols=1)
    (symbol,) = market.symbols
    market.trade(9)
    market.send(SetInstrument(symbol, "0" * 16, InstrumentRules(), 100))
    one, every = market.client(), market.client()
    market.hub.subscribe(one[0], Subject("ticker", symbol))
    market.hub.subscribe(every[0], Subject("ticker", "*"))
    market.flush_later()
    for _ in range(2):
        market.send(SetPhase(symbol, "0" * 16, "halted"))
        market.flush_later()
    wanted = ["continuous", "halted"]
    assert [ticker["phase"] for ticker in one[1].of_type("ticker")] == wanted
    messages = every[1].of_type("tickers")
    assert [each["phase"] for sent in messages for each in sent["tickers"]] == wanted


def plain(ticker: dict[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in ticker.items() if name not in ("window_start", "as_of")}


# Within minutes only orders change a ticker; within hours trades leave its window too.
@pytest.mark.parametrize("step_ms", [100, 400_000])
@pytest.mark.parametrize("seed", range(5))
def test_tickers_equal_the_views_whenever_they_change(seed: int, step_ms: int) -> None:
    market = FeedMarket(seed=seed, step_ms=step_ms)
    one, all_ = market.client(), market.client()
    market.hub.subscribe(one[0], Subject("ticker", "S1"))
    latest: dict[str, dict[str, Any]] = {}
    for step in range(60):
        market.trade(1 + (seed * step) % 11)
        if step == 20:
            market.hub.subscribe(all_[0], Subject("ticker", "*"))
        market.flush_later()
        expected = {"type": "ticker", "symbol": "S1"} | shown(market, "S1")
        assert plain(one[1].of_type("ticker")[-1]) == expected
        for message in all_[1].of_type("tickers"):
            latest |= {ticker["symbol"]: ticker for ticker in message["tickers"]}
        for symbol in market.symbols if step >= 20 else ():
            assert plain(latest[symbol]) == {"type": "ticker", "symbol": symbol} | shown(
                market, symbol
            )
    market.tick(DAY_MS + INTERVALS_MS["5m"])
    market.flush_later()
    assert plain(one[1].of_type("ticker")[-1])["trades"] == 0
    sent = [plain(message) for message in one[1].of_type("ticker")]
    assert all(one != other for one, other in pairwise(sent[1:]))


def test_first_message_for_all_symbols_has_all_and_later_ones_those_that_changed() -> None:
    market = FeedMarket(symbols=5, amended=0.0)
    market.trade(60)
    market.flush()
    client, output = market.client()
    market.hub.subscribe(client, Subject("ticker", "*"))
    market.flush()
    (first,) = output.of_type("tickers")
    assert sorted(ticker["symbol"] for ticker in first["tickers"]) == sorted(market.symbols)
    market.tick(1)
    market.flush_later()
    assert output.of_type("tickers") == [first]
    market.trade(1)
    market.flush_later()
    assert [len(message["tickers"]) for message in output.of_type("tickers")] == [5, 1]


def test_trades_that_leave_the_window_change_the_ticker_without_an_order() -> None:
    market = FeedMarket(symbols=1)
    client, output = market.client()
    while not market.trades:
        market.trade(1)
    market.hub.subscribe(client, Subject("ticker", "S0"))
    market.flush()
    market.tick(DAY_MS + INTERVALS_MS["5m"])
    market.flush_later()
    tickers = output.of_type("ticker")
    assert [ticker["trades"] for ticker in tickers] == [len(market.trades), 0]
    assert tickers[1]["last"] == market.trades[-1]["price"]


def test_channels_without_subscribers_keep_nothing() -> None:
    market = FeedMarket()
    client, _ = market.client()
    subjects = [Subject("ticker", "*"), Subject("ticker", "S0")]
    subjects += [Subject("candles", "S0", interval="1m"), Subject("candles", "S0", interval="5m")]
    for subject in subjects:
        market.hub.subscribe(client, subject)
    market.trade(20)
    market.flush_later()
    market.hub.remove(client)
    market.trade(20)
    changes = market.hub.changes
    assert not list(changes.tickers.take())
    assert not list(changes.candles.take())
    assert changes.tickers.all_known() == []


def test_operations_come_whole_at_first_and_then_once_a_second() -> None:
    market = FeedMarket()
    asked: list[int] = []

    def state(samples: int) -> OperationsResource:
        asked.append(samples)
        process = ProcessState(0, 0.0, 0, 0, 0, 0)
        streams = StreamsState(0, 0, 0)
        return OperationsResource(
            "All stages keep up.", None, "", [], [], process, streams, None, []
        )

    market.hub.operations = state
    market.flush_later()
    assert asked == []
    client, output = market.client()
    market.hub.subscribe(client, hubs.OPERATIONS)
    market.flush()
    market.flush()
    assert asked == [hubs.OPERATIONS_SAMPLES]
    market.flush_later()
    market.flush()
    assert asked == [hubs.OPERATIONS_SAMPLES, 1]
    messages = output.of_type("operations")
    assert [each["operations"]["sentence"] for each in messages] == ["All stages keep up."] * 2
    market.hub.unsubscribe(client, hubs.OPERATIONS)
    market.flush_later()
    assert len(asked) == 2


def test_operations_have_no_symbols() -> None:
    connected = ConnectedClient()
    assert connected.subscribe("operations", [])["status"] == 200
    assert connected.subscribe("operations", ["S0"])["status"] == 422
    assert connected.subscribe("operations", [], interval="raw")["status"] == 422
    assert connected.ask(op="list")["subscriptions"] == [{"channel": "operations", "symbols": []}]
    assert ConnectedClient(public=False).subscribe("operations", [])["status"] == 401
