"""One scenario from one seed: brokers, sinks, and matchers that are killed, frozen and superseded.

Each step belongs to a random process. Then the faults end, the remaining matchers run until all
but the newest have ended and the newest has caught up, and the checks compare the log with the
naive model.
"""

import random
from collections.abc import Iterator

from msgspec import structs

from schemas.codec import encode, is_claim
from schemas.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from schemas.topics import BOOK, SNAPSHOTS, TRADES
from services.matcher.recovery import recover
from services.matcher.rules import RULES
from services.matcher.standby_partition import StandbyPartition
from tests.properties.flows import flow, random_shape
from tests.simulation.check import check, commits_of
from tests.simulation.matcher import (
    COMMAND_LOG,
    EXECUTION_LOG,
    LOG,
    NUMBER,
    SimulatedMatcher,
)
from tests.simulation.memory_log import MemoryLog
from tests.simulation.sink import SimulatedSink, Tables
from tests.support.orders import START_MS, order_id

# Commands in a scenario. A long one has commands both before and after a snapshot.
COMMANDS = (8, 24, 48)
# Far above what any scenario needs to settle; ends a scenario that would never do so.
STEPS_MAX = 20_000
# Probability per step that topics are damaged, in scenarios in which they are.
DAMAGE_PROBABILITY = 0.03
# Probability of a power cut or a loss of public records, in scenarios that have them: per step, and
# after a new snapshot.
CUT_PROBABILITY = 0.01
CUT_PROBABILITY_SAVED = 0.4
SNAPSHOT_LOG = LOG.partition(SNAPSHOTS, NUMBER)


