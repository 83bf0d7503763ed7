"""Repeated records of the command log do no harm to the programs that read the outcomes."""

import os
import random
from collections import Counter
from typing import Final

from msgspec import structs

from schemas.commands import SetQuotas
from schemas.executions import CommandRefused, OrderAccepted
from schemas.quotas import Quotas
from services.matcher.engine import Engine, EnginePosition
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch
from services.sink.rows import Rows
from tests.properties.flows import flow, random_shape
from tests.support.orders import START_MS

SEED: Final = int(os.environ.get("PROPERTY_SEED", random.SystemRandom().randrange(1 << 32)))
FLOWS: Final = 20
COMMANDS: Final = 500


def test_flow_with_repeated_records_gives_each_order_once_to_views_and_rows() -> None:
    repeats = 0
    for number in range(FLOWS):
        repeats += _repeats_refused(random.Random(f"{SEED}/{number}"))
    assert repeats > FLOWS, f"PROPERTY_SEED={SEED}: hardly any record was repeated"


def _repeats_refused(rng: random.Random) -> int:
    shape = structs.replace(random_shape(rng), quotas=False)
    engine, views, rows = Engine(0), Views(), Rows()
    engine.apply(SetQuotas(Quotas(1_000, 1_000, 1_000)), EnginePosition(0, 0, START_MS))
    accepted: Counter[str] = Counter()
    refused = 0
    for step in flow(rng, shape, COMMANDS):
        at = EnginePosition(0, step.offset + 1, step.timestamp)
        outcome = engine.apply(step.command, at)
        batch = Batch(0, at.offset, (outcome,))
        # Both raise if an order is accepted twice while they have it; the reader may have
        # forgotten it, and the table has a primary key.
        views.apply(batch)
        rows.add(batch)
        views.forget_stored(0, at.offset)
        if isinstance(outcome.event, OrderAccepted):
            accepted[outcome.event.order_id] += 1
        elif isinstance(outcome.event, CommandRefused):
            refused += outcome.event.code == "duplicate_order_id"
    assert max(accepted.values(), default=1) == 1, f"PROPERTY_SEED={SEED}"
    return refused
