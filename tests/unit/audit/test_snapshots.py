"""The audit of snapshots, each compared with the recomputed engine and its position in the log."""

from collections.abc import Sequence

import pytest
from msgspec import structs

from schemas.executions import RULES_LEVEL, LevelClaim, epoch_of
from schemas.snapshots import SnapshotCommit
from services.audit.report import AuditReport, Invariant
from services.audit.snapshots import Restore, SnapshotAudit
from services.matcher.engine import Engine, EnginePosition
from services.matcher.snapshot import SnapshotChecksum, SnapshotPosition, restore, save
from services.runtime.kafka.execution_filter import FilterPosition
from tests.support.orders import limit
from tests.support.snapshots import with_checksum

COMMANDS = 3
RECORD = 5
# Execution records: a claim at offset 0, then two commands in one record, then one command.
PLACES = [
    FilterPosition(0, -1, 0),
    FilterPosition(1, 0, 0),
    FilterPosition(2, 0, 2),
    FilterPosition(3, 0, 3),
]


def engines() -> list[Engine]:
    """Engines after no command, after one command, and so on."""
    found = []
    for count in range(COMMANDS + 1):
        engine = Engine(0)
        for number in range(count):
            engine.apply(limit(number), EnginePosition(0, number, 1_000 + number))
        found.append(engine)
    return found


def saved_before(
    command: int, next_record: int, epoch: int = 0
) -> tuple[list[bytes], SnapshotCommit]:
    saved = save(engines()[command], SnapshotPosition("log", epoch, command, next_record))
    chunks, seal = list(saved.chunks()), SnapshotChecksum()
    for chunk in chunks:
        seal.add(chunk)
    return chunks, seal.commit(saved, 2)


def judged(
    commit: SnapshotCommit, restored: Restore, places: Sequence[FilterPosition] = PLACES
) -> Invariant:
    """Judge the snapshot as the audit does, over a log of three commands."""
    report = AuditReport()
    snapshots = SnapshotAudit([(RECORD, commit)], restored, report)
    for place in places:
        snapshots.on_position(place)
    for number, engine in enumerate(engines()):
        snapshots.reached(number, engine)
    snapshots.finish()
    assert report["snapshots"].checked == 1
    return report["snapshots"]


def judged_whole(chunks: list[bytes], commit: SnapshotCommit) -> Invariant:
    return judged(commit, lambda _, it: restore(it, chunks))


@pytest.mark.parametrize(("command", "next_record"), [(2, 1), (2, 2), (3, 1), (3, 3)])
def test_snapshot_of_the_log_passes_at_every_position_it_may_continue_at(
    command: int, next_record: int
) -> None:
    assert judged_whole(*saved_before(command, next_record)).samples == []


@pytest.mark.parametrize(
    ("command", "next_record", "epoch", "reason"),
    [
        (2, 3, 0, "there the log is at command 3 of epoch 0"),
        (2, 2, 1, "in epoch 1, there the log is at command 2 of epoch 0"),
        (2, 0, 0, "there the log is at command 0 of epoch -1"),
        (1, 1, 0, "stands amid the outcomes of one record"),
        (2, 9, 0, "continues at an execution record that is not there"),
    ],
)
def test_snapshot_that_continues_at_a_wrong_position_is_reported(
    command: int, next_record: int, epoch: int, reason: str
) -> None:
    found = judged_whole(*saved_before(command, next_record, epoch))
    assert found.differences == 1
    assert f"snapshot 0@{RECORD} before command {command}" in found.samples[0]
    assert reason in found.samples[0]


@pytest.mark.parametrize(("nonce", "reported"), [(7, True), (8, False)])
def test_snapshot_of_an_unknown_epoch_is_reported_if_its_claim_cannot_be_lost(
    nonce: int, reported: bool
) -> None:
    held = epoch_of(LevelClaim("matcher", RULES_LEVEL, 7), 0)
    places = [PLACES[0], *(structs.replace(place, epoch=held) for place in PLACES[1:])]
    # A claim with the nonce of one in the log, at another offset, was never written.
    chunks, commit = saved_before(2, 2, epoch_of(LevelClaim("matcher", RULES_LEVEL, nonce), 1))
    found = judged(commit, lambda _, it: restore(it, chunks), places)
    assert (found.differences, bool(found.note)) == (int(reported), not reported)


def test_snapshot_of_another_engine_is_reported() -> None:
    chunks, commit = saved_before(3, 3)
    forged = structs.replace(commit, next_command=2, next_record=2)
    # Its chunks contain the command number, so it cannot be restored either.
    found = judged_whole(chunks, with_checksum(forged, chunks))
    assert "is not the engine that the log gives" in found.samples[0]
    later = structs.replace(commit, clock=commit.clock + 1)
    assert judged_whole(chunks, with_checksum(later, chunks)).differences >= 1


def test_snapshot_that_restores_another_engine_is_reported() -> None:
    _, commit = saved_before(2, 2)
    found = judged(commit, lambda *_: engines()[3])
    assert ["restores another engine" in sample for sample in found.samples] == [True]


def test_damaged_snapshot_is_reported() -> None:
    chunks, commit = saved_before(2, 2)
    found = judged_whole(chunks[:-1], commit)
    assert ["cannot be restored" in sample for sample in found.samples] == [True]


def test_snapshot_beyond_the_recorded_outcomes_is_reported() -> None:
    _, commit = saved_before(3, 3)
    found = judged(structs.replace(commit, next_command=7), lambda *_: None)
    assert any("no outcome is recorded yet" in sample for sample in found.samples)


def test_snapshot_without_its_chunks_is_noted_and_passes() -> None:
    _, commit = saved_before(2, 2)
    found = judged(commit, lambda *_: None)
    assert (found.differences, found.note) == (0, "chunks of some are gone by retention")
