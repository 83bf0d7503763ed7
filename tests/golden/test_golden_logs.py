"""Old command logs replay to the same bytes: outcomes, trades, book records, snapshots, digests."""

from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from services.matcher.rules import RULES
from tests.golden.command_logs import LOGS
from tests.golden.replay import replay


class Golden(Struct, frozen=True):
    """The recorded SHA-256 by kind of bytes, and the number of events by kind."""

    sha256: dict[str, str]
    counts: dict[str, int]


RECORDED = msgspec.json.decode(
    Path(__file__).with_name("golden.json").read_bytes(), type=dict[str, Golden]
)


@pytest.mark.parametrize("name", LOGS)
def test_golden_log_replays_to_the_recorded_bytes(name: str) -> None:
    hashes, counts = replay(LOGS[name]())
    assert counts == RECORDED[name].counts
    assert hashes == RECORDED[name].sha256


def test_golden_logs_contain_every_kind_of_event() -> None:
    assert RECORDED.keys() == LOGS.keys()
    seen = {kind for golden in RECORDED.values() for kind, count in golden.counts.items() if count}
    assert seen == {
        "CommandRefused",
        "OrderAccepted",
        "OrderCancelled",
        "OrderEntered",
        "OrderRepeated",
        "QuotasSet",
        "Ticked",
        "expired",
        "expired_at_once",
        "trades",
    }
    assert RECORDED["expiries"].counts["expired_at_once"] == RULES.expiries_max
