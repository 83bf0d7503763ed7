"""Webhooks, where they are offered"""

from conformance.hooks import Hooked, Hooks
from conformance.receiver import Received, Reply
from conformance.trader import Market, expect, expect_answer


def test_registration_with_a_url_gives_a_secret(market: Market, hooks: Hooks) -> None:
    """A broker registered with a URL gets its own secret; one without a URL gets none."""
    one, other = hooks.traders(2)
    assert one.secret.startswith("whsec_"), "expected a secret of the Standard Webhooks form"
    assert one.secret != other.secret, "expected a secret of each broker's own"
    registered = market.registered({"name": "Deaf"})
    assert "webhook_secret" not in registered, "expected no secret for a broker without a URL"


def test_registration_with_a_url_of_another_scheme_is_refused(market: Market, hooks: Hooks) -> None:
    """Webhooks go to http and https; a registration with another URL is refused."""
    for url in ("ftp://a.example/", "file:///etc/passwd", "a.example", "", hooks.receiver.port):
        body = {"name": "Broker", "webhook_url": url}
        answer = market.admin.call("POST", "/register", body)
        expect_answer(f"the URL {url} to be refused", answer, 422, "invalid")
        assert answer.body["errors"][0]["pointer"] == "/webhook_url"


def test_both_sides_of_a_trade_get_one_webhook_each(market: Market, hooks: Hooks) -> None:
    """Buyer and seller each get a signed webhook for their side of a trade, once."""
    symbol, (seller, buyer) = market.symbol(), hooks.traders(2)
    offer = seller.sell(symbol, 100, 1_000)
    bid = buyer.buy(symbol, 30, 1_010)
    buyer.expect_fills(bid, (30, 1_000))
    seller.expect_fills(offer, (30, 1_000))
    seller.expect_events(*seller.events_of(offer))
    buyer.expect_events(*buyer.events_of(bid))
    (sold, bought) = seller.events_of(offer)[0], buyer.events_of(bid)[0]
    assert (sold["side"], sold["order_remaining_quantity"]) == ("ask", 70)
    assert (bought["side"], bought["order_remaining_quantity"]) == ("bid", 0)
    assert sold["trade_id"] == bought["trade_id"], "expected one trade"


def test_order_with_several_fills_gets_a_webhook_for_each_in_order(
    market: Market, hooks: Hooks
) -> None:
    """An order that takes several others gets a webhook per trade, with its remaining quantity."""
    symbol, (first, second, third, taker) = market.symbol(), hooks.traders(4)
    offers = [
        first.sell(symbol, 10, 1_001),
        second.sell(symbol, 20, 1_000),
        third.sell(symbol, 50, 1_002),
    ]
    bid = taker.buy(symbol, 100, 1_002)
    taker.expect_fills(bid, (20, 1_000), (10, 1_001), (50, 1_002))
    events = taker.events_of(bid)
    assert [event["order_remaining_quantity"] for event in events] == [80, 70, 20]
    taker.expect_events(*events)
    for maker, offer in zip((first, second, third), offers, strict=True):
        maker.expect_closed(offer, "filled", maker.order(offer)["quantity"])
        maker.expect_events(*maker.events_of(offer))


def test_webhooks_of_a_broker_arrive_in_the_order_of_its_trades(
    market: Market, hooks: Hooks
) -> None:
    """A broker gets its webhooks in the order of its trades."""
    symbol, (maker, taker) = market.symbol(), hooks.traders(2)
    offers, bids = [], []
    for price in (1_000, 900, 1_100, 950, 1_050):
        offers.append(maker.sell(symbol, 10, price))
        bids.append(taker.buy(symbol, 10, price))
        taker.expect_closed(bids[-1], "filled", 10)
        maker.expect_closed(offers[-1], "filled", 10)
    taker.expect_events(*(event for bid in bids for event in taker.events_of(bid)))
    maker.expect_events(*(event for offer in offers for event in maker.events_of(offer)))


def test_orders_that_do_not_trade_cause_no_webhook(market: Market, hooks: Hooks) -> None:
    """An order that rests, is cancelled or finds no counterparty causes no webhook."""
    symbol, (trader, other) = market.symbol(), hooks.traders(2)
    trader.cancel(trader.sell(symbol, 10, 1_000))
    trader.buy(symbol, 10, 900)
    other.expect_closed(other.buy(symbol, 10), "no_liquidity", 0)
    trader.expect_events()
    other.expect_events()


def test_broker_without_a_url_gets_no_webhook(market: Market, hooks: Hooks) -> None:
    """A broker without a URL gets no webhook and no delivery; the other side gets its own."""
    symbol, deaf, hearing = market.symbol(), market.trader(), hooks.trader()
    deaf.sell(symbol, 10, 1_000)
    bid = hearing.buy(symbol, 10, 1_000)
    hearing.expect_closed(bid, "filled", 10)
    hearing.expect_events(*hearing.events_of(bid))
    listed = expect_answer("deliveries", deaf.api.get("/webhooks/deliveries"), 200).body
    assert listed["deliveries"] == [], "expected no deliveries"
    test = deaf.api.call("POST", "/webhooks/test")
    expect_answer("a test without a URL to be refused", test, 404, "not_found")
    paths = {came.path for came in hooks.receiver.received}
    assert len(paths) == 1, "expected no other webhook"


