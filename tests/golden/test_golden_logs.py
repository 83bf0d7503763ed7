"""Old command logs replay to the same bytes: outcomes, trades, book records, snapshots, digests."""

from itertools import islice
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.executions import Event
from services.matcher.rules import RULES
from tests.golden.command_logs import LOGS
from tests.golden.replay import START, Golden, replay
from tests.support.sizes import is_small

RECORDED = msgspec.json.decode(
    Path(__file__).with_name("golden.json").read_bytes(), type=dict[str, Golden]
)


# None stands for all of them.
COMMANDS = [START] if is_small() else [START, None]


@pytest.mark.parametrize("commands", COMMANDS)
@pytest.mark.parametrize("name", LOGS)
def test_golden_log_replays_to_the_recorded_bytes(name: str, commands: int | None) -> None:
    replayed = replay(islice(LOGS[name](), commands))
    recorded = RECORDED[name] if commands is None else RECORDED[name].start
    assert replayed.counts == recorded.counts
    assert replayed.sha256 == recorded.sha256


def test_golden_logs_contain_every_kind_of_event() -> None:
    assert RECORDED.keys() == LOGS.keys()
    seen = {kind for golden in RECORDED.values() for kind, count in golden.counts.items() if count}
    assert seen == {
        *(kind.__name__ for kind in get_args(Event)),
        "elected",
        "elected_before",
        "expired",
        "expired_at_once",
        "prevented",
        "price_band",
        "slices",
        "trades",
    }
    assert RECORDED["expiries"].counts["expired_at_once"] == RULES.expiries_max
