"""Answer of `GET /operations`: the state of the pipeline as one gateway knows it.

Instants in `samples` are milliseconds since the epoch, durations say their unit. No broker's name
and no symbol is in it.
"""

from typing import Literal

from msgspec import Struct

Stage = Literal["gateway", "log", "matcher", "database", "sink", "helper"]


class MatcherClaim(Struct, frozen=True):
    """The claim of the matcher that holds a partition. `offset` in the executions: its epoch
    begins there."""

    matcher: str
    offset: int


class PartitionState(Struct, frozen=True):
    """Positions of one partition of the command log, as offsets of the next command.

    `end`: the end of the log; `applied`: the views of this gateway; `stored`: PostgreSQL. Null: not
    known now. `waiting_s`: time since the oldest command without an outcome; `unstored_s`: time
    since the oldest outcome that is not stored; 0: there is none. `claim`: null if none was
    seen, or it was trimmed.
    """

    partition: int
    end: int | None
    applied: int
    stored: int | None
    waiting: int | None
    waiting_s: float
    unstored: int | None
    unstored_s: float
    claim: MatcherClaim | None


class CheckState(Struct, frozen=True):
    """A check of `/readyz`, or a helper that is down."""

    name: str
    ok: bool
    detail: str


class OperationsSample(Struct, frozen=True):
    """One second. `orders` and `cancels`: those that were accepted; a replacement is neither.
    `post_p50_ms` to `post_p999_ms`: upper bounds of the answer times of orders in the last 10 s;
    `outcome_age_ms`: the highest age of an outcome when it arrived; `outcome_age_p50_ms` and
    `outcome_age_p99_ms`: ages that this share of the outcomes of the last 10 s did not exceed;
    null: none. `stream_bytes`: written to live connections."""

    time: int
    commands: int
    orders: int
    cancels: int
    trades: int
    post_p50_ms: float | None
    post_p99_ms: float | None
    post_p999_ms: float | None
    outcome_age_ms: int | None
    outcome_age_p50_ms: int | None
    outcome_age_p99_ms: int | None
    loop_delay_ms: float
    streams: int
    stream_bytes: int


class ProcessState(Struct, frozen=True):
    """This gateway. `cpu_percent` of one core since the sample before."""

    resident_bytes: int
    cpu_percent: float
    symbols: int
    open_orders: int
    orders_in_memory: int
    http_connections: int


class StreamsState(Struct, frozen=True):
    """Live connections of this gateway. `conflated`: whole messages in place of changes that a
    slow client did not get; `cut`: connections that the gateway ended; both since its start."""

    subscriptions: int
    conflated: int
    cut: int


class WebhooksState(Struct, frozen=True):
    """The outbox in PostgreSQL. Of either status at most 10,000 are counted; `oldest_pending`:
    when the oldest of those was queued; `retried`: how many of those an attempt has failed for."""

    pending: int
    oldest_pending: str | None
    retried: int
    parked: int


class OperationsResource(Struct, frozen=True):
    """`behind`: the stage that is behind, null: none is; `sentence` says it in words. `webhooks`:
    null while they are not known."""

    sentence: str
    behind: Stage | None
    as_of: str
    partitions: list[PartitionState]
    checks: list[CheckState]
    process: ProcessState
    streams: StreamsState
    webhooks: WebhooksState | None
    samples: list[OperationsSample]
