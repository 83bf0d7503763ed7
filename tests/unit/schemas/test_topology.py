"""Topics that a broker flushes, and that the exchange's durability is read from the commands."""

import pytest

from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, LISTINGS, TOPICS
from schemas.topology import Durability, config_of, durability_of

NEVER = str(2**63 - 1)


def test_fsync_flushes_what_has_no_other_copy_and_nothing_else() -> None:
    flushed = [topic for topic in TOPICS if config_of(topic, "fsync").get("flush.messages") == "1"]
    assert flushed == [COMMANDS, BROKERS, LISTINGS]


@pytest.mark.parametrize("durability", ["fsync", "replicated", "process"])
def test_flush_of_executions_by_an_earlier_version_is_taken_back(durability: Durability) -> None:
    assert config_of(EXECUTIONS, durability)["flush.messages"] == NEVER
    assert durability_of(config_of(COMMANDS, durability)) == durability
