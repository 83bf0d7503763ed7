"""Batches, where they are offered"""

from typing import Any

from conformance.trader import Market, Trader, expect_answer

PATH = "/orders/batch"


def place(symbol: str, side: str, quantity: int, price: int, client_order_id: str) -> Any:
    """An item that places an order."""
    order = {"document_number": "12345678901", "side": side, "symbol": symbol}
    more = {"quantity": quantity, "price": price, "client_order_id": client_order_id}
    return {"place": order | more}


def results(trader: Trader, *items: Any) -> list[dict[str, Any]]:
    """The results of a batch; each item has one."""
    __tracebackhide__ = True
    answer = trader.api.call("POST", PATH, {"items": items}, {"Prefer": "wait=10"})
    found = list(expect_answer("the results of a batch", answer, 200).body["results"])
    assert len(found) == len(items), "expected one result for each item"
    return found


def test_each_item_of_a_batch_has_its_own_result(market: Market) -> None:
    """Items have the results of their single calls, in their order; one that fails stops none."""
    market.require(PATH)
    symbol, (trader, other) = market.symbol(), market.traders(2)
    mine, foreign = trader.buy(symbol, 1, 100), other.buy(symbol, 2, 100)
    bid = place(symbol, "bid", 3, 100, "mine-1")
    found = results(
        trader,
        bid,
        {"cancel": {"order_id": foreign}},
        bid,
        place(symbol, "bid", 4, 100, "mine-1"),
        {"cancel": {"order_id": mine}},
        place(symbol, "bid", 5, 100, "mine-2"),
    )
    assert [each["status"] for each in found] == [201, 404, 200, 409, 204, 201]
    assert found[1]["problem"]["code"] == "order_not_found"
    assert found[3]["problem"]["code"] == "client_order_id_reused"
    assert found[2]["order"]["order_id"] == found[0]["order"]["order_id"]
    other.expect_open(foreign, 2)
    trader.expect_closed(mine, "cancelled", 0)
    trader.expect_bids(symbol, (100, 10, 3))


def test_items_for_a_symbol_take_effect_in_their_order(market: Market) -> None:
    """Orders of a batch have the priority of their places in it, and trade with those before."""
    market.require(PATH)
    symbol, (seller, buyer) = market.symbol(), market.traders(2)
    offers = [place(symbol, "ask", number, 100, f"ask-{number}") for number in range(1, 41)]
    crossing = place(symbol, "bid", 3, 100, "bid-1")
    placed = results(seller, *offers, crossing)
    assert [each["status"] for each in placed] == [201] * 41
    assert [trade["quantity"] for trade in placed[40]["order"]["trades"]] == [1, 2]
    taking = buyer.buy(symbol, 3 + 4 + 1, 100)
    buyer.expect_fills(taking, (3, 100), (4, 100), (1, 100))


def test_item_names_an_order_by_its_client_order_id(market: Market) -> None:
    """A symbol and client order id name an order of an earlier item, or an older one."""
    market.require(PATH)
    symbol, trader = market.symbol(), market.trader()
    name = {"symbol": symbol, "client_order_id": "mine-1"}
    bid = place(symbol, "bid", 3, 100, "mine-1")
    first = results(trader, bid, place(symbol, "bid", 4, 100, "mine-2"), {"cancel": name})
    assert [each["status"] for each in first] == [201, 201, 204]
    trader.expect_closed(first[0]["order"]["order_id"], "cancelled", 0)
    second = results(
        trader,
        {"replace": name | {"client_order_id": "mine-2", "quantity": 2}},
        {"cancel": name | {"client_order_id": "mine-3"}},
    )
    assert [each["status"] for each in second] == [200, 404]
    trader.expect_bids(symbol, (100, 2, 1))


def test_batch_with_a_fault_changes_nothing(market: Market) -> None:
    """A batch with a faulty item is refused as a whole, and the fault is named."""
    market.require(PATH)
    symbol, trader = market.symbol(), market.trader()
    resting = trader.buy(symbol, 1, 100)
    faulty = place(symbol, "bid", 0, 100, "mine-2")
    items = [place(symbol, "bid", 3, 100, "mine-1"), {"cancel": {"order_id": resting}}, faulty]
    answer = trader.api.call("POST", PATH, {"items": items})
    expect_answer("the fault", answer, 422, "invalid")
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/items/2/place/quantity"]
    for count in (0, 101):
        answer = trader.api.call("POST", PATH, {"items": [{"cancel": {"order_id": "x"}}] * count})
        expect_answer(f"a batch of {count} items to be refused", answer, 422, "invalid")
    trader.expect_open(resting, 1)
    trader.expect_bids(symbol, (100, 1, 1))
