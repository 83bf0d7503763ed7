"""Carries faults out on the arena: each begins, lasts, and is healed."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct, structs

from infra.errors import InfraError
from tests.chaos.clients import Clients
from tests.chaos.cluster import Cluster
from tests.chaos.plan import CLOCKS, PROGRAMS, ChaosPlan, Fault, Strike
from tests.chaos.small_disk import fill, make_room
from tests.chaos.supervisor import ChaosSupervisor

_REFILL_S = 0.1
# A matcher says that it needs a second to see a newer claim; the rest is for a busy machine.
_NOTICE_S = 20.0
# What is not well after so long is struck again all the same.
_RECOVERY_S = 60.0
_LOOK_S = 0.05


class Healed(Struct, frozen=True):
    """When a strike was over: the heal of its last fault, on the crowd's clock.

    `ready_us`: from when on every service was ready; None: not looked at, or never.
    """

    strike: Strike
    healed_us: int
    ready_us: int | None = None


class FaultInjector:
    """`tell` gets a line per strike; the crowd's clock is that of the report."""

    def __init__(
        self,
        cluster: Cluster,
        supervisor: ChaosSupervisor,
        tell: Callable[[str], None],
        clients: Clients,
    ) -> None:
        self._cluster = cluster
        self._keeper = supervisor
        self._tell = tell
        self._crowd = clients
        self._now_us = clients.now_us
        self._ending = threading.Event()
        self.stops: dict[str, list[int | None]] = {}

    def strike_all(self, plan: ChaosPlan) -> list[Healed]:
        """The whole plan, one strike after the other."""
        began = time.monotonic()
        healed = []
        for number, strike in enumerate(plan.strikes, 1):
            self._wait(began + strike.at_ms / 1000 - time.monotonic())
            told = " + ".join(map(str, strike.faults))
            self._tell(f"{time.monotonic() - began:6.1f} s  {number}/{len(plan.strikes)}  {told}")
            done = self._strike(strike)
            if plan.one_by_one:
                done = structs.replace(done, ready_us=self._recovered(done.healed_us))
            healed.append(done)
        return healed

    def heal_all(self) -> None:
        """Whatever was struck: links flow, frozen programs go on, dead ones are started."""
        for link in self._cluster.links.values():
            link.heal()
        for name in CLOCKS:
            self._cluster.stack.set_clock(name, 0)
        for name in PROGRAMS:
            self._cluster.process(name).resume()
            self._keeper.give_back(name)

    def _strike(self, strike: Strike) -> Healed:
        with ThreadPoolExecutor(len(strike.faults)) as pool:
            running = [pool.submit(self._carry_out, fault) for fault in strike.faults]
            try:
                healed_us = max(each.result() for each in running)
            except BaseException:
                # Interrupted: the threads must not sit out what they hold.
                self._ending.set()
                raise
        return Healed(strike, healed_us)

    def _recovered(self, healed_us: int) -> int | None:
        """When every service was ready; returns when an order was taken as well."""
        deadline = time.monotonic() + _RECOVERY_S
        ready_us = None
        while time.monotonic() < deadline and not self._ending.is_set():
            if ready_us is None and self._cluster.all_ready():
                ready_us = self._now_us()
            if ready_us is not None and self._crowd.first_created_after(healed_us) is not None:
                break
            self._wait(_LOOK_S)
        return ready_us

    def _carry_out(self, fault: Fault) -> int:
        """When it was healed; a start that takes its time belongs to the recovery."""
        if fault.target in self._cluster.links:
            return self._on_link(fault)
        if fault.kind == "fill_disk":
            return self._on_disk(fault)
        return self._on_program(fault)

    def _on_link(self, fault: Fault) -> int:
        link = self._cluster.links[fault.target]
        match fault.kind:
            case "cut":
                link.cut()
            case "stall":
                link.stall()
            case "slow":
                link.delay(fault.detail / 1000)
            case _:
                link.cut_after(fault.detail)
        self._wait(fault.hold_ms / 1000)
        if fault.kind == "stall" and fault.detail:
            link.cut()
        link.heal()
        return self._now_us()

    def _on_disk(self, fault: Fault) -> int:
        """The broker ends by itself, and is started in vain until there is room again."""
        folder = self._cluster.servers[fault.target].data_dir
        fill(folder)
        end = time.monotonic() + fault.hold_ms / 1000
        while time.monotonic() < end and not self._ending.is_set():
            self._wait(_REFILL_S)
            # A dying broker drops files, and the disk would have room by itself.
            fill(folder)
        make_room(folder)
        return self._now_us()

    def _on_program(self, fault: Fault) -> int:
        name = fault.target
        match fault.kind:
            case "freeze":
                self._keeper.take(name, lambda: self._cluster.process(name).pause())
            case "stop":
                self._keeper.take(name, lambda: self._stop(name))
            case "usurp":
                self._keeper.take(name, lambda: self._usurp(fault))
            case "clock_jump":
                return self._on_clock(fault)
            case "clock_wrong_start":
                self._keeper.take(name, lambda: self._cluster.kill(name))
                return self._on_clock(fault)
            case "restart_twice":
                self._keeper.take(name, lambda: self._die_while_starting(fault))
            case _:
                self._keeper.take(name, lambda: self._cluster.kill(name))
        if fault.kind != "usurp":
            self._wait(fault.hold_ms / 1000)
        healed_us = self._now_us()
        if fault.kind == "freeze":
            self._cluster.process(name).resume()
        self._keeper.give_back(name)
        return healed_us

    def _on_clock(self, fault: Fault) -> int:
        """Wrong for a while in a running program, be it from its start on; then right at once."""
        self._cluster.stack.set_clock(fault.target, fault.detail)
        self._keeper.give_back(fault.target)
        self._wait(fault.hold_ms / 1000)
        self._cluster.stack.set_clock(fault.target, 0)
        return self._now_us()

    def _stop(self, name: str) -> None:
        # It may be away already, for want of something else that was struck.
        was_there = self._cluster.process(name).alive
        exit_code = self._cluster.stop(name)
        if was_there:
            self.stops.setdefault(name, []).append(exit_code)

    def _usurp(self, fault: Fault) -> None:
        self._cluster.process(fault.target).pause()
        former = self._cluster.usurp(fault.target)
        self._wait(fault.hold_ms / 1000)
        former.resume()
        # It must notice by itself; the report looks at its exit code.
        if not former.wait(_NOTICE_S):
            former.kill()
        self.stops.setdefault(f"usurped {fault.target}", []).append(former.exit_code)

    def _die_while_starting(self, fault: Fault) -> None:
        self._cluster.kill(fault.target)
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(self._cluster.start, fault.target)
            self._wait(fault.detail / 1000)
            self._cluster.process(fault.target).kill()
            # A server that is killed before it answers says so; that was the wish.
            with contextlib.suppress(InfraError):
                starting.result()
        self._cluster.kill(fault.target)

    def _wait(self, seconds: float) -> None:
        self._ending.wait(max(0.0, seconds))
