"""`GET /operations`: what one gateway knows of the pipeline, for its page and for programs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Query
from msgspec import Struct
from pydantic import BaseModel, Field

from schemas.operations import CheckState, MatcherClaim, OperationsResource, WebhooksState
from schemas.units import rfc3339
from services.api.framework import ServiceRouter
from services.api.messages import Response, Route, json_response
from services.api.query import Count
from services.page.positions import PartitionPositions
from services.page.sampler import SAMPLES_MAX, SecondSamples, streams
from services.page.stages import verdict
from services.reader.app import Reader
from services.runtime.clock import now_ms
from services.runtime.errors import UnavailableError
from services.runtime.health import Health
from services.runtime.postgres.pool import PostgresUnavailableError
from services.runtime.questions import answer_of

# Kafka is asked for the ends of the log this often, and only while the view is read.
ASK_S: Final = 1.0
WATCHED_S: Final = 10.0
# PostgreSQL reads thousands of rows to count webhooks.
COUNT_S: Final = 5.0


class OperationsQuery(BaseModel):
    """The parameters of `GET /operations`."""

    samples: Annotated[
        int, Count(SAMPLES_MAX), Field(description="So many of the newest samples, one a second")
    ] = 1


class Sources(Struct, frozen=True):
    """`commands_end` blocks, on any thread, for the end of a partition of the command log, and
    raises UnavailableError. `claim`: matcher and offset of a partition's claim, if known.
    `webhooks` raises PostgresUnavailableError."""

    commands_end: Callable[[int], int]
    claim: Callable[[int], tuple[str, int] | None]
    webhooks: Callable[[], Awaitable[WebhooksState]]


class Operations:
    """The state of the pipeline. `sources`: where it is read from besides the reader."""

    def __init__(
        self,
        reader: Reader,
        health: Health,
        sampler: SecondSamples,
        sources: Sources,
        partitions: int,
    ) -> None:
        self._reader = reader
        self._health = health
        self._sampler = sampler
        self._sources = sources
        self._webhooks: WebhooksState | None = None
        self._positions = [PartitionPositions(number) for number in range(partitions)]
        self._watched_until_s = 0.0

    async def get_operations(self, query: Annotated[OperationsQuery, Query()]) -> Response:
        """`GET /operations`."""
        if time.monotonic() > self._watched_until_s:
            await self._ask()
        return json_response(200, self.watched_state(query.samples))

    def watched_state(self, samples: int) -> OperationsResource:
        """`state`; Kafka is asked for the ends of the log from now on, for `WATCHED_S`."""
        self._watched_until_s = time.monotonic() + WATCHED_S
        return self.state(samples)

    def state(self, samples: int) -> OperationsResource:
        """Everything that is known now, with so many of the newest samples."""
        now_s = time.monotonic()
        partitions = [
            each.state(self._applied(number), now_s, self._claim(number))
            for number, each in enumerate(self._positions)
        ]
        checks = self._checks()
        found = verdict(partitions, checks, self._reader.storage_reachable)
        return OperationsResource(
            sentence=found.sentence,
            behind=found.behind,
            as_of=rfc3339(now_ms()),
            partitions=partitions,
            checks=checks,
            process=self._sampler.process(self._reader.views),
            streams=streams(),
            webhooks=self._webhooks,
            samples=list(self._sampler.samples)[-samples:],
        )

    async def run(self) -> None:
        """Follow the positions until cancelled."""
        while True:
            now_s = time.monotonic()
            for number, each in enumerate(self._positions):
                each.apply(self._applied(number), now_s)
            if now_s <= self._watched_until_s:
                await self._ask()
            await asyncio.sleep(ASK_S)

    async def count_webhooks(self) -> None:
        """Count webhooks while the view is read, until cancelled."""
        while True:
            is_watched = time.monotonic() <= self._watched_until_s
            self._webhooks = await self._counted() if is_watched else None
            await asyncio.sleep(COUNT_S if is_watched else ASK_S)

    async def _counted(self) -> WebhooksState | None:
        try:
            return await self._sources.webhooks()
        except PostgresUnavailableError:
            return None

    def _claim(self, partition: int) -> MatcherClaim | None:
        claim = self._sources.claim(partition)
        return None if claim is None else MatcherClaim(*claim)

    def _applied(self, partition: int) -> int:
        return self._reader.views.next_commands().get(partition, 0)

    async def _ask(self) -> None:
        ends = await answer_of(self._ends)
        now_s = time.monotonic()
        stored = self._reader.stored() if self._reader.storage_reachable else None
        for number, each in enumerate(self._positions):
            each.ask(ends[number], None if stored is None else stored.get(number, 0), now_s)

    def _ends(self) -> list[int | None]:
        found: list[int | None] = []
        for number in range(len(self._positions)):
            try:
                found.append(self._sources.commands_end(number))
            except UnavailableError:
                # Each partition would wait its full time for the same broker.
                return [None] * len(self._positions)
        return found

    def _checks(self) -> list[CheckState]:
        ready = self._health.readiness()
        checks = [CheckState(name, check.ok, check.detail) for name, check in ready.checks.items()]
        return checks + [CheckState(each.name, False, each.detail) for each in ready.degraded]

    def router(self) -> ServiceRouter:
        """The call, for the gateway and the document."""
        return ServiceRouter(
            [
                Route(
                    method="GET",
                    path="/operations",
                    handler=self.get_operations,
                    who="market",
                    summary="State of the pipeline, and in words the stage that is behind",
                    answers={200: OperationsResource},
                    problems=("invalid",),
                    strict_query=True,
                )
            ]
        )
