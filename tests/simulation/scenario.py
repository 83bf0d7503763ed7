"""One scenario from one seed: brokers, matchers that die and wake, sinks; then peace, then checks.

Who acts next is drawn between any two steps. In the end every matcher that still lives has done all
it wanted, the newest has caught up, and the log must tell what the naive model makes of it.
"""

import random
from collections.abc import Iterator

from msgspec import structs

from schemas.codec import encode
from schemas.commands import CancelOrder, Command, PlaceOrder
from schemas.topics import SNAPSHOTS
from services.matcher.engine import RULES
from services.matcher.recovery import recover
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

# A long scenario has room for a snapshot with a past and a future.
COMMANDS = (8, 24, 48)
STEPS_MAX = 20_000
# How often a scenario in which the topics suffer makes them suffer, per step of anybody.
HARM = 0.03
SNAPSHOT_LOG = LOG.partition(SNAPSHOTS.name, NUMBER)


class Scenario:
    """`run` raises AssertionError with what does not hold."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)
        self.log = MemoryLog(START_MS)
        self.tables = Tables()
        self._every = rng.choice((0, 2, 5, 12))
        self._brokers = _commands(rng)
        self._trims = rng.random() < 0.2
        self._spoils = not self._trims and rng.random() < 0.3
        self._awake: list[SimulatedMatcher] = []
        self._frozen: list[SimulatedMatcher] = []
        self._ever: list[SimulatedMatcher] = []
        self._standbys: list[StandbyPartition] = []
        self._sinks = [SimulatedSink(self.log, self.tables, rng) for _ in range(rng.choice((1, 2)))]
        # How often a matcher is killed, frozen or overtaken, per step of anybody.
        self._trouble = rng.choice((0.005, 0.03, 0.1))

    def run(self) -> None:
        """War, peace, judgement."""
        self._start()
        more = True
        while more:
            more = self._act()
        self._peace()
        if self._spoils:
            self._harm()
        repeats = any(one.spoke_late for one in self._ever)
        check(self.log, self.tables, repeats=repeats, spoilt=self._spoils)

    def _act(self) -> bool:
        """One step of somebody; False when the brokers have nothing left to say."""
        rng = self._rng
        if rng.random() < self._trouble:
            self._make_trouble()
        if rng.random() < HARM:
            self._harm()
        draw = rng.random()
        if draw < 0.12:
            return self._brokers_send()
        if draw < 0.8 and self._awake:
            speeds = [matcher.speed for matcher in self._awake]
            self._step(rng.choices(self._awake, speeds)[0])
        elif draw < 0.95:
            rng.choice(self._sinks).step()
        elif draw < 0.96:
            rng.choice(self._sinks).restart()
        elif draw < 0.99:
            self._stand_by()
        elif not self._awake:
            self._start()
        return True

    def _brokers_send(self) -> bool:
        for _ in range(self._rng.randint(1, 4)):
            step = next(self._brokers, None)
            if step is None:
                return False
            self.log.now_ms = max(self.log.now_ms, step[0])
            self.log.append(COMMAND_LOG, step[1])
        return True

    def _start(self) -> None:
        for other in self._ever:
            other.overtaken()
        standby = self._standbys.pop() if self._standbys and self._rng.random() < 0.7 else None
        matcher = SimulatedMatcher(self.log, self._rng, self._every, standby)
        self._ever.append(matcher)
        self._awake.append(matcher)

    def _stand_by(self) -> None:
        """A standby begins, or the one there is follows for a while."""
        rng, end = self._rng, self.log.range(EXECUTION_LOG).end
        if not self._standbys:
            recovered = recover(self.log, LOG, NUMBER, end - 1)
            self._standbys.append(
                StandbyPartition(NUMBER, recovered, lag_commands=rng.choice((0, 2, 9)))
            )
            return
        (standby,) = self._standbys
        for told in self.log.read(EXECUTION_LOG, standby.position.next_record, end):
            standby.execution(told)
        read_to = standby.read_to + rng.randint(0, 20)
        for command in self.log.read(COMMAND_LOG, standby.read_to, read_to):
            standby.command(command)
        standby.catch_up()

    def _step(self, matcher: SimulatedMatcher) -> None:
        matcher.step()
        if not matcher.alive:
            self._awake.remove(matcher)

    def _make_trouble(self) -> None:
        rng = self._rng
        kind = rng.choice(("kill", "freeze", "wake", "overtake"))
        if kind == "kill" and self._awake:
            self._awake.pop(rng.randrange(len(self._awake))).kill()
        elif kind == "freeze" and self._awake:
            self._frozen.append(self._awake.pop(rng.randrange(len(self._awake))))
        elif kind == "wake" and self._frozen:
            self._awake.append(self._frozen.pop(rng.randrange(len(self._frozen))))
        elif kind == "overtake":
            self._start()

    def _harm(self) -> None:
        held = self.log.range(SNAPSHOT_LOG)
        if not held.end:
            return
        if self._spoils:
            told = [record for record, _ in commits_of(self.log)]
            self._spoil(self._rng.choice([*told, self._rng.randrange(held.end)]))
        elif self._trims:
            commits = list(commits_of(self.log))
            if commits:
                best = max(commit.next_command for _, commit in commits)
                # A matcher that reads there now would rightly end; it is not the one to test.
                for reading in (*self._awake, *self._frozen):
                    reading.kill()
                self._awake, self._frozen, self._standbys = [], [], []
                self.log.trim(COMMAND_LOG, best)

    def _spoil(self, offset: int) -> None:
        """One bit of a record, or a figure of a commit that can then still be read."""
        (record,) = self.log.read(SNAPSHOT_LOG, offset, offset + 1)
        value = record.value() or b""
        broken = bytearray(value)
        broken[self._rng.randrange(len(broken))] ^= 1 << self._rng.randrange(8)
        commits = dict(commits_of(self.log))
        if offset in commits and self._rng.random() < 0.7:
            field = self._rng.choice(("next_command", "next_record", "next_record", "first_chunk"))
            wrong = getattr(commits[offset], field) + self._rng.choice((-2, -1, 1, 2, 5))
            broken = bytearray(encode(structs.replace(commits[offset], **{field: wrong})))
        self.log.spoil(SNAPSHOT_LOG, offset, bytes(broken))

    def _peace(self) -> None:
        self._awake += self._frozen
        self._frozen = []
        self._start()
        newest = self._awake[-1]
        for _ in range(STEPS_MAX):
            if newest.idle and len(self._awake) == 1 and all(sink.idle for sink in self._sinks):
                return
            self._step(self._rng.choice(self._awake))
            for sink in self._sinks:
                sink.step()
        raise AssertionError(f"no end after {STEPS_MAX} steps, {len(self._awake)} matchers")


def _commands(rng: random.Random) -> Iterator[tuple[int, bytes | None]]:
    """Timestamp and record. Order ids are unique, as ingest makes them; rubbish is rubbish."""
    named: dict[str, str] = {}
    for step in flow(rng, random_shape(rng), rng.choice(COMMANDS)):
        command: Command | None = step.command
        if isinstance(command, PlaceOrder):
            fresh = order_id(step.offset, partition=NUMBER)
            named[command.order_id] = fresh
            command = structs.replace(command, order_id=fresh)
        elif isinstance(command, CancelOrder):
            command = structs.replace(command, order_id=named[command.order_id])
        yield step.timestamp, b"{" if command is None else encode(command)


assert RULES.fills_max > max(COMMANDS), "the model is given the rules of production"
