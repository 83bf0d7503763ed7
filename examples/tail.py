"""The records of a public topic, one line of JSON each: the simplest possible consumer.

    python -m examples.tail market.trades.v1 --from-beginning --once

It shows how to read a topic without a consumer group: assign every partition, start each at any
offset, and store the position in the program itself. The other programs here also read through
`Feed`. Needs only confluent-kafka.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

# Bounds the records held in memory per fetch.
RECORDS_MAX = 1_000
# Also the longest delay before Ctrl-C takes effect.
WAIT_S = 0.25
KAFKA_TIMEOUT_S = 10.0
DATA_DIR = Path(os.environ.get("EXCHANGE_DATA_DIR") or ".local")


class StopError(Exception):
    """The program cannot continue; the text gives the reason and a remedy."""


class Feed:
    """All partitions of one topic. `ranges`: per partition, the oldest offset and the end
    offset."""

    def __init__(self, options: argparse.Namespace, stopping: threading.Event) -> None:
        self.topic: str = options.topic
        self._stopping = stopping
        settings = {
            "bootstrap.servers": options.kafka,
            "group.id": "examples",  # The client insists on one; nothing is committed to it.
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # The last offset of a topic may hold no record but the marker of a transaction.
            "enable.partition.eof": True,
            "log_level": 0,
            "error_cb": warn_of,
        }
        self._consumer = Consumer(settings | dict(options.client))
        try:
            self.ranges = self._ranges()
            self.cluster = self._consumer.cluster_id(timeout=KAFKA_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def _ranges(self) -> list[tuple[int, int]]:
        topic = self._consumer.list_topics(self.topic, timeout=KAFKA_TIMEOUT_S).topics[self.topic]
        if topic.error is not None:
            raise StopError(f"topic {self.topic}: {topic.error.str()}")
        return [
            self._consumer.get_watermark_offsets(
                TopicPartition(self.topic, number), timeout=KAFKA_TIMEOUT_S
            )
            for number in range(len(topic.partitions))
        ]

    def read(self, offsets: list[int], *, once: bool = False) -> Iterator[Message | None]:
        """Yield each record as it arrives, and None between two fetches; ends on Ctrl-C.

        `offsets`, by partition, are the start offsets. The method advances them past a record when
        the caller requests the next one, so at a None they are the offsets at which to resume.
        `once`: end where the topic ended at the start.
        """
        self._consumer.assign(
            [TopicPartition(self.topic, number, at) for number, at in enumerate(offsets)]
        )
        while not self._stopping.is_set() and not (once and self.reached(offsets)):
            # Not consume(many, wait): it delays the first record until many have arrived.
            first = self._consumer.poll(WAIT_S)
            for message in (
                () if first is None else (first, *self._consumer.consume(RECORDS_MAX, 0))
            ):
                error = message.error()
                if error is None:
                    yield message
                    offsets[message.partition() or 0] = (message.offset() or 0) + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    offsets[message.partition() or 0] = message.offset() or 0
                elif not error.retriable():
                    raise StopError(f"{self.topic}/{message.partition()}: {error.str()}")
            yield None

    def reached(self, offsets: list[int]) -> bool:
        """True if the offsets have reached the end that the topic had at the start."""
        return all(at >= end for at, (_, end) in zip(offsets, self.ranges, strict=True))

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def warn(text: str) -> None:
    """Print a line on standard error, separate from the output."""
    print(f"{Path(sys.argv[0]).stem}: {text}", file=sys.stderr, flush=True)


def warn_of(error: KafkaError) -> None:
    """Report an error after which the client retries, so that a wait is explained."""
    # A transport error comes with each attempt; if no broker answers, a separate error is reported.
    if error.code() != KafkaError._TRANSPORT:
        warn(f"Kafka: {error.str()}, trying again")


def local(field: str) -> str | None:
    """`kafka` or `url` of the exchange that `make run` runs in this folder."""
    try:
        return str(json.loads((DATA_DIR / "endpoints.json").read_bytes())[field])
    except (OSError, ValueError, KeyError):
        return None


def client_setting(text: str) -> tuple[str, str]:
    """A client setting, written as KEY=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError("write it as KEY=VALUE")
    return name, value


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all programs that read a topic have in common."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = local("kafka")
    parser.add_argument(
        "--kafka",
        default=here,
        required=here is None,
        metavar="HOST:PORT",
        help="any broker; else that of the exchange that runs in this folder",
    )
    parser.add_argument(
        "-X",
        dest="client",
        type=client_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the Kafka client, such as sasl.username=analyst; repeatable",
    )
    return parser


def ended(options: argparse.Namespace, program: Callable[[Feed], int]) -> int:
    """Run the program until it ends or Ctrl-C or SIGTERM arrive; returns its exit code.

    Prints one line and returns 1 on an error.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with closing(Feed(options, stopping)) as feed:
            return program(feed)
    except BrokenPipeError:
        # The reader of the output has closed it; without this Python would complain at the final
        # flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KafkaException as error:
        warn(f"Kafka at {options.kafka}: {error.args[0].str()}")
    except (StopError, OSError) as error:
        warn(str(error))
    return 1


def tail(feed: Feed, options: argparse.Namespace) -> int:
    """Print records until the program is stopped."""
    offsets = [low if options.from_beginning else end for low, end in feed.ranges]
    for message in feed.read(offsets, once=options.once):
        if message is not None:
            key, value = message.key() or b"", message.value() or b""
            if not options.key or key == options.key.encode():
                print(value.decode(errors="replace"), flush=not options.once)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = options_parser(__doc__)
    parser.add_argument("topic", help="such as market.trades.v1 or market.book.v1")
    parser.add_argument("--key", help="only records of this key: the symbol, in market.*")
    parser.add_argument("--from-beginning", action="store_true", help="all that is kept, first")
    parser.add_argument("--once", action="store_true", help="end where the topic ends now")
    options = parser.parse_args(arguments)
    return ended(options, lambda feed: tail(feed, options))


if __name__ == "__main__":
    sys.exit(main())
