"""The topics of one exchange on its Kafka: names, partition counts, configuration. Pure."""

from typing import Literal

from msgspec import Struct

from schemas.topics import BROKERS, COMMANDS, EXECUTIONS, LISTINGS, Topic

Durability = Literal["fsync", "replicated", "process"]

# `flush.messages` of a topic that leaves flushing to the operating system: Kafka's own default.
_NEVER_FLUSH = str(2**63 - 1)
# The topics that survive a power cut with `fsync`. Executions can be recomputed from the commands,
# but PostgreSQL flushes what it commits: a log that ends before its database is not recognised.
_FLUSHED = (COMMANDS, EXECUTIONS, BROKERS, LISTINGS)


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
    if topic in _FLUSHED:
        config["flush.messages"] = "1" if durability == "fsync" else _NEVER_FLUSH
    return config


def durability_of(commands: dict[str, str]) -> Durability:
    """The durability that the settings of the command topic provide."""
    if commands.get("flush.messages") == "1":
        return "fsync"
    return "replicated" if commands.get("min.insync.replicas") == "2" else "process"
