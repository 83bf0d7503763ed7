"""The loop of a standby: follows commands and executions until it takes over.

It writes nothing before that. SIGUSR1 requests the takeover.
"""

import logging
import threading
import time
from collections.abc import Mapping

from schemas.topics import COMMANDS, EXECUTIONS
from services.matcher.recovery import LogTopics, recover
from services.matcher.standby_partition import StandbyPartition
from services.runtime.health import Check
from services.runtime.kafka.client_config import kafka_access
from services.runtime.kafka.consumer import Fetch, LogConsumer, Partition
from services.runtime.kafka.records import record_partition
from services.runtime.lifecycle import Stop
from services.runtime.settings import Settings

logger = logging.getLogger(__name__)

RECORDS_MAX = 2_000
WAIT_S = 0.05
# It is not in the way of an order.
FETCH = Fetch(wait_ms=20)


class Standby:
    """Standby of several partitions, which it takes over together when one of them stalls."""

    def __init__(self, settings: Settings, log: LogTopics) -> None:
        self._settings = settings
        self._log = log
        self._asked = threading.Event()
        self._following: dict[int, StandbyPartition] = {}

    def ask(self, *_: object) -> None:
        """Request the takeover. Also a signal handler."""
        self._asked.set()

    def check(self) -> Check:
        """For `/readyz`: ready once it has caught up with the active matcher."""
        behind = sum(
            max(0, one.position.next_command - one.read_to) for one in self._following.values()
        )
        return Check(bool(self._following) and not behind, f"{behind} commands behind the active")

    def follow(self, partitions: list[int], stop: Stop) -> Mapping[int, StandbyPartition] | None:
        """Follow until the takeover, and return the partitions; None if stopped before."""
        consumer = LogConsumer(kafka_access(self._settings), FETCH)
        try:
            for number in partitions:
                self._catch_up(consumer, number, stop)
            consumer.assign(self._offsets())
            logger.info("standing by", extra={"fields": {"partitions": partitions}})
            while not stop.is_set():
                self._read(consumer)
                if self._due():
                    return self._following
        finally:
            consumer.close()
        return None

    def _catch_up(self, consumer: LogConsumer, number: int, stop: Stop) -> None:
        """Read outcomes first, then their commands, so that few commands have to be kept."""
        executions = self._log.partition(EXECUTIONS, number)
        commands = self._log.partition(COMMANDS, number)
        end = consumer.range(executions).end
        one = StandbyPartition(number, recover(consumer, self._log, number, end))
        self._following[number] = one
        for record in consumer.read(executions, one.position.next_record, end):
            one.execution(record)
        for command in consumer.read(commands, one.read_to, one.position.next_command):
            if stop.is_set():
                return
            one.command(command)
            one.catch_up()
        one.reached(max(one.read_to, one.position.next_command))

    def _offsets(self) -> dict[Partition, int]:
        offsets = {}
        for number, one in self._following.items():
            offsets[self._log.partition(EXECUTIONS, number)] = one.position.next_record
            offsets[self._log.partition(COMMANDS, number)] = one.read_to
        return offsets

    def _read(self, consumer: LogConsumer) -> None:
        executions = EXECUTIONS.full_name(self._log.prefix)
        for message in consumer.poll(RECORDS_MAX, WAIT_S):
            one = self._following[record_partition(message)]
            if message.topic() == executions:
                one.execution(message)
            else:
                one.command(message)
        for partition, end in consumer.take_reached().items():
            one = self._following[partition.number]
            if partition.topic != executions:
                one.reached(max(one.read_to, end))
        for one in self._following.values():
            one.catch_up()

    def _due(self) -> bool:
        if self._asked.is_set():
            logger.info("taking over: requested")
            return True
        now_s = time.monotonic()
        for number, one in self._following.items():
            silent_s = one.silent_s(now_s)
            if silent_s * 1000 >= self._settings.takeover_ms:
                fields = {"partition": number, "silent_s": round(silent_s, 3)}
                logger.warning(
                    "taking over: commands wait and no outcome arrives", extra={"fields": fields}
                )
                return True
        return False
