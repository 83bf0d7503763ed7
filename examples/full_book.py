"""The order book of one symbol in full depth, rebuilt from the public topic of the book alone.

    python -m examples.full_book PETR4
    python -m examples.full_book PETR4 --key $KEY

It shows how to read `market.book.v1`, and with a broker's key that no update is lost on the way:

1. A record has the levels that one command changed, each with its new total; 0 removes the level.
2. A `whole` record has all levels of the book. A late consumer begins with one.
3. `sequence` is dense per symbol: a repeated one is dropped; after a gap the book is unknown until
   the next whole record.
4. `GET /stocks/{symbol}/book` answers with the same `sequence`, so the program compares the two
   after exactly the same change, however fast the market is.

Needs confluent-kafka and msgspec. Prices are integers, in cents.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from itertools import islice, zip_longest
from urllib.parse import urlsplit

import msgspec
from confluent_kafka import Message
from msgspec import Struct

from examples.tail import Feed, StopError, ended, local, options_parser, warn

# The API returns at most this many levels per side.
DEPTH_MAX = 50
SHOWN_MAX = 10
DRAW_EVERY_S = 1.0
API_TIMEOUT_S = 10.0
# The topic is slightly behind the API; an update that takes longer than this is missing.
VERDICT_S_MAX = 30.0


class Level(Struct, frozen=True, array_like=True):
    """`[price, total_quantity, order_count]` in the topic."""

    price: int
    total_quantity: int
    order_count: int


Levels = list[Level]


class BookUpdate(Struct, frozen=True):
    """A record's value. Fields that a later version adds are ignored."""

    symbol: str
    sequence: int
    bids: Levels = []
    asks: Levels = []
    whole: bool = False


class Answer(Struct, frozen=True):
    """The API's answer."""

    sequence: int
    bids: Levels
    asks: Levels


class Book:
    """One symbol's levels by price. `known` is False from a gap until the next whole record."""

    def __init__(self) -> None:
        self.sequence = 0
        self.known = True
        self.repeated = 0
        self.missing = 0
        self._bids: dict[int, Level] = {}
        self._asks: dict[int, Level] = {}

    def apply(self, update: BookUpdate) -> None:
        """Apply the next record."""
        if update.sequence <= self.sequence:
            self.repeated += 1
            return
        if update.sequence > self.sequence + 1:
            # Updates before the first record are not missing: they precede the start of reading.
            self.missing += update.sequence - self.sequence - 1 if self.sequence else 0
            self.known = False
        self.sequence = update.sequence
        if update.whole:
            self._bids, self._asks, self.known = {}, {}, True
        for side, levels in ((self._bids, update.bids), (self._asks, update.asks)):
            for level in levels:
                if level.total_quantity:
                    side[level.price] = level
                else:
                    side.pop(level.price, None)

    def best(self, depth: int | None = None) -> tuple[Levels, Levels]:
        """Bids and asks, best first."""
        bids = [self._bids[price] for price in sorted(self._bids, reverse=True)]
        return bids[:depth], [self._asks[price] for price in sorted(self._asks)][:depth]


class Api:
    """The exchange's own view of the book, requested with a broker's key."""

    def __init__(self, url: str, key: str, symbol: str) -> None:
        # A proxy of the environment cannot reach this machine's loopback addresses.
        loopback = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        proxies = [urllib.request.ProxyHandler({})] if loopback else []
        self._opener = urllib.request.build_opener(*proxies)
        self._request = urllib.request.Request(  # noqa: S310 - the address that was typed
            f"{url}/stocks/{symbol}/book?depth={DEPTH_MAX}",
            headers={"Authorization": f"Bearer {key}"},
        )

    def ask(self) -> Answer:
        """The current book."""
        try:
            with self._opener.open(self._request, timeout=API_TIMEOUT_S) as answer:
                raw = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise StopError(f"the API answers {error.code}: {error.read().decode()}") from error
        except OSError as error:
            raise StopError(f"the API does not answer: {error}") from error
        sides = [
            [
                Level(each["price"], each["total_quantity"], each["order_count"])
                for each in raw[side]
            ]
            for side in ("bids", "asks")
        ]
        return Answer(raw["sequence"], *sides)


