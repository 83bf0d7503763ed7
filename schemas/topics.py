"""The topics of Kafka as data: key, messages, writer, readers, configuration. Named only here."""

from msgspec import Struct

from schemas.book import BookUpdate
from schemas.brokers import Broker, IssuedSecret
from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
    Tick,
)
from schemas.executions import Claim, LevelClaim, Outcomes
from schemas.listings import Listing
from schemas.snapshots import SnapshotChunk, SnapshotCommit
from schemas.trades import Trade

# Kafka's client requires a group name. Partitions are assigned by hand: the group never has a
# member, and no offset is committed.
CONSUMER_GROUP = "exchange-assigns-by-hand"
# With the topic prefix before it and a partition behind it, a matcher's transactional id.
TRANSACTIONAL_ID = "exchange.matcher."
# One outcome carries at most 10,000 fills and 10,000 expiries of about 200 bytes each.
RECORD_BYTES_MAX = 8 * 1024 * 1024

_UNLIMITED = "-1"
# A broker refuses a record that its writer stamped more than an hour ahead of the broker's clock.
# So the broker stamps every record, whatever the clocks of the services are.
TIMESTAMP_TYPE = "message.timestamp.type"
_BROKER_TIME = {TIMESTAMP_TYPE: "LogAppendTime"}
_SEVEN_DAYS_MS = str(7 * 24 * 60 * 60 * 1000)


class Topic(Struct, frozen=True):
    """`by_symbol`: as many partitions as the exchange has, and equal numbers hold equal symbols.

    Otherwise one partition. `config`: settings that the topic must have on Kafka, as exact text.
    `transactional`: written in transactions, so that readers take committed records only.
    """

    name: str
    key: str
    messages: tuple[type[Struct], ...]
    writer: str
    readers: tuple[str, ...]
    by_symbol: bool
    config: dict[str, str]
    purpose: str
    transactional: bool = False

    def full_name(self, prefix: str) -> str:
        """Name on Kafka of this topic of the exchange with this topic prefix."""
        return prefix + self.name


COMMANDS = Topic(
    name="exchange.commands.v1",
    key="symbol (none on commands without one, which name their partition)",
    messages=(
        PlaceOrder,
        EnterOrder,
        CancelOrder,
        CancelAll,
        AmendOrder,
        SetInstrument,
        SetPhase,
        Tick,
        SetQuotas,
    ),
    writer="ingest; matcher (ticks, quotas)",
    readers=("matcher", "audit", "replay"),
    by_symbol=True,
    config={
        "cleanup.policy": "delete",
        "retention.ms": _UNLIMITED,
        "retention.bytes": "-1",
    }
    | _BROKER_TIME,
    purpose="The command log: requests of brokers, in the order in which they are executed.",
)
EXECUTIONS = Topic(
    name="exchange.executions.v1",
    key="partition",
    messages=(Claim, LevelClaim, Outcomes),
    writer="matcher",
    readers=("ingest", "reader", "sink", "matcher", "audit", "replay"),
    by_symbol=True,
    config={
        "cleanup.policy": "delete",
        "retention.ms": _UNLIMITED,
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_BYTES_MAX),
    }
    | _BROKER_TIME,
    purpose="Claims, and the outcome of every command.",
)
TRADES = Topic(
    name="market.trades.v1",
    key="symbol",
    messages=(Trade,),
    writer="matcher",
    readers=("analysts", "audit"),
    by_symbol=True,
    config={"cleanup.policy": "delete", "retention.ms": _SEVEN_DAYS_MS} | _BROKER_TIME,
    purpose="Every trade, public.",
    transactional=True,
)
BOOK = Topic(
    name="market.book.v1",
    key="symbol",
    messages=(BookUpdate,),
    writer="matcher",
    readers=("analysts", "audit"),
    by_symbol=True,
    config={"cleanup.policy": "delete", "retention.ms": _SEVEN_DAYS_MS} | _BROKER_TIME,
    purpose="Every change of a price level, public.",
    transactional=True,
)
BROKERS = Topic(
    name="exchange.brokers.v1",
    key="broker id; with a slash and a hash for a secret",
    messages=(Broker, IssuedSecret),
    writer="ingest; operator (exchange broker)",
    readers=("ingest", "reader", "sink"),
    by_symbol=False,
    config={"cleanup.policy": "compact"} | _BROKER_TIME,
    purpose="Registered brokers, and webhook secrets that they rotated to.",
)
LISTINGS = Topic(
    name="exchange.listings.v1",
    key="symbol",
    messages=(Listing,),
    writer="operator (exchange listings apply)",
    readers=("ingest",),
    by_symbol=False,
    config={"cleanup.policy": "compact"} | _BROKER_TIME,
    purpose="The partition of each symbol that is not placed by its murmur2 hash.",
)

SNAPSHOTS = Topic(
    name="exchange.snapshots.v1",
    key="partition",
    messages=(SnapshotChunk, SnapshotCommit),
    writer="matcher",
    readers=("matcher",),
    by_symbol=True,
    # Keeps the last few snapshots: one with a million client order ids takes a third of this.
    config={
        "cleanup.policy": "delete",
        "retention.ms": _UNLIMITED,
        "retention.bytes": str(1024 * 1024 * 1024),
        "segment.bytes": str(128 * 1024 * 1024),
    }
    | _BROKER_TIME,
    purpose="The matcher's state after some command; a restart continues from it.",
)

TOPICS = (COMMANDS, EXECUTIONS, TRADES, BOOK, BROKERS, LISTINGS, SNAPSHOTS)
