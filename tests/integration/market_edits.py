"""Changes to the records of a recorded market, for tests of the audit and the replay."""

from collections.abc import Callable

import msgspec
from msgspec import structs

from schemas.codec import decode_execution, encode
from schemas.executions import (
    LevelClaim,
    OrderAccepted,
    OrderCancelled,
    Outcome,
    Outcomes,
    claim_nonce,
    claim_offset,
    epoch_of,
)
from schemas.snapshots import SnapshotCommit
from schemas.topics import Topic
from services.runtime.kafka.log_reader import Record
from tests.integration.audited_market import Change, resealed

Edit = Callable[[list[Record]], list[Record]]


def on(topic: Topic, change: Edit) -> Change:
    """Apply `change` once, to partition 0 of one topic."""
    done: list[bool] = []

    def changed(of: Topic, records: list[Record]) -> list[Record]:
        if of is not topic or done or not records:
            return records
        done.append(True)
        return change(records)

    return changed


def replaced(old: str, new: str, number: int) -> Edit:
    """Replace `old` by `new` in the record at index `number` among those that contain `old`."""

    def change(records: list[Record]) -> list[Record]:
        where = [i for i, record in enumerate(records) if old.encode() in (record.value or b"")]
        found = records[where[number]]
        text = (found.value or b"").replace(old.encode(), new.encode(), 1)
        records[where[number]] = found._replace(value=text)
        return records

    return change


def one_cent_more(records: list[Record]) -> list[Record]:
    trade = msgspec.json.decode(records[50].value or b"")
    trade["price"] += 1
    records[50] = records[50]._replace(value=msgspec.json.encode(trade))
    return records


def commits(change: Callable[[SnapshotCommit], SnapshotCommit]) -> Edit:
    return lambda records: resealed(records, change)


def epochs(change: Callable[[int], int]) -> Edit:
    """Change the epoch of every snapshot."""
    return commits(lambda it: structs.replace(it, epoch=change(it.epoch)))


def of_lost_claim(epoch: int) -> int:
    """An epoch at the offset of this one, by a claim with another nonce."""
    return epoch_of(LevelClaim("", 0, claim_nonce(epoch) ^ 1), claim_offset(epoch))


def extra(value: bytes) -> Edit:
    return lambda records: [*records, records[-1]._replace(key=None, value=value)]


def outcome(change: Callable[[Outcome], Outcome | None]) -> Edit:
    """Replace the first outcome for which `change` does not return None."""

    def edit(records: list[Record]) -> list[Record]:
        for number, record in enumerate(records):
            decoded = decode_execution(record.value)
            if not isinstance(decoded, Outcomes):
                continue
            for index, one in enumerate(decoded.outcomes):
                changed = change(one)
                if changed is not None:
                    outcomes = (*decoded.outcomes[:index], changed, *decoded.outcomes[index + 1 :])
                    value = encode(structs.replace(decoded, outcomes=outcomes))
                    records[number] = record._replace(value=value)
                    return records
        raise AssertionError("no outcome of this kind")

    return edit


def first_fill(**changes: int) -> Edit:
    """Add the given amounts to fields of the first fill in the partition."""

    def change(one: Outcome) -> Outcome | None:
        if not isinstance(one.event, OrderAccepted) or not one.event.fills:
            return None
        fill = one.event.fills[0]
        more = {field: getattr(fill, field) + by for field, by in changes.items()}
        fills = (structs.replace(fill, **more), *one.event.fills[1:])
        return structs.replace(one, event=structs.replace(one.event, fills=fills))

    return outcome(change)


def first_taker(change: Callable[[OrderAccepted], OrderAccepted]) -> Edit:
    """Change the first taker whose first fill was the last one of a maker of another broker.

    Later fills of a maker, such as an iceberg order, show what was left of it, and a trade of a
    broker with itself changes no balance.
    """

    def changed(one: Outcome) -> Outcome | None:
        if not isinstance(one.event, OrderAccepted) or not one.event.fills:
            return None
        fill = one.event.fills[0]
        if fill.maker_remaining_quantity or fill.maker_broker_id == one.event.broker_id:
            return None
        return structs.replace(one, event=change(one.event))

    return outcome(changed)


def first_to_rest(change: Callable[[OrderAccepted], OrderAccepted]) -> Edit:
    """Change the first accepted bid that remained open in the book."""
    return nth_to_rest(1, change)


def nth_to_rest(number: int, change: Callable[[OrderAccepted], OrderAccepted]) -> Edit:
    """Change the nth accepted bid that remained open in the book."""
    seen = 0

    def changed(one: Outcome) -> Outcome | None:
        nonlocal seen
        event = one.event
        if not isinstance(event, OrderAccepted) or event.closed_reason or event.side == "ask":
            return None
        seen += 1
        return structs.replace(one, event=change(event)) if seen == number else None

    return outcome(changed)


def first_cancelled(change: Callable[[OrderCancelled], OrderCancelled]) -> Edit:
    """Change the first successful cancel."""

    def changed(one: Outcome) -> Outcome | None:
        if not isinstance(one.event, OrderCancelled):
            return None
        return structs.replace(one, event=change(one.event))

    return outcome(changed)
