"""Operations of a feed session, and the bounds on them."""

import json

import pytest

from schemas.feed import Hello
from services.feeds import market as feed_market
from services.feeds import session as sessions
from services.feeds.order_entry import OrderEntry
from services.feeds.session import FeedSession
from services.runtime.metrics import STREAM_RESUMES
from tests.support.feed_market import RecordingOutput
from tests.support.feed_session import KEY, ConnectedClient, RecordedCalls


@pytest.fixture
def connected() -> ConnectedClient:
    return ConnectedClient()


def test_first_message_is_hello(connected: ConnectedClient) -> None:
    assert connected.output.received[0]["type"] == "hello"
    assert connected.output.received[0]["public"] is True


@pytest.mark.parametrize("request_id", [7, "a-1", -3])
def test_response_has_the_id_of_its_operation(
    connected: ConnectedClient, request_id: object
) -> None:
    connected.session.receive(json.dumps({"op": "ping", "id": request_id}).encode())
    assert connected.output.received[-1] == {"type": "response", "id": request_id, "status": 200}


def test_login_names_the_broker(connected: ConnectedClient) -> None:
    answer = connected.ask(op="login", key=KEY)
    assert (answer["status"], answer["broker_name"]) == (200, "Alfa")
    assert answer["session"] == "desk/boot/1"


def test_third_failed_login_ends_the_connection(connected: ConnectedClient) -> None:
    for _ in range(3):
        assert connected.ask(op="login", key="wrong")["status"] == 401
    assert connected.output.cuts == [(sessions.KEY_REFUSED, "key_refused")]


def test_admin_key_is_forbidden(connected: ConnectedClient) -> None:
    assert connected.ask(op="login", key="admin")["status"] == 403


def test_market_data_needs_a_key_unless_it_is_public() -> None:
    connected = ConnectedClient(public=False)
    assert connected.subscribe("trades", ["S0"])["status"] == 401
    connected.ask(op="login", key=KEY)
    assert connected.subscribe("trades", ["S0"])["status"] == 200
    connected.ask(op="logout")
    assert len(connected.client.subjects) == 0


def test_revoked_key_ends_the_connection(connected: ConnectedClient) -> None:
    connected.session.check_key()
    connected.ask(op="login", key=KEY)
    connected.session.check_key()
    assert connected.output.cuts == []
    connected.keys.valid = False
    connected.session.check_key()
    assert connected.output.cuts == [(sessions.KEY_ENDED, "key_ended")]


def test_list_names_the_subscriptions(connected: ConnectedClient) -> None:
    connected.subscribe("trades", "*")
    connected.subscribe("ladder", ["S0", "S1"], depth=50)
    connected.subscribe("book", ["S1"])
    connected.subscribe("trades", ["S1"])
    connected.subscribe("candles", ["S0"], interval="5m")
    connected.ask(op="unsubscribe", channel="ladder", symbols=["S1"], depth=50)
    assert connected.ask(op="list")["subscriptions"] == [
        {"channel": "trades", "symbols": "*"},
        {"channel": "ladder", "symbols": ["S0"], "depth": 50},
        {"channel": "book", "symbols": ["S1"]},
        {"channel": "trades", "symbols": ["S1"]},
        {"channel": "candles", "symbols": ["S0"], "interval": "5m"},
    ]


def test_own_events_need_a_key_and_end_with_it(connected: ConnectedClient) -> None:
    assert connected.ask(op="subscribe", channel="orders")["status"] == 401
    connected.ask(op="login", key=KEY)
    assert connected.ask(op="subscribe", channel="orders", symbols=["S0"])["status"] == 422
    assert connected.ask(op="subscribe", channel="orders", after={"x": 1})["status"] == 422
    answer = connected.ask(op="subscribe", channel="orders")
    assert (answer["status"], answer["channel"], answer["resumed"]) == (200, "orders", False)
    assert connected.ask(op="list")["subscriptions"] == [{"channel": "orders", "symbols": []}]
    connected.market.trade(1)
    assert len(connected.output.of_type("order")) == 1
    answer = connected.ask(op="subscribe", channel="orders", after={"0": 1})
    assert answer["resumed"] is True
    connected.ask(op="logout")
    connected.market.trade(1)
    assert len(connected.output.of_type("order")) == 1
    assert connected.ask(op="list")["subscriptions"] == []


