"""Random command flows with few prices, ids and brokers, so that orders often cross, expire, repeat
and collide. The same seed gives the same flow under any hash seed.
"""

import random
from collections.abc import Iterator
from typing import get_args

from msgspec import Struct, structs

from schemas import ids
from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
    Tick,
)
from schemas.instruments import InstrumentRules, Phase
from schemas.quotas import Quotas
from schemas.units import SelfTradePrevention, Side, TimeInForce
from services.matcher.rules import Rules
from tests.support.orders import START_MS, broker_id

SIDES: tuple[Side, Side] = ("bid", "ask")


class Step(Struct, frozen=True):
    """One record of the command log: offset, timestamp and command (None: unreadable)."""

    offset: int
    timestamp: int
    command: Command | None


class Shape(Struct, frozen=True):
    """Parameters of a flow: the sizes of the sets from which its values are drawn."""

    symbols: int
    brokers: int
    orders: int
    prices: int
    quantities: int
    client_ids: int
    lifetimes_ms: int
    cancels: float
    markets: float
    quotas: bool
    conditions: float
    instruments: float
    stops: float
    amendments: float
    mass_cancels: float
    icebergs: float
    preventions: float
    bands: bool
    phases: float
    days: float


def random_shape(rng: random.Random) -> Shape:
    """A shape between a single price of a single symbol and a wide market."""
    return Shape(
        symbols=rng.choice((1, 1, 2, 4)),
        brokers=rng.choice((1, 2, 4)),
        orders=rng.choice((6, 20, 40)),
        prices=rng.choice((1, 4, 10)),
        quantities=rng.choice((1, 5, 30)),
        client_ids=rng.choice((1, 4, 12)),
        lifetimes_ms=rng.choice((5, 50, 250)),
        cancels=rng.choice((0.05, 0.25)),
        markets=rng.choice((0.02, 0.2)),
        quotas=rng.random() < 0.4,
        conditions=rng.choice((0.0, 0.0, 0.3, 0.7)),
        instruments=rng.choice((0.0, 0.0, 0.02, 0.05)),
        stops=rng.choice((0.0, 0.0, 0.3, 0.5)),
        amendments=rng.choice((0.0, 0.2, 0.4)),
        mass_cancels=rng.choice((0.0, 0.0, 0.01, 0.04)),
        icebergs=rng.choice((0.0, 0.0, 0.3, 0.6)),
        preventions=rng.choice((0.0, 0.4, 0.8)),
        bands=rng.random() < 0.5,
        phases=rng.choice((0.0, 0.0, 0.05, 0.2)),
        days=rng.choice((0.0, 0.0, 0.3)),
    )


def random_rules(rng: random.Random) -> Rules:
    """The limits of production in half of the runs, very small ones in the others."""
    whole_book = (rng.choice((1, 3, 1_000)), rng.choice((0, 2, 20_000)))
    if rng.random() < 0.5:
        return Rules(whole_book_every=whole_book[0], whole_book_levels_max=whole_book[1])
    return Rules(
        fills_max=rng.choice((1, 2, 5)),
        expiries_max=rng.choice((1, 2, 5)),
        elections_max=rng.choice((1, 2, 5)),
        cancels_max=rng.choice((1, 2, 5)),
        client_ids_max=rng.choice((1, 2, 5)),
        client_id_window_ms=rng.choice((1, 10, 50)),
        client_id_block=rng.choice((1, 2, 20)),
        order_id_window_ms=rng.choice((20, 300)),
        whole_book_every=whole_book[0],
        whole_book_levels_max=whole_book[1],
    )


def flow(rng: random.Random, shape: Shape, commands: int) -> Iterator[Step]:
    """`commands` records whose timestamps advance slowly, sometimes jump and sometimes go back."""
    generator = CommandGenerator(rng, shape)
    now = START_MS
    for offset in range(commands):
        now += rng.choice((0, 0, 0, 1, 1, 2, 5))
        if rng.random() < 0.02:
            now += shape.lifetimes_ms
        behind = rng.randint(0, 10) if rng.random() < 0.1 else 0
        yield Step(offset, now - behind, generator.next_command(now))


