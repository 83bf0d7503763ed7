"""Messages of the executions topic, from the matcher: claims, and the outcome of every command.

Past tense; frozen; without cycles, so the garbage collector skips them; self-contained: reader,
sink and audit need no other topic. The nth outcome of a record belongs to the command at
`first_offset + n`.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.instruments import InstrumentRules, Phase
from schemas.quotas import Quotas
from schemas.units import ClosedReason, OrderType, SelfTradePrevention, Side, TimeInForce

RefusalCode = Literal[
    "malformed_command",
    "duplicate_order_id",
    "client_order_id_reused",
    "order_not_open",
    "not_owner",
    "stale_order_id",
    "too_many_open_orders",
    "too_many_symbols",
    "too_many_client_order_ids",
    "post_only_would_trade",
    "needs_reference_price",
    "off_tick",
    "off_lot",
    "over_max_quantity",
    "over_max_value",
    "outside_price_band",
    "needs_instrument",
    "not_amendable",
    "stop_would_trigger",
    "market_halted",
    "market_closed",
    "phase_differs",
]

# Levels of the rules, each with all of those before: quotas; conditions of orders; changes of open
# orders, and instruments; controls of a market, of a broker's orders and of what an order shows;
# claims with a nonce, and order ids with an origin, which older programs take for no ids.
CONDITIONS_LEVEL: Final = 3
CHANGES_LEVEL: Final = 4
CONTROLS_LEVEL: Final = 5
NONCE_LEVEL: Final = 6
ORIGINS_LEVEL: Final = NONCE_LEVEL
# The lowest level of an exchange whose log lacks its claims: earlier versions never trim a log.
TRIMMED_LEVEL: Final = CONDITIONS_LEVEL
# The level that this program follows; matchers claim with it.
RULES_LEVEL: Final = NONCE_LEVEL

# An epoch is a nonce times this, plus the offset of its claim.
_CLAIM_OFFSETS: Final = 1 << 40
# Exclusive: epochs fit into 63 bits.
NONCES: Final = 1 << 22


class Fill(Struct, frozen=True, omit_defaults=True, gc=False):
    """One execution of the accepted order against a resting one, at the resting order's price.

    `sequence` numbers the symbol's trades from 1 without a gap. `maker_displayed_quantity`: of an
    iceberg order, the part of its remaining quantity that the book shows after the fill.
    """

    trade_id: str
    sequence: int
    price: int
    quantity: int
    maker_order_id: str
    maker_broker_id: str
    maker_remaining_quantity: int
    maker_displayed_quantity: int | None = None


class Prevented(Struct, frozen=True, gc=False):
    """A resting order of the taker's broker and document, with which the taker did not trade.

    `quantity`: its remaining quantity when it closed; 0: it stays. `after_fills`: the number of the
    taker's fills before it came to this order.
    """

    maker_order_id: str
    quantity: int
    after_fills: int


class OrderAccepted(
    Struct, frozen=True, tag_field="type", tag="order_accepted", omit_defaults=True, gc=False
):
    """The order was accepted: its state after matching, and its fills in order.

    `closed_reason` None: it rests. `remaining_quantity` is the unfilled part, also when closed.
    `book_sequence` is the symbol's book sequence after this command.
    """

    order_id: str
    broker_id: str
    document_number: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    remaining_quantity: int
    book_sequence: int
    price: int | None = None
    valid_until: int | None = None
    client_order_id: str | None = None
    closed_reason: ClosedReason | None = None
    fills: tuple[Fill, ...] = ()


class OrderEntered(
    OrderAccepted, frozen=True, tag_field="type", tag="order_entered", omit_defaults=True
):
    """An order with conditions was accepted; the conditions are those of its command.

    `no_liquidity` closes the part that did not trade at once. A fill-or-kill order, and one whose
    minimum was not reached, has no fill then. With a `stop_price` and not closed, it is parked
    outside the book until a `StopElected`. `displayed_quantity`: the part of a resting iceberg
    order's remaining quantity that the book shows. `prevented`: own orders that it came to.
    """

    time_in_force: TimeInForce | None = None
    post_only: bool = False
    minimum_quantity: int | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    displayed_quantity: int | None = None
    self_trade_prevention: SelfTradePrevention | None = None
    prevented: tuple[Prevented, ...] = ()


class OrderCancelled(Struct, frozen=True, tag_field="type", tag="order_cancelled", gc=False):
    """The broker cancelled the order, with `remaining_quantity` not filled."""

    order_id: str
    broker_id: str
    symbol: str
    remaining_quantity: int
    book_sequence: int


class CancelledOrder(Struct, frozen=True, gc=False):
    """One of many orders that were cancelled together, with `remaining_quantity` not filled."""

    order_id: str
    symbol: str
    remaining_quantity: int
    book_sequence: int


class OrdersCancelled(
    Struct, frozen=True, tag_field="type", tag="orders_cancelled", omit_defaults=True, gc=False
):
    """These orders of the broker were cancelled, oldest first. `more`: others are still open,
    because one command cancels a bounded number."""

    broker_id: str
    request: str
    orders: tuple[CancelledOrder, ...] = ()
    more: bool = False


class OrderAmended(
    Struct, frozen=True, tag_field="type", tag="order_amended", omit_defaults=True, gc=False
):
    """Values of an open order were replaced: its state after it, and its fills as a taker.

    `kept_priority`: it kept its place in the book; otherwise it arrived anew, perhaps traded, and
    rests behind the others at its price. `quantity` None: never amended. `former_price` is that of
    the level that it left or that lost quantity; None: no level changed. `closed_reason` cancelled:
    nothing was left to fill, and its values stayed, or the bound on fills was reached. Only iceberg
    orders have a `display_quantity` (0: from its next slice on it shows all) and, while they rest,
    a `displayed_quantity`; only stop orders that wait a `stop_price`. `price` None: it takes as a
    market order once it is elected.
    """

    order_id: str
    broker_id: str
    request: str
    symbol: str
    side: Side
    price: int | None
    remaining_quantity: int
    book_sequence: int
    quantity: int | None = None
    valid_until: int | None = None
    kept_priority: bool = False
    former_price: int | None = None
    closed_reason: ClosedReason | None = None
    fills: tuple[Fill, ...] = ()
    display_quantity: int | None = None
    displayed_quantity: int | None = None
    stop_price: int | None = None
    prevented: tuple[Prevented, ...] = ()


class OrderRepeated(Struct, frozen=True, tag_field="type", tag="order_repeated", gc=False):
    """A retry with the same client order id and content: `original_order_id` remains valid."""

    order_id: str
    broker_id: str
    original_order_id: str


class CommandRefused(
    Struct, frozen=True, tag_field="type", tag="command_refused", omit_defaults=True, gc=False
):
    """The command was refused and changed nothing. Ids are absent if it was unreadable.

    `original_order_id` names the order that already uses the client order id. `request` is that of
    the command, if it has one.
    """

    code: RefusalCode
    order_id: str | None = None
    broker_id: str | None = None
    original_order_id: str | None = None
    request: str | None = None


class Ticked(Struct, frozen=True, tag_field="type", tag="ticked", gc=False):
    """The clock advanced; orders that were due have expired."""


class QuotasSet(Struct, frozen=True, tag_field="type", tag="quotas_set", gc=False):
    """These quotas apply from this command on."""

    quotas: Quotas


class InstrumentSet(
    Struct, frozen=True, tag_field="type", tag="instrument_set", omit_defaults=True, gc=False
):
    """The instrument of a symbol from this command on. `reference_price` holds until the next
    trade, which is the one after `trade_sequence`."""

    symbol: str
    request: str
    rules: InstrumentRules
    reference_price: int
    phase: Phase
    book_sequence: int
    trade_sequence: int


class PhaseSet(Struct, frozen=True, tag_field="type", tag="phase_set", gc=False):
    """The phase of a symbol from this command on; `previous` equal to it: nothing changed.

    `closed` ends the day orders of the symbol: from the next outcome on they are in `expired`.
    Stops that the reference price has reached at the return to `continuous` are in `after`.
    """

    symbol: str
    request: str
    previous: Phase
    phase: Phase
    book_sequence: int


# Events of one order at most, besides the orders that it traded with.
SingleEvent = (
    OrderAccepted
    | OrderEntered
    | OrderAmended
    | OrderCancelled
    | OrderRepeated
    | CommandRefused
    | Ticked
    | QuotasSet
    | InstrumentSet
    | PhaseSet
)
Event = SingleEvent | OrdersCancelled


class StopElected(
    Struct, frozen=True, tag_field="type", tag="stop_elected", omit_defaults=True, gc=False
):
    """A parked stop order was elected: its state after matching.

    `trigger_price`: of the trade that reached it, or the reference price at the return to
    continuous trading.
    `price`: its limit; None: it is a market order now. The other fields as in `OrderAccepted`.
    """

    order_id: str
    broker_id: str
    symbol: str
    side: Side
    trigger_price: int
    remaining_quantity: int
    book_sequence: int
    price: int | None = None
    valid_until: int | None = None
    closed_reason: ClosedReason | None = None
    fills: tuple[Fill, ...] = ()
    prevented: tuple[Prevented, ...] = ()


# Further effects of a command, besides its own event.
Effect = StopElected


class Expired(Struct, frozen=True, gc=False):
    """An order that reached its end with `remaining_quantity` not filled: `valid_until`, or the
    close of its symbol."""

    order_id: str
    broker_id: str
    symbol: str
    remaining_quantity: int
    book_sequence: int


class Outcome(Struct, frozen=True, omit_defaults=True, gc=False):
    """All effects of one command. `time` is the partition's clock in milliseconds.

    The orders in `expired` left before everything else, in this order. `before` the event:
    elections that the bounds of earlier commands had postponed; `after` it: those that it caused.
    All of their trades count from 0 together, in this order.
    """

    time: int
    event: Event
    expired: tuple[Expired, ...] = ()
    before: tuple[Effect, ...] = ()
    after: tuple[Effect, ...] = ()


class Claim(Struct, frozen=True, tag_field="type", tag="claim", gc=False):
    """A matcher claims the partition. `epoch_of` gives its epoch."""

    matcher: str


class LevelClaim(
    Struct, frozen=True, tag_field="type", tag="claim_2", omit_defaults=True, gc=False
):
    """A claim by a matcher that follows the rules up to `level`.

    Programs that know only `Claim`, or a lower level, cannot read it and stop: they would give
    other outcomes to the commands behind it. `nonce`: drawn at random, because a power cut can take
    a claim whose matcher lives on, and another claim can get the same offset.
    """

    matcher: str
    level: int
    nonce: Annotated[int, Meta(ge=0, lt=NONCES)] = 0


class Outcomes(Struct, frozen=True, tag_field="type", tag="outcomes", gc=False):
    """The outcomes of consecutive commands. Valid only in the current epoch and in sequence."""

    epoch: int
    first_offset: int
    outcomes: tuple[Outcome, ...]

    @property
    def next_command(self) -> int:
        """The command behind the last outcome."""
        return self.first_offset + len(self.outcomes)


Execution = Claim | LevelClaim | Outcomes


def epoch_of(claim: Claim | LevelClaim, offset: int) -> int:
    """The epoch that begins with the claim at this offset of the executions."""
    nonce = claim.nonce if isinstance(claim, LevelClaim) else 0
    return nonce * _CLAIM_OFFSETS + offset


def claim_offset(epoch: int) -> int:
    """The offset of the claim with which the epoch begins."""
    return epoch % _CLAIM_OFFSETS


def claim_nonce(epoch: int) -> int:
    """The nonce of the claim with which the epoch begins; 0: a claim without one."""
    return epoch // _CLAIM_OFFSETS
