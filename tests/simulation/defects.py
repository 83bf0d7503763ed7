"""Seeded defects of the matcher's protocol, each switched on alone.

The simulation must find every one, which proves that its checks work. While a defect is switched
on, wrong functions replace those of the product.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from msgspec import structs

from schemas.executions import Outcome, Outcomes
from schemas.ids import trade_id
from schemas.snapshots import PublishedPosition
from schemas.topics import EXECUTIONS
from schemas.trades import Trade
from services.matcher import claim, partition, recovery, snapshot, standby_partition, taking
from services.matcher.book import Order, PriceLevel
from services.matcher.engine import Engine
from services.matcher.ownership import Ownership
from services.matcher.partition import PartitionMatcher
from services.matcher.publish import OutcomePublisher
from services.matcher.recovery import recover
from services.matcher.snapshot import SnapshotChecksum, SnapshotImage, save
from services.matcher.snapshot_writer import SnapshotWriter
from services.matcher.standby_partition import StandbyPartition
from services.matcher.state import EngineState
from services.matcher.window import ClientIdWindow
from services.runtime.kafka.execution_filter import NO_EPOCH, Batch, ExecutionFilter
from services.sink.store import Move
from tests.simulation import check, matcher, sink
from tests.simulation.memory_log import FencedSender, MemoryLog, MemorySender
from tests.simulation.sink import Tables
from tests.support.patching import Replacement, patched


def switched_on(defect: str) -> AbstractContextManager[None]:
    """A context in which the product has the defect of this name."""
    return patched(DEFECTS[defect])


_outcomes = OutcomePublisher.outcomes
_trade = OutcomePublisher.trade
_judge = ExecutionFilter._judge
_expire_due = Engine._expire_due
_snapshot = Engine.snapshot
_restore = Engine.restore
_steps = SnapshotWriter.steps
_find_newest = claim._newest_position
_take = claim.take
_save = save
_take_over = StandbyPartition.take_over


def _drop_an_outcome(
    self: OutcomePublisher, number: int, epoch: int, first: int, outcomes: list[Outcome]
) -> None:
    _outcomes(self, number, epoch, first, outcomes[:-1] if len(outcomes) > 1 else outcomes)


def _publish_a_trade_twice(self: OutcomePublisher, number: int, trade: Trade) -> None:
    _trade(self, number, trade)
    _trade(self, number, trade)


def _newest_first(self: PriceLevel) -> Order:
    return self.open_orders()[-1]


def _no_fence(self: Tables, move: Move) -> None:
    self.position = move.target


def _position_not_written(self: Tables, move: Move) -> None:
    """Leave the position as it was, while the rows are written."""


def _published_shifted(commands: int, index: int) -> Callable[..., PublishedPosition]:
    def wrong(*arguments: Any) -> PublishedPosition:
        right = _find_newest(*arguments)
        return PublishedPosition(right.command_offset + commands, right.index + index)

    return wrong


def _expire_a_tick_late(self: Engine, expired: list[Any]) -> None:
    self.clock -= 1
    _expire_due(self, expired)
    self.clock += 1


def _any_epoch(self: ExecutionFilter, number: int, record: int, value: Outcomes) -> Batch | None:
    at = self.position(number)
    return _judge(self, number, record, structs.replace(value, epoch=at.epoch))


def _any_repeat(self: ExecutionFilter, number: int, record: int, value: Outcomes) -> Batch | None:
    at = self.position(number)
    first = max(value.first_offset, at.next_command)
    return _judge(self, number, record, structs.replace(value, first_offset=first))


def _no_part_of_a_repeat(
    self: ExecutionFilter, number: int, record: int, value: Outcomes
) -> Batch | None:
    at = self.position(number)
    if value.first_offset < at.next_command < value.next_command:
        value = structs.replace(value, epoch=NO_EPOCH - 1)
    return _judge(self, number, record, value)


def _claim_by_another_sender(_: MemorySender, logs: MemoryLog, *arguments: Any) -> int:
    return claim.append_claim(MemorySender(logs), logs, *arguments)


def _next_record_at_the_end(self: SnapshotWriter, saved: SnapshotImage) -> Iterator[None]:
    end = self._topic.end(self._log.partition(EXECUTIONS, saved.state.partition))
    yield from _steps(self, structs.replace(saved, at=structs.replace(saved.at, next_record=end)))


def _state_changed(**changes: Callable[[EngineState], Any]) -> Callable[[Engine], EngineState]:
    def wrong(self: Engine) -> EngineState:
        state = _snapshot(self)
        return structs.replace(state, **{name: make(state) for name, make in changes.items()})

    return wrong


def _restore_without_expiries(state: EngineState, *rules: Any) -> Engine:
    restored = _restore(state, *rules)
    restored._expiries.clear()
    return restored


def _one_outcome_too_many(*arguments: Any) -> claim.Claimed:
    taken = _take(*arguments)
    return structs.replace(taken, next_command=taken.next_command + 1)


def _one_outcome_too_few(*arguments: Any) -> claim.Claimed:
    taken = _take(*arguments)
    return structs.replace(taken, next_command=max(0, taken.next_command - 1))


def _take_over_ignoring_published(self: StandbyPartition, *arguments: Any) -> claim.Claimed:
    self._trades = self._book = PublishedPosition()
    return _take_over(self, *arguments)


def _catch_up_with_commands(self: StandbyPartition) -> None:
    while self.next_offset < self.read_to:
        self._apply(self._waiting.popleft())


def _save_a_command_late(saved_engine: Engine, at: snapshot.SnapshotPosition) -> SnapshotImage:
    return _save(saved_engine, structs.replace(at, next_command=at.next_command + 1))


def _sequences_forgotten(state: EngineState) -> Any:
    return tuple(structs.replace(row, sequence=0) for row in state.books)


DEFECTS: Final[dict[str, list[Replacement]]] = {
    "an outcome is dropped": [(OutcomePublisher, "outcomes", _drop_an_outcome)],
    "a trade is published twice": [(OutcomePublisher, "trade", _publish_a_trade_twice)],
    "the newest maker trades first": [(PriceLevel, "oldest", _newest_first)],
    "the fence is skipped": [(Tables, "_fence", _no_fence)],
    "the sink's position is not stored": [(Tables, "_fence", _position_not_written)],
    "client ids are not saved": [(ClientIdWindow, "blocks", lambda self: ())],
    "the published position is a trade too low": [
        (claim, "_newest_position", _published_shifted(0, -1))
    ],
    "the published position is a command too high": [
        (claim, "_newest_position", _published_shifted(1, 0))
    ],
    "the published position is ignored": [
        (claim, "_newest_position", lambda *arguments: PublishedPosition())
    ],
    "any snapshot serves after a loss of public records": [
        (claim, "recover", lambda *arguments: recover(*arguments[:4]))
    ],
    "orders expire a tick late": [(Engine, "_expire_due", _expire_a_tick_late)],
    "a stale epoch is accepted": [(ExecutionFilter, "_judge", _any_epoch)],
    "a repeated outcome is accepted": [(ExecutionFilter, "_judge", _any_repeat)],
    "a snapshot is saved before its outcomes are acknowledged": [
        (OutcomePublisher, "settle", lambda self: True)
    ],
    "a snapshot is saved without ownership": [
        (Ownership, "own_up_to", lambda self, number, end: True)
    ],
    "a snapshot's next record is the end of the topic": [
        (SnapshotWriter, "steps", _next_record_at_the_end)
    ],
    "book sequences are not saved": [
        (Engine, "snapshot", _state_changed(books=_sequences_forgotten))
    ],
    "queues are saved backwards": [
        (Engine, "snapshot", _state_changed(orders=lambda state: state.orders[::-1]))
    ],
    "the clock is not saved": [(Engine, "snapshot", _state_changed(clock=lambda state: 0))],
    "restored orders never expire": [(Engine, "restore", _restore_without_expiries)],
    "a claim counts an outcome too many": [(matcher, "take", _one_outcome_too_many)],
    "a claim counts an outcome too few": [(matcher, "take", _one_outcome_too_few)],
    "a snapshot's position is a command late": [(partition, "save", _save_a_command_late)],
    "the checksum is not compared": [
        (SnapshotChecksum, "checksum", lambda self, commit: commit.sha256)
    ],
    "trade ids are random": [
        (taking, "trade_id", lambda *at: trade_id(random.getrandbits(40), *at[1:]))
    ],
    "a standby ignores the public records": [
        (StandbyPartition, "take_over", _take_over_ignoring_published)
    ],
    "a standby applies commands without outcomes": [
        (StandbyPartition, "catch_up", _catch_up_with_commands)
    ],
    # Either check ends it: of the claims, or of the sender of public records.
    "a superseded matcher continues": [
        (Ownership, "check", lambda self: None),
        (FencedSender, "check", lambda self: None),
    ],
    "a superseded matcher publishes": [(FencedSender, "deliver", MemorySender.deliver)],
    "published positions are read before others are fenced": [
        (FencedSender, "open", lambda self: None),
        (FencedSender, "deliver", MemorySender.deliver),
        (FencedSender, "check", lambda self: None),
    ],
    "a snapshot is due at any time": [
        (PartitionMatcher, "snapshot_due", lambda self, every, behind: every > 0)
    ],
    # After a power cut that took the newest executions.
    "a stored position is believed": [
        (module, "placed", lambda logs, executions, commands, at: at) for module in (sink, check)
    ],
    "a sink passes over outcomes that it has stored in part": [
        (ExecutionFilter, "_judge", _no_part_of_a_repeat)
    ],
    "a snapshot is used without the outcomes before it": [
        (recovery, "leads_to", lambda *place: True)
    ],
    "a standby believes its position": [(standby_partition, "leads_to", lambda *place: True)],
    "claims have no nonce": [(MemoryLog, "new_nonce", lambda self: 0)],
    "claims have a sender of their own": [(matcher, "append_claim", _claim_by_another_sender)],
}
