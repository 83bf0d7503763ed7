"""Answer of `GET /operations`: the state of the pipeline as one gateway knows it.

Instants in `samples` are milliseconds since the epoch, durations say their unit. No broker's name
and no symbol is in it.
"""

from typing import Literal

from msgspec import Struct

Stage = Literal["gateway", "log", "matcher", "database", "sink", "helper"]


class PartitionState(Struct, frozen=True):
    """Positions of one partition of the command log, as offsets of the next command.

    `end`: where the log ends; `applied`: what this gateway has the outcomes of; `stored`: what
    PostgreSQL has. Null: not known now. `waiting_s` and `unstored_s`: for how long commands have
    waited for their outcome, and outcomes to be stored; 0: none does.
    """

    partition: int
    end: int | None
    applied: int
    stored: int | None
    waiting: int | None
    waiting_s: float
    unstored: int | None
    unstored_s: float


class CheckState(Struct, frozen=True):
    """A check of `/readyz`, or a helper that is down."""

    name: str
    ok: bool
    detail: str


class OperationsSample(Struct, frozen=True):
    """One second. `post_p50_ms` and `post_p99_ms`: upper bounds of the answer times of orders in
    the last 10 s; `outcome_age_ms`: the highest age of an outcome when it arrived; null: none."""

    time: int
    commands: int
    trades: int
    post_p50_ms: float | None
    post_p99_ms: float | None
    outcome_age_ms: int | None
    loop_delay_ms: float
    streams: int


class ProcessState(Struct, frozen=True):
    """This gateway. `cpu_percent` of one core since the sample before."""

    resident_bytes: int
    cpu_percent: float
    orders_in_memory: int
    http_connections: int


class OperationsResource(Struct, frozen=True):
    """`behind`: the stage that is behind, null: none is; `sentence` says it in words."""

    sentence: str
    behind: Stage | None
    as_of: str
    partitions: list[PartitionState]
    checks: list[CheckState]
    process: ProcessState
    samples: list[OperationsSample]
