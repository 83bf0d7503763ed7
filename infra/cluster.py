"""Three Apache Kafka nodes on this machine that replicate each other, for the `replicated` mode.

Any one of them may die and come back while the other two continue. Three processes on one machine
and one disk: for tests and trials, no protection against the loss of either.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from infra.broker import LocalKafka
from infra.errors import ServerFailedError
from infra.folder_lock import FolderLock
from infra.jvm import Profile
from infra.ports import free_port
from infra.quorum import Node, Quorum, random_id

NODES = 3


class LocalKafkaCluster:
    """`nodes` are killed and started one by one; ids, ports and voters stay as first chosen."""

    def __init__(
        self, data_dir: Path, *, profile: Profile = "short", cache_dir: Path | None = None
    ) -> None:
        self.data_dir = data_dir.resolve()
        self._profile: Profile = profile
        self._cache_dir = cache_dir
        self._lock = FolderLock(self.data_dir)
        self._nodes: dict[int, LocalKafka] = {}
        self._quorum: Quorum | None = None

    @property
    def nodes(self) -> dict[int, LocalKafka]:
        """Each node by Kafka's own number of it, from 1 on; none before the first start."""
        return self._nodes

    @property
    def bootstrap_servers(self) -> str:
        """All of them: a client needs only one that lives."""
        if self._quorum is None:
            raise ServerFailedError("the brokers have no ports before their first start")
        return self._quorum.bootstrap_servers

    def start(self) -> None:
        """Start every node that does not run, and return when all answer."""
        self._lock.acquire()
        try:
            quorum = self._quorum = self._quorum or self._remembered() or self._chosen()
            for node in quorum.nodes:
                self._nodes.setdefault(node.node_id, self._local(quorum, node))
            # At once: none of them is ready before most of them run.
            _at_once(kafka.start for kafka in self._nodes.values() if not kafka.alive)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """The orderly end of all, at once: a last one that is left alone could not hand over."""
        _at_once(kafka.stop for kafka in self._nodes.values())
        self._lock.release()

    def kill(self) -> None:
        """kill -9 of all."""
        for kafka in self._nodes.values():
            kafka.kill()
        self._lock.release()

    def _local(self, quorum: Quorum, node: Node) -> LocalKafka:
        return LocalKafka(
            self.data_dir / f"node-{node.node_id}",
            profile=self._profile,
            cache_dir=self._cache_dir,
            member=(quorum, node),
        )

    def _remembered(self) -> Quorum | None:
        with contextlib.suppress(FileNotFoundError):
            held = json.loads(self._memory.read_text())
            return Quorum(held["cluster_id"], tuple(Node(**each) for each in held["nodes"]))
        return None

    def _chosen(self) -> Quorum:
        ports: set[int] = set()
        while len(ports) < 2 * NODES:
            ports.add(free_port())
        nodes = (
            Node(number, ports.pop(), ports.pop(), random_id()) for number in range(1, NODES + 1)
        )
        quorum = Quorum(random_id(), tuple(nodes))
        self._memory.write_text(json.dumps(asdict(quorum)))
        return quorum

    @property
    def _memory(self) -> Path:
        return self.data_dir / "quorum.json"

    def __enter__(self) -> "LocalKafkaCluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _at_once(calls: Iterable[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(max_workers=NODES) as pool:
        running = [pool.submit(call) for call in calls]
    for each in running:
        each.result()
