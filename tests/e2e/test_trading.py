"""The seven REST calls from a broker's view, through every process of the exchange."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from conformance.api import Answer, Api, eventually
from schemas import ids
from tests.support.exchange import Exchange


def answered_before_its_end(place: Callable[[datetime], Answer]) -> tuple[Answer, datetime]:
    """The answer to an order, and its end, which is soon but after the answer."""
    for seconds in (1.5, 6.0, 24.0):
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        answer = place(until)
        if datetime.now(UTC) < until:
            return answer, until
    raise AssertionError("no order is answered before its end")


def test_order_crossing_another_trades_at_the_makers_price(exchange: Exchange) -> None:
    symbol, seller, buyer = exchange.symbol(), exchange.broker("S"), exchange.broker("B")
    resting = seller.place("ask", symbol, 100, 1000)
    assert resting.status == 201
    assert resting.headers["location"] == f"/orders/{resting.body['order_id']}"
    assert (resting.body["status"], resting.body["remaining_quantity"]) == ("open", 100)

    taking = buyer.place("bid", symbol, 30, 1010)
    assert taking.status == 201
    assert (taking.body["status"], taking.body["closed_reason"]) == ("closed", "filled")
    assert taking.body["average_price"] == 1000
    (trade,) = taking.body["trades"]
    assert (trade["price"], trade["quantity"]) == (1000, 30)

    maker = seller.order(resting.body["order_id"])
    assert (maker["remaining_quantity"], maker["filled_quantity"]) == (70, 30)
    assert maker["trades"][0]["trade_id"] == trade["trade_id"]
    price = buyer.get(f"/stocks/{symbol}/price").body
    assert (price["last_price"], price["average_price"]) == (1000, 1000)
    assert price["trades_in_average"] == 1
    book = buyer.get(f"/stocks/{symbol}/book").body
    assert book["asks"] == [{"price": 1000, "total_quantity": 70, "order_count": 1}]
    assert book["bids"] == []


def test_balance_after_a_trade_sums_to_zero(exchange: Exchange) -> None:
    symbol, seller, buyer = exchange.symbol(), exchange.broker("S"), exchange.broker("B")
    seller.place("ask", symbol, 7, 500)
    buyer.place("bid", symbol, 7, 500)
    sold, bought = seller.get("/balance").body, buyer.get("/balance").body
    assert (sold["balance"], bought["balance"]) == (3500, -3500)
    assert sold["positions"] == [{"symbol": symbol, "quantity": -7}]
    assert bought["positions"] == [{"symbol": symbol, "quantity": 7}]
    assert sold["broker_name"] == "S"


def test_cancel_of_an_open_order_removes_it_from_the_book(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    order = broker.place("bid", symbol, 10, 100).body
    assert broker.cancel(order["order_id"]).status == 204
    assert broker.cancel(order["order_id"]).status == 204
    assert broker.order(order["order_id"])["closed_reason"] == "cancelled"
    assert broker.get(f"/stocks/{symbol}/book").body["bids"] == []


def test_cancel_of_a_filled_order_is_409_with_the_order(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    order = broker.place("ask", symbol, 10, 100).body
    broker.place("bid", symbol, 10, 100)
    answer = broker.cancel(order["order_id"])
    assert (answer.status, answer.body["code"]) == (409, "too_late_to_cancel")
    assert answer.body["order"]["closed_reason"] == "filled"


def first_certain(call: Callable[[], Answer]) -> Answer:
    """First answer other than 503; a busy machine gives 503 until it knows the log's end."""
    answers: list[Answer] = []

    def is_certain() -> bool:
        answers.append(call())
        return answers[-1].status != 503

    eventually("a certain answer", is_certain)
    return answers[-1]


