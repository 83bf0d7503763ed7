"""Fault injector: begins the faults of a plan on the cluster and heals them after their time."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct, structs

from infra.errors import InfraError
from infra.process import ChildProcess
from tests.chaos.clients import Clients
from tests.chaos.cluster import SERVICES, Cluster
from tests.chaos.foreign_writer import ForeignWriter
from tests.chaos.plan import CLOCKS, PROGRAMS, ChaosPlan, Fault, FaultGroup
from tests.chaos.small_disk import fill, make_room
from tests.chaos.supervisor import ChaosSupervisor

_REFILL_S = 0.1
# A matcher notices a newer claim within a second; the rest is for a busy machine.
_NOTICE_S = 20.0
# After this time without recovery, the next fault is injected all the same.
_RECOVERY_S = 60.0
_POLL_S = 0.05
# The first line of a service, written once it handles the signals that stop it.
_STARTING = b'"message":"starting"'


class HealedGroup(Struct, frozen=True):
    """The time when the last fault of a group was healed, on the clients' clock.

    `ready_us`: the time when every service was ready; None: not measured, or never.
    """

    group: FaultGroup
    healed_us: int
    ready_us: int | None = None


def ended_before_start(process: ChildProcess) -> bool:
    """True if SIGTERM ended a service before it could handle it: within its interpreter's start."""
    return process.exit_code == -signal.SIGTERM and _STARTING not in process.output()