class Comparison:
    """Requests the book from the API periodically, and waits for the same change in the topic."""

    def __init__(self, api: Api, every_s: float) -> None:
        self._api = api
        self._every_s = every_s
        self._answer: Answer | None = None
        self._next_s = self._asked_s = 0.0
        self.same = 0
        self.different = 0

    def look(self, book: Book) -> str | None:
        """Compare if possible; call it after each record and between them. Returns any result."""
        now = time.monotonic()
        if self._answer is None and (now < self._next_s or not book.known):
            return None
        if self._answer is None:
            self._answer, self._asked_s = self._api.ask(), now
        answer = self._answer
        if book.sequence < answer.sequence and now - self._asked_s < VERDICT_S_MAX:
            return None
        if book.sequence < answer.sequence:
            raise StopError(
                f"the API shows change {answer.sequence}, the topic has told {book.sequence} and "
                f"no more: it is another exchange's, or the book is older than what the topic keeps"
            )
        self._answer, self._next_s = None, now
        if book.sequence > answer.sequence or not book.known:
            # The API was behind the topic, or the change was lost: request the book again.
            return None
        self._next_s = now + self._every_s
        return self._verdict(book.best(DEPTH_MAX), (answer.bids, answer.asks))

    def _verdict(self, ours: tuple[Levels, Levels], theirs: tuple[Levels, Levels]) -> str:
        if ours == theirs:
            self.same += 1
            return "the same as the API's"
        self.different += 1
        lines = ["NOT the API's"]
        for side, mine, other in zip(("bid", "ask"), ours, theirs, strict=True):
            lines += [f"  {side} {level}: only here" for level in mine if level not in other]
            lines += [f"  {side} {level}: only there" for level in other if level not in mine]
        return "\n".join(lines)


def ladder(symbol: str, book: Book) -> str:
    """The best levels of both sides."""
    bids, asks = book.best()
    state = "" if book.known else "; not known since a gap, the next whole record will tell"
    lines = [
        f"{symbol} after change {book.sequence}: {len(bids)} bid and {len(asks)} ask levels{state}",
        f"{'ORDERS':>8} {'QUANTITY':>10} {'BID':>10}   {'ASK':<10} {'QUANTITY':<10} {'ORDERS':<8}",
    ]
    for bid, ask in islice(zip_longest(bids, asks), SHOWN_MAX):
        left = right = ""
        if bid:
            left = f"{bid.order_count:>8,} {bid.total_quantity:>10,} {bid.price / 100:>10.2f}"
        if ask:
            right = f"{ask.price / 100:<10.2f} {ask.total_quantity:<10,} {ask.order_count:<8,}"
        lines.append(f"{left:30}   {right}".rstrip())
    return "\n".join(lines)


def read_update(message: Message, book: Book) -> None:
    """Apply a record of this symbol, and report when records are missing before it."""
    try:
        update = msgspec.json.decode(message.value() or b"", type=BookUpdate)
    except msgspec.MsgspecError as error:
        warn(f"the record {message.partition()}@{message.offset()} is no book update: {error}")
        return
    before, missing = book.sequence, book.missing
    book.apply(update)
    if book.missing > missing:
        again = "this one is whole" if book.known else "the book is not known until a whole one"
        warn(f"changes {before + 1} to {update.sequence - 1} are missing; {again}")


def full_book(feed: Feed, options: argparse.Namespace) -> int:
    """Follow the book until stopped; with --once, up to the current end and one comparison."""
    book, terminal, live, drawn_s = Book(), sys.stdout.isatty(), False, 0.0
    api = Api(options.url, options.key, options.symbol) if options.key else None
    comparison = Comparison(api, options.every) if api else None
    offsets = [low for low, _ in feed.ranges]
    symbol, news = options.symbol.encode(), ""
    warn(f"reading {sum(end - low for low, end in feed.ranges):,} records of {feed.topic}")
    for message in feed.read(offsets):
        if message is not None and message.key() == symbol:
            read_update(message, book)
        live = live or (message is None and feed.reached(offsets))
        found = comparison.look(book) if comparison and live else None
        if found is not None:
            news = f"change {book.sequence}: {found}"
            if not terminal:
                print(news, flush=True)
        if options.once and live and (comparison is None or found or not book.known):
            break
        if terminal and message is None and time.monotonic() - drawn_s >= DRAW_EVERY_S:
            print(f"\x1b[H\x1b[J{ladder(options.symbol, book)}\n{news}", flush=True)
            drawn_s = time.monotonic()
    print(ladder(options.symbol, book))
    print(f"{book.repeated} records repeated, {book.missing} missing")
    if comparison is None:
        return 0
    print(f"compared with the API: {comparison.same} times the same, {comparison.different} not")
    return 1 if comparison.different or (options.once and not comparison.same) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 1 also when a comparison found a difference."""
    parser = options_parser(__doc__)
    add = parser.add_argument
    add("symbol", help="such as PETR4")
    add("--topic", default="market.book.v1", help="with its prefix, if it has one")
    add("--key", help="a broker's key; without one the book is shown and not compared")
    add("--url", default=local("url"), help="of the API; else the exchange that runs here")
    add("--every", type=float, default=5.0, metavar="SECONDS", help="between two comparisons")
    add("--once", action="store_true", help="end when the topic is read and the book compared")
    options = parser.parse_args(arguments)
    if options.key and not options.url:
        parser.error("--key needs the --url of the API")
    return ended(options, lambda feed: full_book(feed, options))


if __name__ == "__main__":
    sys.exit(main())