def test_order_of_another_broker_is_answered_like_an_unknown_order(exchange: Exchange) -> None:
    symbol, owner, other = exchange.symbol(), exchange.broker(), exchange.broker()
    order = owner.place("bid", symbol, 10, 100).body
    unknown = ids.order_id(ids.created_ms(order["order_id"]), 0, 12345)
    before = exchange.log_ends()
    answers = [
        first_certain(lambda: other.get(f"/orders/{order['order_id']}")),
        first_certain(lambda: other.get(f"/orders/{unknown}")),
        first_certain(lambda: other.cancel(order["order_id"])),
        first_certain(lambda: other.cancel(unknown)),
    ]
    assert [answer.status for answer in answers] == [404] * 4
    assert {answer.body["detail"] for answer in answers[:2]} == {answers[0].body["detail"]}
    assert exchange.log_ends() == before
    assert owner.order(order["order_id"])["status"] == "open"


def test_market_order_larger_than_the_book_fills_in_part_and_closes(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    broker.place("ask", symbol, 4, 100)
    answer = broker.place("bid", symbol, 10, None)
    assert (answer.status, answer.body["closed_reason"]) == (201, "no_liquidity")
    assert (answer.body["filled_quantity"], answer.body["remaining_quantity"]) == (4, 6)


def test_ten_brokers_crossing_one_order_make_exactly_one_trade(exchange: Exchange) -> None:
    symbol, maker = exchange.symbol(), exchange.broker("maker")
    resting = maker.place("ask", symbol, 10, 100).body
    takers = [exchange.broker(f"taker {number}") for number in range(10)]

    def hit(taker: Api) -> dict[str, object]:
        answer = taker.place("bid", symbol, 10, 100)
        assert answer.status == 201
        return dict(answer.body)

    with ThreadPoolExecutor(len(takers)) as pool:
        orders = list(pool.map(hit, takers))
    assert sorted(str(order["closed_reason"]) for order in orders) == ["None"] * 9 + ["filled"]
    assert len(maker.order(resting["order_id"])["trades"]) == 1


def test_repeated_client_order_id_makes_no_second_order(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()
    first = broker.place("bid", symbol, 10, 100, client_order_id="mine-1")
    again = broker.place("bid", symbol, 10, 100, client_order_id="mine-1")
    other = broker.place("bid", symbol, 11, 100, client_order_id="mine-1")
    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert again.body["order_id"] == first.body["order_id"]
    assert other.body["code"] == "client_order_id_reused"
    assert broker.get(f"/stocks/{symbol}/book").body["bids"][0]["order_count"] == 1


def test_retry_after_valid_until_returns_the_first_order(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()

    def buy(until: datetime, client_order_id: str | None = None) -> Answer:
        name, end = client_order_id or f"mine-{until.timestamp()}", until.isoformat()
        return broker.place("bid", symbol, 10, 100, valid_until=end, client_order_id=name)

    def trade(until: datetime) -> Answer:
        broker.place("ask", symbol, 10, 100)
        return buy(until)

    first, until = answered_before_its_end(trade)
    assert (first.status, first.body["closed_reason"]) == (201, "filled")
    eventually("its end", lambda: datetime.now(UTC) > until)
    again = buy(until)
    assert (again.status, again.body) == (200, first.body)
    # An order whose first attempt was not stored is accepted, and expires at once.
    broker.place("ask", symbol, 10, 100)
    late = buy(until, "late")
    assert (late.status, late.body["closed_reason"], late.body["trades"]) == (201, "expired", [])


def test_order_past_its_validity_expires_without_other_orders(exchange: Exchange) -> None:
    symbol, broker = exchange.symbol(), exchange.broker()

    def bid(until: datetime) -> Answer:
        return broker.place("bid", symbol, 10, 100, valid_until=until.isoformat())

    order = answered_before_its_end(bid)[0].body
    assert order["status"] == "open"
    eventually("expiry", lambda: broker.order(order["order_id"])["closed_reason"] == "expired")
    assert broker.get(f"/stocks/{symbol}/book").body["bids"] == []
