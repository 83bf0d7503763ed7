"""Levels that commands need: the lowest at which a matcher knows all of their fields."""

from pathlib import Path

import pytest

from schemas.codec import decode_command
from schemas.executions import CHANGES_LEVEL, CONDITIONS_LEVEL, CONTROLS_LEVEL
from schemas.levels import level_of

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
LEVELS = {
    "place_order.limit": 0,
    "cancel_order": 0,
    "enter_order.ioc": CONDITIONS_LEVEL,
    "enter_order.post_only": CONDITIONS_LEVEL,
    "enter_order.stop": CHANGES_LEVEL,
    "amend_order.price": CHANGES_LEVEL,
    "set_instrument": CHANGES_LEVEL,
    "cancel_all": CONTROLS_LEVEL,
    "enter_order.iceberg": CONTROLS_LEVEL,
    "amend_order.display": CONTROLS_LEVEL,
    "amend_order.stop": CONTROLS_LEVEL,
    "enter_order.day": CONTROLS_LEVEL,
    "set_phase": CONTROLS_LEVEL,
    "enter_order.self_trade_prevention": CONTROLS_LEVEL,
    "set_instrument.band": CONTROLS_LEVEL,
}


@pytest.mark.parametrize("example", LEVELS)
def test_command_needs_the_level_that_added_its_fields(example: str) -> None:
    path = EXAMPLES / f"exchange.commands.v1.{example}.json"
    assert level_of(decode_command(path.read_bytes())) == LEVELS[example]