class CommandGenerator:
    """Commands of all brokers of one flow. Orders sent are kept, to be repeated and cancelled."""

    def __init__(self, rng: random.Random, shape: Shape) -> None:
        self.rng = rng
        self.shape = shape
        self.now = START_MS
        self.has_no_quotas = True
        # A flow with what needs an instrument soon sets these.
        self.symbols_without_instrument = [f"SYM{number}" for number in range(shape.symbols)]
        # Symbols that may be halted or closed.
        self.held: list[str] = []
        self.sent: list[PlaceOrder] = []

    def next_command(self, now: int) -> Command | None:
        """The next command; None is an unreadable record."""
        self.now = now
        draw = self.rng.random()
        if draw < 0.03:
            return None if draw < 0.01 else Tick()
        set_by_operator = self._set_by_operator(draw)
        if set_by_operator is not None:
            return set_by_operator
        if self.rng.random() < self.shape.mass_cancels:
            return self._cancel_all()
        if self.sent and draw < 0.03 + self.shape.cancels:
            return self._cancel()
        if self.sent and self.rng.random() < self.shape.amendments:
            return self._amendment()
        return self._again_or_new()

    def _again_or_new(self) -> PlaceOrder:
        if self.sent and self.rng.random() < 0.03:
            # A record of the log once more, perhaps of an order that is closed.
            return self._recent()
        retries = self.sent and self.rng.random() < 0.15
        order = self._retry() if retries else self._with_conditions(self._order(self.now))
        self.sent.append(order)
        return order

    def _set_by_operator(self, draw: float) -> Command | None:
        if self.shape.quotas and (self.has_no_quotas or draw < 0.035):
            self.has_no_quotas = False
            return self._quotas()
        shape = self.shape
        needs_instruments = (
            shape.stops or shape.preventions or shape.bands or shape.phases or shape.days
        )
        if needs_instruments and self.symbols_without_instrument and self.rng.random() < 0.3:
            symbol = self.symbols_without_instrument.pop()
            reference = 100 + self.shape.prices // 2
            rules = InstrumentRules(band_ppm=self._band())
            return SetInstrument(symbol, "0" * 16, rules, reference)
        if self.shape.instruments and self.rng.random() < self.shape.instruments:
            return self._instrument()
        if self.held and self.rng.random() < 0.2:
            return SetPhase(self.held.pop(), "0" * 16, "continuous")
        if self.rng.random() < self.shape.phases:
            return self._phase() if self.rng.random() < 0.7 else self._reference()
        return None

    def _quotas(self) -> SetQuotas:
        choose = self.rng.choice
        quotas = Quotas(choose((5, 20, 1_000)), choose((1, 2, 1_000)), choose((1, 5, 1_000)))
        return SetQuotas(quotas)

    def _instrument(self) -> SetInstrument:
        """Rules that most orders of the flow keep to, each of which some break."""
        choose = self.rng.choice
        lowest, highest = choose((None, None, 96, 100)), choose((None, None, 104, 112))
        rules = InstrumentRules(
            tick_size=choose((1, 1, 1, 1, 1, 2)),
            lot_size=choose((1, 1, 1, 1, 1, 2)),
            quantity_max=choose((None, None, None, 4, 20)),
            value_max=choose((None, None, None, 400, 2_000)),
            price_min=lowest,
            price_max=highest,
            band_ppm=self._band(),
        )
        reference = choose((None, 100, 102, 104))
        request = f"{self.rng.getrandbits(64):016x}"
        return SetInstrument(self._symbol(), request, rules, reference)

    def _band(self) -> int | None:
        """The width of a dynamic band: a whole and a broken number of cents, or none."""
        return self.rng.choice((None, 10_000, 20_000, 29_500)) if self.shape.bands else None

    def _reference(self) -> SetInstrument:
        """A reference price that a stop order may have reached when its symbol trades again."""
        middle = 100 + self.shape.prices // 2
        reference = middle + self.rng.choice((-1, 1)) * self.rng.randint(0, self.shape.prices)
        return SetInstrument(self._symbol(), "0" * 16, InstrumentRules(), reference)

    def _phase(self) -> SetPhase:
        """A phase; a symbol soon returns to trading."""
        choose, symbol = self.rng.choice, self._symbol()
        phases: tuple[Phase, ...] = ("continuous", "halted", "closed", "closed")
        expected: Phase | None = choose((None, None, None, "continuous", "halted"))
        phase = choose(phases)
        self.held.append(symbol)
        return SetPhase(symbol, f"{self.rng.getrandbits(64):016x}", phase, expected)

    def _recent(self) -> PlaceOrder:
        return self.rng.choice(self.sent[-self.shape.orders :])

    def _order_id(self) -> str:
        if self.sent and self.rng.random() < 0.1:
            return self._recent().order_id
        return ids.order_id(self.now, 3, len(self.sent))

    def _cancel(self) -> CancelOrder:
        order = self._recent()
        is_owner = self.rng.random() < 0.8
        other_broker = broker_id(self.rng.randrange(self.shape.brokers))
        return CancelOrder(order.order_id, order.broker_id if is_owner else other_broker)

    def _cancel_all(self) -> CancelAll:
        """All orders of a broker, often those of one symbol or side only."""
        rng = self.rng
        broker = broker_id(rng.randrange(self.shape.brokers))
        symbol = self._symbol() if rng.random() < 0.3 else None
        side = rng.choice(SIDES) if rng.random() < 0.3 else None
        return CancelAll(broker, f"{rng.getrandbits(64):016x}", symbol, side)

    def _amendment(self) -> AmendOrder:
        """One to three values of a recent order replaced, rarely as the wrong broker."""
        rng, order = self.rng, self.rng.choice(self.sent[-6:])
        values = ["quantity", "price", "valid_until"]
        quantity_max = self.shape.quantities + 3
        waits = isinstance(order, EnterOrder) and order.stop_price is not None
        if waits:
            values.append("stop_price")
        if isinstance(order, EnterOrder) and order.display_quantity is not None:
            values.append("display_quantity")
            # Often less than what the book shows, behind which all hidden shares are cut.
            quantity_max = rng.choice((2, quantity_max))
        changes = rng.sample(values, rng.choice((1, 1, 1, 2, 3)))
        quantity = rng.randint(1, quantity_max) if "quantity" in changes else None
        broker = order.broker_id
        if rng.random() < 0.1:
            broker = broker_id(rng.randrange(self.shape.brokers))
        return AmendOrder(
            order.order_id,
            broker,
            f"{rng.getrandbits(64):016x}",
            quantity,
            None if quantity is None else order.quantity,
            self._price(order.side) if "price" in changes else None,
            self._end(self.now) if "valid_until" in changes else None,
            isinstance(order, EnterOrder) and order.post_only,
            min(rng.randint(0, 3), quantity or 3) if "display_quantity" in changes else None,
            self._stop_price(order.side) if "stop_price" in changes else None,
            waits and rng.random() < 0.95,
        )

    def _retry(self) -> PlaceOrder:
        """A recent order again, sometimes with one field changed."""
        order = structs.replace(self._recent(), order_id=self._order_id())
        changes: dict[str, object] = {
            "quantity": order.quantity + 1,
            "document_number": "2",
            "valid_until": None,
            "side": self.rng.choice(SIDES),
            "broker_id": broker_id(self.rng.randrange(self.shape.brokers)),
            "symbol": self._symbol(),
        }
        if isinstance(order, EnterOrder):
            changes["self_trade_prevention"] = None
            changes |= {"time_in_force": None, "post_only": False, "minimum_quantity": None}
            changes["display_quantity"] = None
        if isinstance(order, EnterOrder) and order.stop_price is not None:
            # Of the other side it would be beyond its stop price.
            del changes["side"]
        field = self.rng.choice([*changes, None, None, None])
        return order if field is None else structs.replace(order, **{field: changes[field]})

    def _symbol(self) -> str:
        return f"SYM{self.rng.randrange(self.shape.symbols)}"

    def _order(self, now: int) -> PlaceOrder:
        rng, shape = self.rng, self.shape
        is_market = rng.random() < shape.markets
        side = rng.choice(SIDES)
        client_id = f"c{rng.randrange(shape.client_ids)}" if rng.random() < 0.3 else None
        return PlaceOrder(
            order_id=self._order_id(),
            broker_id=broker_id(rng.randrange(shape.brokers)),
            document_number=rng.choice("12") if shape.instruments or shape.preventions else "1",
            symbol=self._symbol(),
            side=side,
            order_type="market" if is_market else "limit",
            quantity=rng.randint(1, shape.quantities),
            price=None if is_market else self._price(side),
            valid_until=self._end(now) if rng.random() < 0.4 else None,
            client_order_id=client_id,
        )

    def _with_conditions(self, order: PlaceOrder) -> PlaceOrder:
        """The order, with conditions that go together in a part of the flow."""
        order = self._with_other_conditions(order)
        if self.rng.random() >= self.shape.preventions:
            return order
        fields = structs.asdict(order)
        modes = get_args(SelfTradePrevention)
        return EnterOrder(**fields | {"self_trade_prevention": self.rng.choice(modes)})

    def _with_other_conditions(self, order: PlaceOrder) -> PlaceOrder:
        rng = self.rng
        if rng.random() < self.shape.stops:
            return self._for_day(self._stop(order))
        if order.order_type == "limit" and rng.random() < self.shape.icebergs:
            display = rng.randint(1, rng.choice((1, 2, order.quantity)))
            display = min(display, order.quantity)
            return self._for_day(
                EnterOrder(
                    **structs.asdict(order),
                    post_only=rng.random() < 0.1,
                    display_quantity=display,
                )
            )
        if rng.random() >= self.shape.conditions:
            return self._for_day(order)
        in_force: TimeInForce | None = rng.choice((None, None, "ioc", "ioc", "fok"))
        minimum: int | None = None
        post_only = False
        if in_force is None and order.order_type == "limit" and rng.random() < self.shape.days:
            in_force = "day"
        if in_force in (None, "day") and order.order_type == "limit" and rng.random() < 0.5:
            post_only = True
        elif in_force != "fok" and rng.random() < 0.6:
            minimum = rng.randint(1, rng.choice((1, 1, order.quantity)))
        fields = structs.asdict(order)
        if in_force is not None:
            fields["valid_until"] = None
        return EnterOrder(
            **fields, time_in_force=in_force, post_only=post_only, minimum_quantity=minimum
        )

    def _for_day(self, order: PlaceOrder) -> PlaceOrder:
        """The order, in a part of the flow as a day order if it may wait."""
        is_stop = isinstance(order, EnterOrder) and order.stop_price is not None
        if self.rng.random() >= self.shape.days or (order.order_type == "market" and not is_stop):
            return order
        fields = structs.asdict(order) | {"time_in_force": "day", "valid_until": None}
        return EnterOrder(**fields)

    def _stop(self, order: PlaceOrder) -> EnterOrder:
        """A stop or stop-limit order near the prices that trade, in most cases not reached yet."""
        stop_price, sign = self._stop_price(order.side), 1 if order.side == "bid" else -1
        fields = structs.asdict(order)
        if order.price is not None:
            fields["price"] = stop_price + sign * self.rng.randint(0, 3)
        return EnterOrder(**fields, stop_price=stop_price)

    def _stop_price(self, side: Side) -> int:
        half = self.shape.prices // 2
        distance = self.rng.randint(0, max(1, half))
        return 100 + half + (distance if side == "bid" else -distance)

    def _price(self, side: Side) -> int:
        """A price, in most cases in the half of the price range where orders do not cross."""
        price = 100 + self.rng.randrange(self.shape.prices)
        if self.rng.random() < 0.4:
            return price
        return price - self.shape.prices // 2 if side == "bid" else price + self.shape.prices // 2

    def _end(self, now: int) -> int:
        """An expiry time; most orders share theirs, as at the end of a trading session."""
        lifetime = self.shape.lifetimes_ms
        if self.rng.random() < 0.7:
            return (now // lifetime + 1) * lifetime
        return now + self.rng.randint(-1, lifetime)
