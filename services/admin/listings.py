"""Writes listings for an operator: the partition of each symbol."""

from collections.abc import Mapping
from contextlib import closing

from schemas.codec import UnreadableError, decode_listing, encode
from schemas.listings import Listing
from schemas.topics import COMMANDS, LISTINGS
from services.admin.listing_plan import listings_for, refuse_moves
from services.runtime.errors import RefusedError
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.compacted import last_records
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.producer import FailFastSender
from services.runtime.kafka.topics import TopicsAdmin
from services.runtime.settings import Settings


def apply_shares(settings: Settings, shares: Mapping[str, int]) -> list[Listing]:
    """Write new and changed listings, and return them. Raises RefusedError."""
    topology = TopicsAdmin(kafka_access(settings), settings.topic_prefix).verify()
    listed = listed_symbols(settings)
    wanted = listings_for(shares, listed, topology.partitions)
    refuse_moves(wanted, _traded(settings, topology.partitions), listed)
    sender = FailFastSender(kafka_access(settings), linger_ms=settings.linger_ms)
    topic = LISTINGS.full_name(settings.topic_prefix)
    for listing in wanted:
        sender.send(topic, 0, listing.symbol.encode(), encode(listing))
    sender.flush()
    return wanted


def listed_symbols(settings: Settings) -> dict[str, Listing]:
    """Every listing, by symbol. Raises RefusedError if one cannot be read."""
    found: dict[str, Listing] = {}
    for key, value in last_records(settings, LISTINGS).items():
        try:
            found[key] = decode_listing(value)
        except UnreadableError as error:
            raise RefusedError(f"the listing of {key!r} cannot be read: {error}") from error
    return found


def _traded(settings: Settings, partitions: int) -> dict[str, frozenset[int]]:
    """Partitions with commands, by symbol. Orders carry their symbol as the record's key."""
    found: dict[str, frozenset[int]] = {}
    for number in range(partitions):
        partition = Partition(COMMANDS.full_name(settings.topic_prefix), number)
        with closing(LogReader(kafka_access(settings), partition)) as reader:
            for symbol in {record.key for record in reader.records() if record.key}:
                name = symbol.decode(errors="replace")
                found[name] = found.get(name, frozenset()) | {number}
    return found
