"""One consumer's records, sorted to who wants them: executions, brokers, listings.

Every half of the API stands on it: executions pass the validity rule once and are told to the
listeners in order, so that views are up to date before anyone who waits is answered.
"""

from collections.abc import Callable, Sequence

from confluent_kafka import Message

from schemas.topics import BROKERS, EXECUTIONS, LISTINGS
from services.runtime.consumer import LogConsumer, Partition
from services.runtime.directory import BrokerDirectory
from services.runtime.feed import Feed
from services.runtime.follower import Batch, Follower, FollowerPosition
from services.runtime.topics import Topology

OnBatch = Callable[[Batch], None]
OnListing = Callable[[bytes | None, bytes | None], None]


class Stream:
    """Reads everything from the beginning, then goes on. Lives on the loop's thread.

    `listing` gets key and value of each listings record; without it that topic is not read.
    `failed` is called once when the log cannot be read or followed.
    """

    def __init__(
        self,
        consumer: LogConsumer,
        topology: Topology,
        *,
        directory: BrokerDirectory,
        batches: Sequence[OnBatch],
        listing: OnListing | None,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._consumer = consumer
        self._executions = topology.prefix + EXECUTIONS.name
        self._brokers = topology.prefix + BROKERS.name
        self._listings = topology.prefix + LISTINGS.name
        self._partitions = range(topology.partitions_of(EXECUTIONS))
        self._directory = directory
        self._batches = tuple(batches)
        self._listing = listing
        self._follower = Follower(dict.fromkeys(self._partitions, FollowerPosition()))
        self._feed = Feed(consumer, self.deliver, failed)

    def start(self) -> None:
        """Begin reading; asks the broker for offsets, which may take a moment."""
        wanted = [Partition(self._executions, number) for number in self._partitions]
        wanted.append(Partition(self._brokers, 0))
        if self._listing is not None:
            wanted.append(Partition(self._listings, 0))
        self._feed.start({partition: self._consumer.range(partition).low for partition in wanted})

    @property
    def caught_up(self) -> bool:
        """Whether everything that the log held at the start was delivered."""
        return self._feed.caught_up.is_set()

    async def wait_caught_up(self) -> None:
        """Until then."""
        await self._feed.caught_up.wait()

    def deliver(self, messages: list[Message]) -> None:
        """Sort one list of records. Raises BrokenLogError."""
        executions = self._executions
        follow = self._follower.follow
        for message in messages:
            topic = message.topic()
            if topic == executions:
                batch = follow(message.partition() or 0, message.offset() or 0, message.value())
                if batch is not None:
                    for tell in self._batches:
                        tell(batch)
            elif topic == self._brokers:
                self._directory.apply(_raw(message.key()), message.value())
            elif self._listing is not None:
                self._listing(_raw(message.key()), message.value())

    def stop(self) -> None:
        """Stop reading and close the consumer."""
        self._feed.stop()


def _raw(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key
