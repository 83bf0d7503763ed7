"""Compares each snapshot of a partition with the command log.

A snapshot must restore, equal the recomputed engine before its command, and point to an execution
record where its epoch is the current one and the next outcomes are those of its command. A power
cut can take the outcomes before a snapshot and leave the snapshot, which matchers then pass over.
"""

from collections.abc import Callable, Iterable

from schemas.executions import claim_nonce, claim_offset
from schemas.snapshots import SnapshotCommit
from services.audit.report import AuditReport
from services.matcher.engine import Engine
from services.matcher.snapshot import UnusableSnapshotError
from services.runtime.kafka.execution_filter import NO_EPOCH, FilterPosition

# Raises UnusableSnapshotError; None: retention removed its chunks.
Restore = Callable[[int, SnapshotCommit], Engine | None]


class SnapshotAudit:
    """The snapshots of one partition, `found` as records and commits of this log."""

    def __init__(
        self, found: Iterable[tuple[int, SnapshotCommit]], restore: Restore, report: AuditReport
    ) -> None:
        self._restore = restore
        self._invariant = report["snapshots"]
        self._by_command: dict[int, list[tuple[int, SnapshotCommit]]] = {}
        self._by_record: dict[int, list[tuple[int, SnapshotCommit]]] = {}
        self._no_boundary: dict[int, list[tuple[int, SnapshotCommit]]] = {}
        self._faults: list[tuple[SnapshotCommit, str]] = []
        # Where each epoch of the log begins: the command after the outcomes before its claim.
        self._begun: dict[int, int] = {}
        for record, commit in found:
            self._invariant.checked += 1
            self._by_command.setdefault(commit.next_command, []).append((record, commit))
            self._by_record.setdefault(commit.next_record, []).append((record, commit))
            self._no_boundary.setdefault(commit.next_command, []).append((record, commit))

    def on_position(self, at: FilterPosition) -> None:
        """Examine snapshots that point to this position of a reader of executions."""
        self._begun.setdefault(at.epoch, at.next_command)
        self._no_boundary.pop(at.next_command, None)
        for record, commit in self._by_record.pop(at.next_record, ()):
            if at.epoch != commit.epoch or at.next_command > commit.next_command:
                self._fail(
                    record,
                    commit,
                    f"continues at execution record {commit.next_record} in epoch {commit.epoch}, "
                    f"there the log is at command {at.next_command} of epoch {at.epoch}",
                )

    def reached(self, next_command: int, engine: Engine) -> None:
        """Examine snapshots before this command; the engine has applied everything before it."""
        for record, commit in self._by_command.pop(next_command, ()):
            if (commit.clock, commit.digest) != (engine.clock, engine.digest().hex()):
                self._fail(record, commit, "is not the engine that the log gives")
            try:
                restored = self._restore(record, commit)
            except UnusableSnapshotError as error:
                self._fail(record, commit, f"cannot be restored: {error}")
                continue
            if restored is None:
                self._invariant.note = "chunks of some are gone by retention"
            elif restored.digest() != engine.digest():
                self._fail(record, commit, "restores another engine than the log gives")

    def finish(self) -> None:
        """Report the faults, also of snapshots that were not examined by the end of the log."""
        for lacking, reason in (
            (self._by_command, "stands where no outcome is recorded yet"),
            (self._by_record, "continues at an execution record that is not there"),
            (self._no_boundary, "stands amid the outcomes of one record"),
        ):
            for found in lacking.values():
                for record, commit in found:
                    self._fail(record, commit, reason)
        for commit, fault in self._faults:
            if self._is_lost(commit):
                self._invariant.note = "some stand behind outcomes that a power cut took"
            else:
                self._invariant.fail(fault)

    def _is_lost(self, commit: SnapshotCommit) -> bool:
        """True if the log has lost the snapshot's claim, or a later claim found fewer outcomes."""
        claim = claim_offset(commit.epoch)
        # Versions whose claims have no nonce wrote to flushed executions. A nonce of the log has
        # its claim there, and no lost one.
        nonces = {0, *map(claim_nonce, self._begun)}
        taken = claim_nonce(commit.epoch) not in nonces
        return taken or any(
            epoch != NO_EPOCH and claim_offset(epoch) > claim and begun < commit.next_command
            for epoch, begun in self._begun.items()
        )

    def _fail(self, record: int, commit: SnapshotCommit, reason: str) -> None:
        where = f"snapshot {commit.partition}@{record} before command {commit.next_command}"
        self._faults.append((commit, f"{where} {reason}"))
