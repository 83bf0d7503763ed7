"""Members of a Kafka of one or several nodes, and the settings by which they find each other.

Every node is broker and controller. The voters are fixed when the nodes are formatted, by name,
port and directory, so they find each other in whatever order they start.
"""

import base64
import uuid
from dataclasses import dataclass

from infra.ports import LOOPBACK

_REPLICAS_MAX = 3


@dataclass(frozen=True)
class Node:
    """One member: the ports it listens on, and the id of the directory it votes with."""

    node_id: int
    broker_port: int
    controller_port: int
    directory_id: str

    @property
    def ports(self) -> tuple[int, int]:
        return self.broker_port, self.controller_port


@dataclass(frozen=True)
class Quorum:
    """All members. A node that is alone is a quorum too."""

    cluster_id: str
    nodes: tuple[Node, ...]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"{LOOPBACK}:{node.broker_port}" for node in self.nodes)

    def settings(self, node: Node) -> dict[str, str | int]:
        """Values for the placeholders of the `server.properties` template."""
        replicas = min(len(self.nodes), _REPLICAS_MAX)
        return {
            "node_id": node.node_id,
            "broker_port": node.broker_port,
            "controller_port": node.controller_port,
            "controllers": ",".join(f"{LOOPBACK}:{each.controller_port}" for each in self.nodes),
            "replicas": replicas,
            # One broker of three may be away; acknowledged records are on the other two.
            "in_sync_min": max(1, replicas - 1),
        }

    def format_arguments(self) -> list[str]:
        """For Kafka's StorageTool; the same on every node."""
        voters = ",".join(
            f"{node.node_id}@{LOOPBACK}:{node.controller_port}:{node.directory_id}"
            for node in self.nodes
        )
        return ["--cluster-id", self.cluster_id, "--initial-controllers", voters]


def random_id() -> str:
    """A new id in Kafka's own spelling, for clusters and directories."""
    made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # A leading dash would be read as an option.
    return made.replace("-", "A", 1) if made[0] == "-" else made