class Scenario:
    """`run` raises AssertionError with what does not hold."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)
        self.log = MemoryLog(START_MS)
        self.tables = Tables()
        self._snapshot_interval = rng.choice((0, 2, 5, 12))
        self._command_stream = commands_of(rng)
        # Probability per command that a foreign transaction's marker follows it.
        self._marker_probability = rng.choice((0.0, 0.0, 0.1, 0.5))
        self._trims = rng.random() < 0.2
        self._corrupts = not self._trims and rng.random() < 0.3
        self._loses = not self._trims and rng.random() < 0.3
        # A power cut takes no record as old as those that a trim relies on.
        self._cuts = not self._trims and rng.random() < 0.3
        self._snapshots_end = 0
        # Share of the steps in which brokers send. With few of them, snapshots are written between
        # the power cuts.
        self._broker_share = 0.03 if self._cuts or self._loses else 0.12
        self._awake: list[SimulatedMatcher] = []
        self._frozen: list[SimulatedMatcher] = []
        self._standbys: list[StandbyPartition] = []
        self._standby_cuts = 0
        self._sinks = [SimulatedSink(self.log, self.tables, rng) for _ in range(rng.choice((1, 2)))]
        # Probability per step that a matcher is killed, frozen, woken or superseded.
        self._fault_probability = rng.choice((0.005, 0.03, 0.1))

    def run(self) -> None:
        """Run the faults, let everything settle, then check."""
        self._start()
        more = True
        while more:
            more = self._step_any()
        self._settle()
        if self._corrupts:
            self._damage_topics()
        lost = self.log.has_lost(EXECUTION_LOG, STEPS_MAX, since=0)
        check(self.log, self.tables, corrupted=self._corrupts, lost=lost)

    def _step_any(self) -> bool:
        """One step of a random process; False when the brokers have no more commands."""
        rng = self._rng
        self._disturb()
        draw = rng.random()
        if draw < self._broker_share:
            return self._brokers_send()
        if draw < 0.8 and self._awake:
            speeds = [matcher.speed for matcher in self._awake]
            self._step_matcher(rng.choices(self._awake, speeds)[0])
        elif draw < 0.95:
            rng.choice(self._sinks).step()
        elif draw < 0.96:
            rng.choice(self._sinks).restart()
        elif draw < 0.99:
            self._step_standby()
        elif not self._awake:
            self._start()
        return True

    def _disturb(self) -> None:
        """Faults of processes, topics and the power, each with its probability."""
        rng = self._rng
        if rng.random() < self._fault_probability:
            self._inject_fault()
        if rng.random() < DAMAGE_PROBABILITY:
            self._damage_topics()
        probability = CUT_PROBABILITY_SAVED if self._has_saved() else CUT_PROBABILITY
        if self._loses and rng.random() < probability:
            self._lose_public_records()
        if self._cuts and rng.random() < probability:
            self._cut_power()

    def _brokers_send(self) -> bool:
        for _ in range(self._rng.randint(1, 4)):
            step = next(self._command_stream, None)
            if step is None:
                return False
            self.log.now_ms = max(self.log.now_ms, step[0])
            self.log.append(COMMAND_LOG, step[1])
            if self._rng.random() < self._marker_probability:
                self.log.append_marker(COMMAND_LOG)
        return True

    def _start(self) -> None:
        standby = self._standbys.pop() if self._standbys and self._rng.random() < 0.7 else None
        matcher = SimulatedMatcher(self.log, self._rng, self._snapshot_interval, standby)
        self._awake.append(matcher)

    def _step_standby(self) -> None:
        """Start a standby, or let the running one read some records."""
        rng, end = self._rng, self.log.range(EXECUTION_LOG).end
        if not self._standbys:
            self._standby_cuts = self.log.cuts
            recovered = recover(self.log, LOG, NUMBER, end)
            self._standbys.append(
                StandbyPartition(NUMBER, recovered, lag_commands=rng.choice((0, 2, 9)))
            )
            return
        (standby,) = self._standbys
        if self.log.has_lost(EXECUTION_LOG, standby.position.next_record, self._standby_cuts):
            self._standbys.clear()
            return
        for record in self.log.read(EXECUTION_LOG, standby.position.next_record, end):
            standby.execution(record)
        read_to = standby.read_to + rng.randint(0, 20)
        for command in self.log.read(COMMAND_LOG, standby.read_to, read_to):
            standby.command(command)
        standby.reached(max(standby.read_to, min(read_to, self.log.range(COMMAND_LOG).end)))
        standby.catch_up()

    def _step_matcher(self, matcher: SimulatedMatcher) -> None:
        matcher.step()
        if not matcher.alive:
            self._awake.remove(matcher)

    def _inject_fault(self) -> None:
        rng = self._rng
        kind = rng.choice(("kill", "freeze", "wake", "supersede"))
        if kind == "kill" and self._awake:
            self._awake.pop(rng.randrange(len(self._awake))).kill()
        elif kind == "freeze" and self._awake:
            self._frozen.append(self._awake.pop(rng.randrange(len(self._awake))))
        elif kind == "wake" and self._frozen:
            self._awake.append(self._frozen.pop(rng.randrange(len(self._frozen))))
        elif kind == "supersede":
            self._start()

    def _has_saved(self) -> bool:
        """True if the newest record of the snapshots is a commit, and was not there before."""
        before, end = self._snapshots_end, self.log.range(SNAPSHOT_LOG).end
        self._snapshots_end = end
        newest = self.log.read(SNAPSHOT_LOG, end - 1, end) if end > before else ()
        return any((r.value() or b"").startswith(b'{"type":"snapshot_commit"') for r in newest)

    def _cut_power(self) -> None:
        """Cut the power of Kafka alone, or of the matchers too: the newest executions are lost."""
        rng = self._rng
        everything = rng.random() < 0.5
        if everything:
            self._kill_all()
            snapshots = self.log.range(SNAPSHOT_LOG).end
            self.log.cut(SNAPSHOT_LOG, max(0, snapshots - rng.choice((0, 1, 3))))
        end = self.log.range(EXECUTION_LOG).end
        claims = [r.offset() for r in self.log.read(EXECUTION_LOG, 0, end) if is_claim(r.value())]
        places = [commit.next_record for _, commit in commits_of(self.log)]
        # What is left ends behind the newest claim, before it, or where a snapshot stands; or it
        # lacks a few records; or nothing is left.
        claim, place = max(claims, default=0), max(places, default=0)
        ends = (claim + 1, claim, place, place, place, end - 1, end - 2, end - 6, end - 12, 0)
        self.log.cut(EXECUTION_LOG, min(max(rng.choice(ends), 0), end))
        if everything:
            self._start()

    def _damage_topics(self) -> None:
        snapshots = self.log.range(SNAPSHOT_LOG)
        if not snapshots.end:
            return
        if self._corrupts:
            commit_records = [record for record, _ in commits_of(self.log)]
            self._corrupt(self._rng.choice([*commit_records, self._rng.randrange(snapshots.end)]))
        elif self._trims:
            commits = list(commits_of(self.log))
            if commits:
                best = max(commit.next_command for _, commit in commits)
                # A matcher that still reads below would rightly end; this tests only later ones.
                self._kill_all()
                self.log.trim(COMMAND_LOG, best)

    def _lose_public_records(self) -> None:
        """A power loss, which takes the newest records of the topics that are not flushed."""
        self._kill_all()
        for topic in (TRADES, BOOK):
            where = LOG.partition(topic, NUMBER)
            self.log.cut(where, max(0, self.log.range(where).end - self._rng.randint(0, 6)))

    def _kill_all(self) -> None:
        for matcher in (*self._awake, *self._frozen):
            matcher.kill()
        self._awake, self._frozen, self._standbys = [], [], []

    def _corrupt(self, offset: int) -> None:
        """Flip a bit of a record, or change a number in a commit that stays readable."""
        (record,) = self.log.read(SNAPSHOT_LOG, offset, offset + 1)
        value = record.value() or b""
        corrupted = bytearray(value)
        corrupted[self._rng.randrange(len(corrupted))] ^= 1 << self._rng.randrange(8)
        commits = dict(commits_of(self.log))
        if offset in commits and self._rng.random() < 0.7:
            field = self._rng.choice(("next_command", "next_record", "next_record", "first_chunk"))
            wrong = getattr(commits[offset], field) + self._rng.choice((-2, -1, 1, 2, 5))
            corrupted = bytearray(encode(structs.replace(commits[offset], **{field: wrong})))
        self.log.corrupt(SNAPSHOT_LOG, offset, bytes(corrupted))

    def _settle(self) -> None:
        """Run without faults until only the newest matcher is left and everything is idle."""
        self._awake += self._frozen
        self._frozen = []
        self._start()
        newest = self._awake[-1]
        for _ in range(STEPS_MAX):
            if not newest.alive:
                # An older matcher that takes over late fences the newest, which starts again.
                self._start()
                newest = self._awake[-1]
            if newest.idle and len(self._awake) == 1 and all(sink.idle for sink in self._sinks):
                return
            self._step_matcher(self._rng.choice(self._awake))
            for sink in self._sinks:
                sink.step()
        raise AssertionError(f"not idle after {STEPS_MAX} steps, {len(self._awake)} matchers")


def commands_of(rng: random.Random) -> Iterator[tuple[int, bytes | None]]:
    """Timestamps and records. Order ids are made unique, as ingest does; None is unreadable."""
    new_ids: dict[str, str] = {}
    for step in flow(rng, random_shape(rng), rng.choice(COMMANDS)):
        command: Command | None = step.command
        if isinstance(command, PlaceOrder):
            fresh = order_id(step.offset, partition=NUMBER)
            new_ids[command.order_id] = fresh
            command = structs.replace(command, order_id=fresh)
        elif isinstance(command, CancelOrder | AmendOrder):
            command = structs.replace(command, order_id=new_ids[command.order_id])
        yield step.timestamp, b"{" if command is None else encode(command)


assert RULES.fills_max > max(COMMANDS), "a scenario must stay below the fill limit of production"
