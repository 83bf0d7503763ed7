"""Starting state of the views: from PostgreSQL and the rest of the log, else from the whole log.

1. The positions in PostgreSQL. 2. Whether the log continues from there. 3. The views. 4. The rest
of the log. If PostgreSQL fails at any step, whatever its reason, the log alone gives the same
views, only later; in a log that has lost its beginning, PostgreSQL is asked again. The event loop
stays free: a thread queries PostgreSQL and is abandoned if that falls silent.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import TypeVar

import psycopg

from services.reader.app import Reader
from services.reader.database_views import StoredViews
from services.reader.errors import ArchiveUnavailableError, ViewsNotStoredError
from services.reader.recent_events import RecentOutcomes, restored
from services.reader.views import Views
from services.runtime.errors import BrokenLogError, SettingsError, UnavailableError
from services.runtime.health import Check
from services.runtime.kafka.dispatcher import Ranges, TopicDispatcher
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.execution_place import NoPlaceError
from services.runtime.postgres.errors import line_of
from services.runtime.questions import answer_of

log = logging.getLogger(__name__)

T = TypeVar("T")

# Interval of checks whether PostgreSQL is silent for too long.
WATCH_S = 0.25
PROGRESS_EVERY_S = 2.0
# Pause before PostgreSQL is asked again, where the log alone is not enough.
RETRY_S = 1.0
# Own events of this time before the start are loaded, of at most so many commands a partition.
RECENT_MS = 120_000
RECENT_OUTCOMES_MAX = 30_000
LEADERS_S_MAX = 30.0


class ViewBootstrap:
    """The start of one reader. Lives on the loop's thread."""

    def __init__(
        self,
        open_stored: Callable[[], StoredViews],
        dispatcher: TopicDispatcher,
        reader: Reader,
        failed: Callable[[BaseException], None],
    ) -> None:
        # A new one for each attempt: the thread of an abandoned attempt still has the former.
        self._open_stored = open_stored
        self._stored = open_stored()
        self._lack: Exception | None = None
        self._stream = dispatcher
        self._reader = reader
        self._failed = failed
        self._begun = False
        self._from = "PostgreSQL"

    def check(self) -> Check:
        """Report whether the views have started, and from which source; the dispatcher reports
        catching up."""
        if self._begun:
            return Check(True, f"from {self._from}")
        if self._lack is not None:
            return Check(False, f"waiting for PostgreSQL, which {self._lack}")
        return Check(False, f"loading from PostgreSQL, {self._stored.rows:,} rows so far")

    async def run(self) -> None:
        """Load the views, then start the dispatcher. Fatal errors go to `failed`."""
        try:
            await self._run()
        except Exception as error:
            self._failed(error)

    async def _run(self) -> None:
        await self._wait_for_leaders()
        positions = await self._restored()
        held = await answer_of(self._stream.ranges)
        while self._lack is not None and (lost := _lost_beginning(held)) is not None:
            text = f"{lost} and PostgreSQL {self._lack}"
            if not isinstance(self._lack, ArchiveUnavailableError):
                raise BrokenLogError(text)
            log.warning("waiting for PostgreSQL: %s", text)
            await asyncio.sleep(RETRY_S)
            self._stored = self._open_stored()
            positions = await self._restored()
            held = await answer_of(self._stream.ranges)
        if self._lack is not None:
            self._from = f"the executions topic alone: PostgreSQL {self._lack}"
            log.warning("views from %s", self._from)
        claims = await answer_of(self._stream.claims, positions)
        self._begun = True
        self._stream.start(held, positions, claims)

    async def _wait_for_leaders(self) -> None:
        """Wait until Kafka reports the ends. Raises UnavailableError.

        After an unclean end it answers for some time before its partitions have leaders.
        """
        deadline = time.monotonic() + LEADERS_S_MAX
        while True:
            try:
                await answer_of(self._stream.ranges)
                return
            except UnavailableError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("waiting for Kafka: %s", error)

    async def _restored(self) -> Mapping[int, FilterPosition]:
        """Positions from PostgreSQL; none, with the reason in `_lack`, if it has no views."""
        self._lack = None
        try:
            return await self._restore()
        except (ArchiveUnavailableError, ViewsNotStoredError) as error:
            self._lack = error
            return {}

    async def _restore(self) -> dict[int, FilterPosition]:
        begun = time.monotonic()
        try:
            positions, views = await self._answer(self._load)
        except (psycopg.Error, OSError, SettingsError) as error:
            # Also a server that refuses this user, or a database of another encoding: orders are
            # served without PostgreSQL, whatever is wrong with it.
            raise ArchiveUnavailableError(f"does not return them: {line_of(error)}") from error
        except BrokenLogError as error:
            raise ViewsNotStoredError(f"contradicts itself: {error}") from error
        self._reader.restore(views)
        fields = {
            "rows": self._stored.rows,
            "open_orders": views.orders_in_memory(),
            "commands": sum(at.next_command for at in positions.values()),
            "seconds": round(time.monotonic() - begun, 3),
        }
        log.info("views from PostgreSQL", extra={"fields": fields})
        return positions

    def _load(self) -> tuple[dict[int, FilterPosition], Views]:
        with closing(self._stored) as stored:
            positions = self._places(stored.positions())
            stored.last_response.heard()
            views = stored.views(positions)
            self._add_recent_events(views, stored, positions)
            return positions, views

    def _places(self, stored: dict[int, FilterPosition]) -> dict[int, FilterPosition]:
        """The places from which the log continues. Raises ViewsNotStoredError."""
        # Only now, so that the log reaches at least to the position that the sink has read.
        held = self._stream.ranges()
        foreign = stored.keys() - set(range(len(held.executions)))
        if foreign:
            raise ViewsNotStoredError(
                f"has a position of partition {min(foreign)}, which the executions topic lacks"
            )
        for number, range_ in enumerate(held.executions):
            if number not in stored and range_.low > 0:
                raise ViewsNotStoredError(
                    f"has stored nothing of partition {number}, whose executions begin at record "
                    f"{range_.low}"
                )
        try:
            return self._stream.places(stored)
        except NoPlaceError as error:
            raise ViewsNotStoredError(f"has stored {error}") from error

    def _add_recent_events(
        self, views: Views, stored: StoredViews, positions: Mapping[int, FilterPosition]
    ) -> None:
        """Only for clients that come back: without these events they get a snapshot."""
        try:
            outcomes = self._stream.outcomes_before(positions, RECENT_MS, RECENT_OUTCOMES_MAX)
            recent = [RecentOutcomes(number, *found) for number, found in outcomes.items()]
            changed = set().union(*(part.changed() for part in recent))
            closed = stored.orders([each for each in changed if views.order(each) is None])
            views.own_events = restored(views, recent, closed)
        except BrokenLogError as error:
            log.warning("own events from before the start are left out: %s", error)

    async def _answer(self, question: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def ask() -> None:
            try:
                result = question()
            except Exception as error:
                complete(_set_error, error)
            else:
                complete(_set_result, result)

        def complete(how: Callable[..., None], what: object) -> None:
            # Raised if the event loop has ended meanwhile: the result is not needed then.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(how, answer, what)

        threading.Thread(target=ask, name="stored views", daemon=True).start()
        try:
            with self._stored.last_response.asking():
                await self._watch(answer)
            return answer.result()
        finally:
            if not answer.done():
                # Its thread ends with an error, which nothing waits for.
                answer.cancel()
                self._stored.cut()

    async def _watch(self, answer: "asyncio.Future[T]") -> None:
        logged_at = time.monotonic()
        while True:
            await asyncio.wait([answer], timeout=WATCH_S)
            if answer.done():
                return
            last_response, now = self._stored.last_response, time.monotonic()
            if last_response.too_long():
                raise ArchiveUnavailableError(f"was silent for {last_response.max_s:g} s")
            if now - logged_at > PROGRESS_EVERY_S:
                logged_at = now
                log.info("loading views", extra={"fields": {"rows": self._stored.rows}})


def _set_result(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _set_error(answer: "asyncio.Future[T]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _lost_beginning(held: Ranges) -> str | None:
    """The first partition that has lost its beginning, in words: its views would be wrong."""
    for number, range_ in enumerate(held.executions):
        if range_.low > 0:
            return f"the executions of partition {number} begin at record {range_.low}"
    return None
