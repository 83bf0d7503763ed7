"""Progress of one plan: the share of its requests that are done, latency and errors."""

from bisect import bisect_right
from typing import Final

from loadgen.client.record import ERROR_KINDS, RequestRecord
from loadgen.client.workers import RunState
from loadgen.report.report import percentiles
from loadgen.workload.orderflow import Plan
from services.runtime.progress import Progress

# Latency is that of the last seconds, so that it shows the present state.
WINDOW_US: Final = 5_000_000


class PlanProgress:
    """Shows one plan in a progress display; `what` names the plan."""

    def __init__(self, progress: Progress, what: str, flow: Plan) -> None:
        self._progress = progress
        self._seen = 0
        self._done = 0
        self._skipped = 0
        self._errors = 0
        self._recent: list[RequestRecord] = []
        progress.begin(what, len(flow.actions), "requests")

    def update(self, state: RunState) -> None:
        """Show the present state, if it is time for it. Reads only new records."""
        if not self._progress.due:
            return
        detail = self.detail(state)
        # A request that is never sent is no work that is left.
        self._progress.update(self._done + self._skipped, detail)

    def detail(self, state: RunState) -> str:
        """The figures in text."""
        fresh = list(state.records.since(self._seen))
        self._seen += len(fresh)
        answered = [line for line in fresh if line.kind not in ("not_sent", "abandoned")]
        self._done += len(answered)
        self._skipped += len(fresh) - len(answered)
        self._errors += sum(line.kind in ERROR_KINDS for line in answered)
        since = state.now_us - WINDOW_US
        self._recent = [line for line in (*self._recent, *answered) if line.done_us >= since]
        found = percentiles(line.latency_us for line in self._recent)
        p50, p99 = (found.p50 / 1_000, found.p99 / 1_000) if found else (0.0, 0.0)
        due = bisect_right(state.plan.actions, state.now_us, key=lambda action: action.at_us)
        return (
            f"due {due:,}  sent {state.sent:,}  p50 {p50:.1f} ms  p99 {p99:.1f} ms  "
            f"errors {self._errors:,}"
        )