def test_deliveries_list_every_webhook_newest_first(market: Market, hooks: Hooks) -> None:
    """The list of deliveries shows each webhook, newest first, page by page."""
    symbol, (maker, taker) = market.symbol(), hooks.traders(2)
    offer = maker.sell(symbol, 50, 1_000)
    for _ in range(5):
        taker.buy(symbol, 10, 1_000)
    maker.expect_closed(offer, "filled", 50)
    wanted = [f"{trade['trade_id']}-ask" for trade in maker.order(offer)["trades"]][::-1]
    expect("all to be delivered", True, lambda: delivered(maker, len(wanted)))
    assert [shown["id"] for shown in maker.deliveries()] == wanted
    for shown in maker.deliveries("?status=delivered"):
        assert shown["event"] == "trade_executed"
        assert shown["id"] == f"{shown['trade_id']}-ask"
        assert (shown["last_status"], shown["last_error"]) == (200, None)
        assert shown["attempts"] >= 1
    pages: list[str] = []
    cursor = ""
    while True:
        answer = maker.api.get(f"/webhooks/deliveries?limit=2{cursor}")
        page = expect_answer("a page of deliveries", answer, 200).body
        pages += [shown["id"] for shown in page["deliveries"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == wanted, "expected the pages to hold each delivery once"


def delivered(trader: Hooked, count: int) -> bool:
    """Return whether there are `count` deliveries and all are delivered."""
    return [each["status"] for each in trader.deliveries()] == ["delivered"] * count


def test_test_webhook_is_signed_and_contains_no_trade(hooks: Hooks) -> None:
    """A broker may request a test webhook, which reports no trade."""
    trader = hooks.trader()
    queued = trader.test().body
    expect("the test to come", [queued["id"]], lambda: [r.webhook_id for r in trader.received()])
    test_id = queued["id"].removesuffix("-test")
    assert trader.events() == [{"event": "test", "test_id": test_id}]
    assert queued["trade_id"] is None


def test_replay_sends_the_same_webhook_with_its_id(market: Market, hooks: Hooks) -> None:
    """A replayed webhook has the same id and the same body."""
    symbol, (maker, taker) = market.symbol(), hooks.traders(2)
    maker.sell(symbol, 10, 1_000)
    bid = taker.buy(symbol, 10, 1_000)
    taker.expect_closed(bid, "filled", 10)
    expect("it to be delivered", True, lambda: delivered(taker, 1))
    (first,) = taker.received()
    again = taker.api.call("POST", f"/webhooks/deliveries/{first.webhook_id}/replay")
    assert expect_answer("a replay", again, 200).body["status"] == "pending"
    expect("it to come again", 2, lambda: len(taker.received()))
    second = taker.received()[1]
    assert (second.webhook_id, second.body) == (first.webhook_id, first.body)
    taker.verified(second)


def test_deliveries_of_another_broker_are_unknown(hooks: Hooks) -> None:
    """Deliveries of another broker can be neither seen nor replayed."""
    owner, other = hooks.traders(2)
    delivery = owner.test().body["id"]
    replay = other.api.call("POST", f"/webhooks/deliveries/{delivery}/replay")
    expect_answer("another broker's delivery to be unknown", replay, 404, "not_found")
    assert other.deliveries() == [], "expected no deliveries of another broker"


def test_rotated_secret_and_the_former_one_both_sign(hooks: Hooks) -> None:
    """After a rotation webhooks are signed with the new secret, and with the former as well."""
    trader = hooks.trader()
    answer = trader.api.call("POST", "/webhooks/secret/rotate")
    rotated = expect_answer("a rotation", answer, 200).body["webhook_secret"]
    assert rotated != trader.secret

    def signatures() -> int:
        trader.test()
        return max((came.headers["webhook-signature"].count("v1,") for came in trader.received()),
                   default=0)  # fmt: skip

    expect("two signatures", 2, signatures)
    came = next(r for r in trader.received() if r.headers["webhook-signature"].count("v1,") == 2)
    trader.verified(came)
    trader.verified(came, rotated)


def test_failed_webhook_is_sent_again_with_its_id(market: Market, hooks: Hooks) -> None:
    """A refused webhook is sent again with the same id and body; none is lost."""
    refused: list[str] = []

    def refuse_the_first(came: Received) -> Reply:
        if refused:
            return Reply()
        refused.append(came.webhook_id)
        return Reply(503)

    hooks.receiver.script = refuse_the_first
    symbol, maker, taker = market.symbol(), market.trader(), hooks.trader()
    for _ in range(3):
        maker.sell(symbol, 10, 1_000)
    bid = taker.buy(symbol, 30, 1_000)
    taker.expect_closed(bid, "filled", 30)
    expect("all to be delivered", True, lambda: delivered(taker, 3))
    came = [each for each in taker.received() if each.webhook_id == refused[0]]
    assert len(came) == 2, "expected the refused one to come twice"
    assert came[0].body == came[1].body
    arrived = [event["trade_id"] for event in taker.events()]
    assert sorted(arrived) == sorted(event["trade_id"] for event in taker.events_of(bid))


def test_redirect_is_a_failure_and_is_not_followed(hooks: Hooks) -> None:
    """A redirect of the receiver is not followed."""
    elsewhere = f"{hooks.receiver.url}/elsewhere"
    hooks.receiver.script = lambda _: Reply(307, {"Location": elsewhere})
    trader = hooks.trader()
    trader.test()

    def last_status() -> str:
        return str(trader.deliveries()[0]["last_status"])

    expect("the redirect to be what the receiver answered", "307", last_status)
    assert not [came for came in hooks.receiver.received if came.path.endswith("elsewhere")]
