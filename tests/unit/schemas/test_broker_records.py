"""The brokers topic applied in order: each fact has one writer, so no writer undoes another."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Final

import pytest
from msgspec import structs

from schemas.broker_records import FORMER_SECRET_MS, BrokerRecords
from schemas.brokers import Broker, IssuedSecret, WebhookSecret, key_hash, webhook_secret
from schemas.codec import UnreadableError, encode
from services.ingest.keys import revoked, rotated

BROKER_ID: Final = "0199f0a1-6d10-7000-8b1d-90ce5f2ad344"
BROKER: Final = Broker(
    BROKER_ID,
    "Alfa",
    key_hash("first"),
    1,
    "http://a/",
    (WebhookSecret(webhook_secret(b"0" * 32)),),
)

Record = tuple[bytes, bytes | None]


def issued(number: int) -> IssuedSecret:
    return IssuedSecret(BROKER_ID, webhook_secret(bytes([number]) * 32), 1_000 * number)


def record_of(value: Broker | IssuedSecret) -> Record:
    key = value.key if isinstance(value, IssuedSecret) else value.broker_id
    return key.encode(), encode(value)


def applied(topic: Sequence[Record]) -> BrokerRecords:
    records = BrokerRecords()
    for key, value in topic:
        records.apply(key, value)
    return records


def compacted(topic: Sequence[Record]) -> list[Record]:
    """The last record of each key, in order; deleted keys are gone."""
    last = {key: offset for offset, (key, _) in enumerate(topic)}
    return [
        record
        for offset, record in enumerate(topic)
        if last[record[0]] == offset and record[1] is not None
    ]


def broker_of(topic: Sequence[Record]) -> Broker:
    broker = applied(topic).get(BROKER_ID)
    assert broker is not None
    assert applied(compacted(topic)).get(BROKER_ID) == broker, "compaction changes the result"
    return broker


class Change:
    """A change in two steps, between which other changes may happen: read, then write."""

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self._number = number
        self._read: Broker | None = None

    def step(self, topic: list[Record]) -> None:
        if self._read is None:
            # An operator reads the broker's own record, as the commands do.
            value = dict(topic)[BROKER_ID.encode()]
            self._read = Broker(**structs.asdict(broker_of([(BROKER_ID.encode(), value)])))
        elif self.kind == "revoke":
            topic.append(record_of(revoked(self._read, now_ms=9)))
        elif self.kind == "rotate key":
            key = f"key {self._number}"
            topic.append(record_of(rotated(self._read, key, now_ms=9, keep_former_ms=0)))
        else:
            topic.append(record_of(issued(self._number)))


def interleavings(changes: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Every order of two steps of each change."""
    steps = [number for number in range(len(changes)) for _ in range(2)]
    yield from sorted(set(permutations(steps)))


@pytest.mark.parametrize(
    "kinds",
    [
        ("revoke", "rotate secret"),
        ("rotate key", "rotate secret"),
        ("revoke", "rotate secret", "rotate secret"),
        ("revoke", "rotate key", "rotate secret"),
    ],
    ids=" and ".join,
)
def test_change_of_keys_and_rotation_of_secrets_keep_each_others_effect(
    kinds: tuple[str, ...],
) -> None:
    for order in interleavings(kinds):
        topic = [record_of(BROKER)]
        changes = [Change(kind, number + 1) for number, kind in enumerate(kinds)]
        written: list[str] = []
        for number in order:
            before = len(topic)
            changes[number].step(topic)
            if len(topic) > before:
                written.append(kinds[number])
        broker = broker_of(topic)
        operators = [kind for kind in written if kind != "rotate secret"]
        assert (broker.revoked_at is not None) == (operators[-1] == "revoke"), order
        assert (broker.api_key_hash == key_hash("first")) == (operators[-1] == "revoke") or (
            "rotate key" in kinds
        ), order
        known = {secret.secret for secret in broker.webhook_secrets}
        for number, kind in enumerate(kinds):
            if kind == "rotate secret":
                assert issued(number + 1).secret in known, order


def test_rotated_secret_signs_with_the_former_one_for_a_day() -> None:
    topic = [record_of(BROKER), record_of(issued(1))]
    assert broker_of(topic).webhook_secrets == (
        WebhookSecret(issued(1).secret),
        WebhookSecret(BROKER.webhook_secrets[0].secret, 1_000 + FORMER_SECRET_MS),
    )
    topic.append(record_of(issued(2)))
    assert broker_of(topic).webhook_secrets == (
        WebhookSecret(issued(2).secret),
        WebhookSecret(issued(1).secret, 2_000 + FORMER_SECRET_MS),
    )


def test_rotated_secret_of_a_broker_without_one_is_the_only_one() -> None:
    topic = [record_of(structs.replace(BROKER, webhook_secrets=())), record_of(issued(1))]
    assert broker_of(topic).webhook_secrets == (WebhookSecret(issued(1).secret),)


def test_old_record_with_rotated_secrets_keeps_them() -> None:
    secrets = (BROKER.webhook_secrets[0], WebhookSecret(webhook_secret(b"9" * 32), 77))
    old = structs.replace(BROKER, webhook_secrets=secrets)
    assert broker_of([record_of(old)]) == old


def test_secret_read_before_its_broker_counts() -> None:
    assert broker_of([record_of(issued(1)), record_of(BROKER)]).webhook_secrets[0] == WebhookSecret(
        issued(1).secret
    )


def test_ended_secrets_can_be_deleted_without_a_change() -> None:
    topic = [record_of(BROKER), *(record_of(issued(number)) for number in (1, 2, 3, 4))]
    broker, ended = broker_of(topic), applied(topic).ended_secrets(BROKER_ID)
    assert ended == [issued(1).key, issued(2).key]
    topic += [(key.encode(), None) for key in ended]
    assert broker_of(topic) == broker
    assert applied(topic).ended_secrets(BROKER_ID) == []


def test_deleted_broker_is_gone_until_it_is_written_again() -> None:
    topic: list[Record] = [record_of(BROKER), record_of(issued(1)), (BROKER_ID.encode(), None)]
    assert applied(topic).get(BROKER_ID) is None
    assert list(applied(topic)) == []
    assert broker_of([*topic, record_of(BROKER)]) == broker_of(topic[:2])


def test_unreadable_record_changes_nothing() -> None:
    records = applied([record_of(BROKER)])
    for value in (b"", b"{}", b'{"type":"issued_secret"}', b'{"type":"issued_secret","secret":1}'):
        with pytest.raises(UnreadableError):
            records.apply(BROKER_ID.encode(), value)
    assert list(records) == [BROKER]


def test_secrets_are_hidden_from_repr() -> None:
    assert issued(1).secret not in repr(issued(1))