def test_response_of_a_subscription_repeats_channel_and_symbols(connected: ConnectedClient) -> None:
    for answer in (
        connected.subscribe("ticker", "*"),
        connected.ask(op="unsubscribe", channel="ticker", symbols="*"),
    ):
        assert (answer["status"], answer["channel"], answer["symbols"]) == (200, "ticker", "*")


def test_subscriptions_beyond_the_bound_change_nothing(connected: ConnectedClient) -> None:
    symbols = [f"A{number}" for number in range(sessions.SUBSCRIPTIONS_MAX)]
    assert connected.subscribe("ladder", symbols)["status"] == 200
    answer = connected.subscribe("trades", ["B"])
    assert (answer["status"], answer["problem"]["code"]) == (422, "invalid")
    assert len(connected.client.subjects) == sessions.SUBSCRIPTIONS_MAX
    connected.ask(op="login", key=KEY)
    more = sessions.SUBSCRIPTIONS_KEYED_MAX - sessions.SUBSCRIPTIONS_MAX
    assert connected.subscribe("trades", [f"B{number}" for number in range(more)])["status"] == 200
    assert connected.subscribe("trades", ["C"])["status"] == 422
    assert connected.ask(op="subscribe", channel="orders")["status"] == 422
    assert len(connected.client.subjects) == sessions.SUBSCRIPTIONS_KEYED_MAX


def test_subscription_with_last_sends_known_trades_after_the_response(
    connected: ConnectedClient,
) -> None:
    while len(connected.market.trades) < 20:
        connected.market.trade(10)
    connected.market.flush()
    assert connected.subscribe("trades", ["S0"], last=2)["status"] == 200
    symbol = [trade for trade in connected.market.trades if trade["symbol"] == "S0"]
    assert connected.output.received[-2:] == symbol[-2:]


def test_clients_that_come_back_are_counted_by_what_they_missed(
    connected: ConnectedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts() -> list[float]:
        return [
            STREAM_RESUMES.labels(channel, result)._value.get()
            for channel in ("trades", "orders")
            for result in ("complete", "incomplete")
        ]

    monkeypatch.setattr(feed_market, "LAST_TRADES_MAX", 5)
    market = connected.market
    market.trade(300)
    market.flush()
    newest = market.views.trade_sequence("S0")
    before = counts()
    connected.ask(op="login", key=KEY)
    connected.subscribe("trades", ["S0"], after={"S0": newest - 5})
    connected.subscribe("trades", ["S0"], after={"S0": newest - 6})
    connected.subscribe("trades", ["S0"])
    connected.ask(op="subscribe", channel="orders", after={})
    connected.ask(op="subscribe", channel="orders", after={"0": 1_000_000})
    connected.ask(op="subscribe", channel="orders")
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 1, 1]


def test_trade_beyond_the_newest_is_refused(connected: ConnectedClient) -> None:
    assert connected.subscribe("trades", ["S0"], after={"S0": 1})["status"] == 422


