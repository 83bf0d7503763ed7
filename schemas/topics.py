"""The topics as data: key, messages, writer, readers, partitions, policy. Named only here."""

from msgspec import Struct

from schemas.book import BookUpdate
from schemas.brokers import Broker
from schemas.commands import CancelOrder, PlaceOrder, Tick
from schemas.executions import Claim, Outcomes
from schemas.listings import Listing
from schemas.snapshots import SnapshotChunk, SnapshotCommit
from schemas.trades import Trade

# What every consumer of ours names because Kafka's client wants a name. Partitions are taken by
# hand: nobody is ever a member, and nothing is committed.
CONSUMER_GROUP = "exchange-assigns-by-hand"
# One outcome carries at most 10,000 fills and 10,000 expiries of about 200 bytes each.
RECORD_BYTES_MAX = 8 * 1024 * 1024

_FOR_EVER = "-1"
_SEVEN_DAYS_MS = str(7 * 24 * 60 * 60 * 1000)


class Topic(Struct, frozen=True):
    """`by_symbol`: as many partitions as the exchange has, the same number means the same books.

    Otherwise one partition. `config` is what the broker must say of the topic, to the letter.
    """

    name: str
    key: str
    messages: tuple[type[Struct], ...]
    writer: str
    readers: tuple[str, ...]
    by_symbol: bool
    config: dict[str, str]
    purpose: str


COMMANDS = Topic(
    name="exchange.commands.v1",
    key="symbol (none on cancels and ticks, which name their partition)",
    messages=(PlaceOrder, CancelOrder, Tick),
    writer="ingest; matcher (ticks)",
    readers=("matcher", "audit", "replay"),
    by_symbol=True,
    config={
        "cleanup.policy": "delete",
        "retention.ms": _FOR_EVER,
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    },
    purpose="The log: what brokers asked for, in the order it counts.",
)
EXECUTIONS = Topic(
    name="exchange.executions.v1",
    key="partition",
    messages=(Claim, Outcomes),
    writer="matcher",
    readers=("ingest", "reader", "sink", "matcher", "audit", "replay"),
    by_symbol=True,
    config={
        "cleanup.policy": "delete",
        "retention.ms": _FOR_EVER,
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_BYTES_MAX),
    },
    purpose="Claims, and the outcome of every command.",
)
TRADES = Topic(
    name="market.trades.v1",
    key="symbol",
    messages=(Trade,),
    writer="matcher",
    readers=("analysts", "audit"),
    by_symbol=True,
    config={"cleanup.policy": "delete", "retention.ms": _SEVEN_DAYS_MS},
    purpose="Every trade, public.",
)
BOOK = Topic(
    name="market.book.v1",
    key="symbol",
    messages=(BookUpdate,),
    writer="matcher",
    readers=("analysts", "audit"),
    by_symbol=True,
    config={"cleanup.policy": "delete", "retention.ms": _SEVEN_DAYS_MS},
    purpose="Every change of a price level, public.",
)
BROKERS = Topic(
    name="exchange.brokers.v1",
    key="broker id",
    messages=(Broker,),
    writer="ingest; operator (exchange broker)",
    readers=("ingest", "reader", "sink"),
    by_symbol=False,
    config={"cleanup.policy": "compact"},
    purpose="Who may trade.",
)
LISTINGS = Topic(
    name="exchange.listings.v1",
    key="symbol",
    messages=(Listing,),
    writer="operator (exchange listings apply)",
    readers=("ingest",),
    by_symbol=False,
    config={"cleanup.policy": "compact"},
    purpose="Which partition trades which symbol, where murmur2 shall not decide.",
)

SNAPSHOTS = Topic(
    name="exchange.snapshots.v1",
    key="partition",
    messages=(SnapshotChunk, SnapshotCommit),
    writer="matcher",
    readers=("matcher",),
    by_symbol=True,
    # The last few: a state of a million client order ids takes a third of this.
    config={
        "cleanup.policy": "delete",
        "retention.ms": _FOR_EVER,
        "retention.bytes": str(1024 * 1024 * 1024),
        "segment.bytes": str(128 * 1024 * 1024),
    },
    purpose="What the matcher's state was at some command: a restart begins there.",
)

TOPICS = (COMMANDS, EXECUTIONS, TRADES, BOOK, BROKERS, LISTINGS, SNAPSHOTS)