class FaultInjector:
    """Injects faults; `print_line` is called with a line per group. Times: the clients' clock."""

    def __init__(
        self,
        cluster: Cluster,
        supervisor: ChaosSupervisor,
        print_line: Callable[[str], None],
        clients: Clients,
    ) -> None:
        self._cluster = cluster
        self._supervisor = supervisor
        self._print_line = print_line
        self._clients = clients
        self._now_us = clients.now_us
        self._ending = threading.Event()
        # Exit codes of the programs that were stopped or superseded, or could not handle the stop
        # yet, by name.
        self.stop_exits: dict[str, list[int | None]] = {}
        # Periods in which the gateway's clock was wrong: start and end.
        self.gateway_clock_wrong_us: list[tuple[int, int]] = []

    def inject_all(self, plan: ChaosPlan) -> list[HealedGroup]:
        """Inject and heal every group of the plan, one after the other."""
        began = time.monotonic()
        healed = []
        for number, group in enumerate(plan.groups, 1):
            self._wait(began + group.at_ms / 1000 - time.monotonic())
            faults = " + ".join(map(str, group.faults))
            at_s = time.monotonic() - began
            self._print_line(f"{at_s:6.1f} s  {number}/{len(plan.groups)}  {faults}")
            done = self._inject_group(group)
            if plan.one_by_one:
                done = structs.replace(done, ready_us=self._wait_for_recovery(done.healed_us))
            healed.append(done)
        return healed

    def heal_all(self) -> None:
        """Restore every link and clock, resume frozen programs and start those that ended."""
        for link in self._cluster.links.values():
            link.heal()
        for name in CLOCKS:
            self._cluster.set_clock(name, 0)
        for name in PROGRAMS:
            self._cluster.process(name).resume()
            self._supervisor.release(name)

    def _inject_group(self, group: FaultGroup) -> HealedGroup:
        with ThreadPoolExecutor(len(group.faults)) as pool:
            running = [pool.submit(self._inject, fault) for fault in group.faults]
            try:
                healed_us = max(each.result() for each in running)
            except BaseException:
                # Interrupted: the threads must not wait until the end of their faults.
                self._ending.set()
                raise
        return HealedGroup(group, healed_us)

    def _wait_for_recovery(self, healed_us: int) -> int | None:
        """Wait until every service is ready and an order was accepted; the time of the former."""
        deadline = time.monotonic() + _RECOVERY_S
        ready_us = None
        while time.monotonic() < deadline and not self._ending.is_set():
            if ready_us is None and self._cluster.all_ready():
                ready_us = self._now_us()
            if ready_us is not None and self._clients.first_created_after(healed_us) is not None:
                break
            self._wait(_POLL_S)
        return ready_us

    def _inject(self, fault: Fault) -> int:
        """Begin and heal a fault; the time of healing. A restart's duration counts as recovery."""
        if fault.target in self._cluster.links:
            return self._disturb_link(fault)
        if fault.kind == "fill_disk":
            return self._fill_disk(fault)
        if fault.kind in ("repeat_records", "unreadable_records", "transactions"):
            writer = ForeignWriter(self._cluster.stack, fault.detail, self._wait)
            writer.disturb(fault.kind, fault.hold_ms / 1000)
            return self._now_us()
        return self._disturb_program(fault)

    def _disturb_link(self, fault: Fault) -> int:
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

    def _fill_disk(self, fault: Fault) -> int:
        """Fill Kafka's disk: the broker ends, and every restart fails until there is room."""
        folder = self._cluster.servers[fault.target].data_dir
        fill(folder)
        end = time.monotonic() + fault.hold_ms / 1000
        while time.monotonic() < end and not self._ending.is_set():
            self._wait(_REFILL_S)
            # A broker that ends deletes files, which makes room on the disk.
            fill(folder)
        make_room(folder)
        return self._now_us()

    def _disturb_program(self, fault: Fault) -> int:
        name = fault.target
        match fault.kind:
            case "freeze":
                self._supervisor.hold(name, lambda: self._cluster.process(name).pause())
            case "stop":
                self._supervisor.hold(name, lambda: self._stop(name))
            case "supersede":
                self._supervisor.hold(name, lambda: self._supersede(fault))
            case "clock_jump":
                return self._disturb_clock(fault)
            case "clock_wrong_start":
                self._supervisor.hold(name, lambda: self._cluster.kill(name))
                return self._disturb_clock(fault)
            case "restart_twice":
                self._supervisor.hold(name, lambda: self._kill_while_starting(fault))
            case _:
                self._supervisor.hold(name, lambda: self._cluster.kill(name))
        if fault.kind != "supersede":
            self._wait(fault.hold_ms / 1000)
        healed_us = self._now_us()
        if fault.kind == "freeze":
            self._cluster.process(name).resume()
        self._supervisor.release(name)
        return healed_us

    def _disturb_clock(self, fault: Fault) -> int:
        """Set a wrong clock, start the program if it does not run, then set the clock right."""
        started_us = self._now_us()
        if not self._cluster.set_clock(fault.target, fault.detail):
            self._print_line(f"the clock of {fault.target} stays right: there is no C compiler")
        self._supervisor.release(fault.target)
        self._wait(fault.hold_ms / 1000)
        self._cluster.set_clock(fault.target, 0)
        healed_us = self._now_us()
        if fault.target == "gateway":
            self.gateway_clock_wrong_us.append((started_us, healed_us))
        return healed_us

    def _stop(self, name: str) -> None:
        # It may have ended already, because of a fault of a server that it needs.
        process = self._cluster.process(name)
        was_alive = process.alive
        exit_code = self._cluster.stop(name)
        if was_alive:
            as_ = f"starting {name}" if name in SERVICES and ended_before_start(process) else name
            self.stop_exits.setdefault(as_, []).append(exit_code)

    def _supersede(self, fault: Fault) -> None:
        self._cluster.process(fault.target).pause()
        former = self._cluster.supersede(fault.target)
        self._wait(fault.hold_ms / 1000)
        former.resume()
        # It must notice the newer claim and end; the report checks its exit code.
        if not former.wait(_NOTICE_S):
            former.kill()
        self.stop_exits.setdefault(f"superseded {fault.target}", []).append(former.exit_code)

    def _kill_while_starting(self, fault: Fault) -> None:
        self._cluster.kill(fault.target)
        with ThreadPoolExecutor(1) as pool:
            starting = pool.submit(self._cluster.start, fault.target)
            self._wait(fault.detail / 1000)
            self._cluster.process(fault.target).kill()
            # Expected: the start of a server fails when it is killed before it answers.
            with contextlib.suppress(InfraError):
                starting.result()
        self._cluster.kill(fault.target)

    def _wait(self, seconds: float) -> None:
        self._ending.wait(max(0.0, seconds))
