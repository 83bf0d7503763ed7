"""The topics of one exchange on its Kafka: names, partition counts, configuration. Pure."""

from typing import Literal

from msgspec import Struct

from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, LISTINGS, Topic

Durability = Literal["fsync", "replicated", "process"]

# `flush.messages` of a topic that leaves flushing to the operating system: Kafka's own default.
_NEVER_FLUSH = str(2**63 - 1)
# The topics that survive a power cut with `fsync`: no other copy of their records exists.
_FLUSHED = (COMMANDS, BROKERS, LISTINGS)


class Topology(Struct, frozen=True):
    """The shape of an exchange's topics. `prefix` separates exchanges on the same Kafka."""

    prefix: str
    partitions: int
    durability: Durability

    def name(self, topic: Topic) -> str:
        """The topic's name on this Kafka."""
        return topic.full_name(self.prefix)

    def partitions_of(self, topic: Topic) -> int:
        """The number of partitions of this topic."""
        return self.partitions if topic.by_symbol else 1


def config_of(topic: Topic, durability: Durability) -> dict[str, str]:
    """The settings of a topic, exactly; the brokers' defaults apply to all others."""
    config = dict(topic.config)
    config["min.insync.replicas"] = "2" if durability == "replicated" else "1"
    if topic in _FLUSHED and durability == "fsync":
        config["flush.messages"] = "1"
    elif topic in _FLUSHED or topic is EXECUTIONS:
        # Executions explicitly, because earlier versions flushed them.
        config["flush.messages"] = _NEVER_FLUSH
    return config


def durability_of(commands: dict[str, str]) -> Durability:
    """The durability that the settings of the command topic provide."""
    if commands.get("flush.messages") == "1":
        return "fsync"
    return "replicated" if commands.get("min.insync.replicas") == "2" else "process"