def test_book_with_too_many_levels_is_refused(
    connected: ConnectedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.feeds.hub.BOOK_LEVELS_MAX", 0)
    connected.market.trade(60)
    answer = connected.subscribe("book", ["S0"])
    assert (answer["status"], answer["problem"]["code"]) == (409, "book_too_deep")
    assert connected.subscribe("ladder", ["S0"])["status"] == 200


def test_resync_sends_a_whole_book_of_a_subscription_only(connected: ConnectedClient) -> None:
    assert connected.ask(op="resync", channel="book", symbols=["S0"])["status"] == 422
    connected.subscribe("book", ["S0"])
    connected.market.flush()
    connected.ask(op="resync", channel="book", symbols=["S0"])
    connected.market.flush()
    reasons = [each["reason"] for each in connected.output.of_type("book_snapshot")]
    assert reasons == ["subscribed", "resync"]


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "subscribe", "channel": "orders", "symbols": "*"},
        {"op": "subscribe", "channel": "book", "symbols": "*"},
        {"op": "subscribe", "channel": "candles", "symbols": "*"},
        {"op": "subscribe", "channel": "candles", "symbols": ["S0"], "interval": "100ms"},
        {"op": "subscribe", "channel": "candles", "symbols": ["S0"], "interval": "2m"},
        {"op": "subscribe", "channel": "ticker", "symbols": ["S0"], "interval": "1m"},
        {"op": "subscribe", "channel": "book", "symbols": []},
        {"op": "subscribe", "channel": "book", "symbols": ["petr4"]},
        {"op": "subscribe", "channel": "trades", "symbols": ["S0"], "last": 251},
        {"op": "subscribe", "channel": "trades", "symbols": ["S0"], "after": {"S0": -1}},
        {"op": "subscribe", "channel": "trades", "symbols": ["S0"], "after": {"lower": 1}},
        {"op": "subscribe", "channel": "ladder", "symbols": ["S0"], "depth": 11},
        {"op": "subscribe", "channel": "book", "symbols": ["S0"], "unknown": 1},
        {"op": "place"},
        {},
    ],
)
def test_unacceptable_operation_is_answered_422(
    connected: ConnectedClient, fields: dict[str, object]
) -> None:
    assert connected.ask(**fields)["status"] == 422
    assert len(connected.client.subjects) == 0


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b'{"op":"ping"}', b'{"id":1.5}'])
def test_message_without_a_usable_id_is_an_error_and_the_third_ends(
    connected: ConnectedClient, text: bytes
) -> None:
    for _ in range(3):
        assert not connected.output.cuts
        connected.session.receive(text)
        assert connected.output.received[-1]["type"] == "error"
    assert connected.output.cuts == [(sessions.POLICY, "invalid_messages")]


def test_text_that_is_not_utf8_ends_the_connection(connected: ConnectedClient) -> None:
    connected.session.receive(b'{"op":"ping","id":"\xff"}')
    assert connected.output.cuts == [(sessions.INVALID_TEXT, "invalid_text")]


def test_operations_beyond_the_rate_are_answered_429_and_finally_end(
    connected: ConnectedClient,
) -> None:
    statuses = [connected.ask(op="ping")["status"] for _ in range(sessions.OPERATIONS_BURST + 1)]
    assert statuses == [200] * sessions.OPERATIONS_BURST + [429]
    connected.now_s = 1.0
    assert connected.ask(op="ping")["status"] == 200
    for _ in range(sessions.OPERATIONS_PER_SECOND + sessions.LIMITED_MAX):
        connected.ask(op="ping")
    assert connected.output.cuts[0] == (sessions.TOO_MANY_OPERATIONS, "too_many_operations")


def test_broker_with_too_many_connections_is_refused(
    connected: ConnectedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "STREAMS_PER_BROKER", 1)
    assert connected.ask(op="login", key=KEY)["status"] == 200
    client, output = connected.market.client()
    hello = Hello(1, "log", "boot", 0, True, 1, 5)
    entry = OrderEntry(RecordedCalls(), "desk/boot/1")
    other = FeedSession(connected.market.hub, client, connected.keys, hello, lambda: 0.0, entry)
    other.receive(b'{"op":"login","id":1,"key":"mx_alfa"}')
    assert output.received[-1]["status"] == 429


def test_output_that_records_keeps_types_apart() -> None:
    output = RecordingOutput()
    output.write(b"\x81\x0f" + b'{"type": "one"}')
    assert output.of_type("one") == [{"type": "one"}]
    assert output.of_type("two") == []
