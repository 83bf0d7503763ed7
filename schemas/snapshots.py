"""Messages of a matcher's snapshot: chunks of plain JSON, then a commit record.

A snapshot without its commit is ignored. Rows are arrays, because a state has a million of them.
"""

from typing import Final

from msgspec import Struct

from schemas.commands import EnterOrder
from schemas.instruments import InstrumentRules, Phase
from schemas.quotas import Quotas
from schemas.units import SelfTradePrevention, Side

# A matcher skips snapshots of a version that it does not know.
SNAPSHOT_VERSION: Final = 1
# Of a partition with quotas: the state also contains the quotas, openers and order ids.
SNAPSHOT_VERSION_QUOTAS: Final = 2
# Of a partition with state of rules of level 4, with or without quotas.
SNAPSHOT_VERSION_CHANGES: Final = 3
# Of a partition with state of rules of level 5, with or without the parts above.
SNAPSHOT_VERSION_CONTROLS: Final = 4
SNAPSHOT_VERSIONS: Final = (
    SNAPSHOT_VERSION,
    SNAPSHOT_VERSION_QUOTAS,
    SNAPSHOT_VERSION_CHANGES,
    SNAPSHOT_VERSION_CONTROLS,
)


class BookRow(Struct, frozen=True, array_like=True, gc=False):
    """`[symbol, sequence, trade_sequence]`, also of an empty book, whose counts continue."""

    symbol: str
    sequence: int
    trade_sequence: int


class OrderRow(Struct, frozen=True, array_like=True, gc=False):
    """An open order; `accepted_at` is the offset of its command.

    `remaining_quantity` is the part that the book shows; see `IcebergRow`.
    """

    order_id: str
    broker_id: str
    symbol: str
    side: Side
    price: int
    remaining_quantity: int
    valid_until: int | None
    accepted_at: int


class ClientIdRow(Struct, frozen=True, array_like=True, gc=False):
    """A remembered client order id, and the order that used it.

    `client_id`: broker, symbol and the broker's own id. `order`: order id, side, type, price,
    quantity, valid until, document; both separated by spaces. Text saves memory, because a matcher
    remembers a million of them; only the last part may contain a space.
    """

    client_id: str
    order: str


class ClientIdBlock(Struct, frozen=True, array_like=True, gc=False):
    """The ids of consecutive commands, oldest first; `time` of the newest.

    `number`: offset of each command // commands in a block.
    """

    number: int
    time: int
    rows: tuple[ClientIdRow, ...]


class OpenerRow(Struct, frozen=True, array_like=True, gc=False):
    """`[symbol, broker_id]`: the broker whose order was the first to rest in the book."""

    symbol: str
    broker_id: str


class OrderIdBlock(Struct, frozen=True, array_like=True, gc=False):
    """Ids of orders by consecutive commands, whatever their outcome; `number`, `time` as above."""

    number: int
    time: int
    ids: tuple[str, ...]


class InstrumentRow(Struct, frozen=True, array_like=True, gc=False):
    """The instrument of a symbol; `reference_price` is the present one."""

    symbol: str
    rules: InstrumentRules
    reference_price: int
    phase: Phase


class OrderTermsRow(Struct, frozen=True, array_like=True, gc=False):
    """Fields of an open order that entered a symbol with an instrument."""

    order_id: str
    document_number: str


class PreventionRow(Struct, frozen=True, array_like=True, gc=False):
    """`[order_id, mode]`: the self-trade prevention of an open order that rests."""

    order_id: str
    mode: SelfTradePrevention


class AmendedRow(Struct, frozen=True, array_like=True, gc=False):
    """`[order_id, quantity]`: the whole quantity of an open order that an amendment set."""

    order_id: str
    quantity: int


class IcebergRow(Struct, frozen=True, array_like=True, gc=False):
    """`[order_id, display_quantity, hidden_quantity]` of an open iceberg order: the size of its
    next slice (0: all), and its remaining quantity that the book does not show."""

    order_id: str
    display_quantity: int
    hidden_quantity: int


class StopRow(Struct, frozen=True, array_like=True, gc=False):
    """A stop order that waits; `accepted_at` is the offset of its command.

    `trigger_price` 0: it is parked; otherwise it is elected and waits for its turn to take.
    """

    order: EnterOrder
    accepted_at: int
    trigger_price: int


class SnapshotChunk(
    Struct, frozen=True, tag_field="type", tag="snapshot_chunk", omit_defaults=True, gc=False
):
    """Part `index` of the state that the matcher of `epoch` had before `next_command`.

    Orders of a book come in the order they would trade, client ids oldest first. `day_orders`: ids
    of open orders that the close of their symbol ends.
    """

    epoch: int
    next_command: int
    index: int
    books: tuple[BookRow, ...] = ()
    orders: tuple[OrderRow, ...] = ()
    client_ids: tuple[ClientIdBlock, ...] = ()
    quotas: Quotas | None = None
    openers: tuple[OpenerRow, ...] = ()
    order_ids: tuple[OrderIdBlock, ...] = ()
    instruments: tuple[InstrumentRow, ...] = ()
    terms: tuple[OrderTermsRow, ...] = ()
    amended: tuple[AmendedRow, ...] = ()
    stops: tuple[StopRow, ...] = ()
    icebergs: tuple[IcebergRow, ...] = ()
    preventions: tuple[PreventionRow, ...] = ()
    day_orders: tuple[str, ...] = ()


class PublishedPosition(Struct, frozen=True, order=True, gc=False):
    """Position of a public record: its command and its index there; the default is before all."""

    command_offset: int = -1
    index: int = -1


class Published(Struct, frozen=True, gc=False):
    """Positions of the newest records of the public topics of a partition."""

    trades: PublishedPosition = PublishedPosition()
    book: PublishedPosition = PublishedPosition()

    def covers(self, other: "Published") -> bool:
        """True if these topics contain what those contained."""
        return self.trades >= other.trades and self.book >= other.book


class SnapshotCommit(
    Struct, frozen=True, tag_field="type", tag="snapshot_commit", omit_defaults=True, gc=False
):
    """The `chunks` chunks from record `first_chunk` on are the state before `next_command`.

    `next_record`: the execution record from which later outcomes are read, in `epoch`. `log`: id
    of the executions topic. `clock`: the partition's clock. `sha256`: over the bytes of all chunks,
    then of this record without `sha256`. `digest`: the engine's digest. `published`: the newest
    public records at that time; older versions did not write it.
    """

    version: int
    log: str
    partition: int
    epoch: int
    next_command: int
    next_record: int
    clock: int
    first_chunk: int
    chunks: int
    sha256: str
    digest: str
    published: Published | None = None


Snapshot = SnapshotChunk | SnapshotCommit
