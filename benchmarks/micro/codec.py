"""Codec benchmarks: the contract's example messages to bytes and back, compared with `json`.

The standard library's json validates nothing and builds dicts, so its time is a lower bound to
which any hand-written validation would add.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from importlib.resources import files
from typing import Final

from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale, ns_each
from benchmarks.micro.outcomes import outcomes_of, records
from schemas import codec

DECODERS: Final[dict[str, Callable[[bytes], codec.Message]]] = {
    "exchange.brokers.v1": codec.decode_broker_record,
    "exchange.commands.v1": codec.decode_command,
    "exchange.executions.v1": codec.decode_execution,
    "exchange.listings.v1": codec.decode_listing,
    "exchange.snapshots.v1": codec.decode_snapshot,
    "market.book.v1": codec.decode_book_update,
    "market.trades.v1": codec.decode_trade,
}
# Examples that are not measured: they differ from measured outcomes by one word.
_LEFT_OUT: Final = ("command_refused.", "order_accepted.cancelled", "order_accepted.expired")
_JSON: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def examples() -> dict[str, bytes]:
    """Example messages by name, as in the contract's folder."""
    folder = files("schemas") / "examples"
    named = {entry.name.removesuffix(".json"): entry for entry in folder.iterdir()}
    return {
        name: named[name].read_bytes().strip()
        for name in sorted(named)
        if name.split(".v1.")[0] + ".v1" in DECODERS and not any(x in name for x in _LEFT_OUT)
    }


def decoding(scale: Scale) -> Benchmark:
    """Decode bytes to a validated struct, and to a dict."""

    def measure() -> Iterable[Measurement]:
        for name, value in examples().items():
            short = name.split(".v1.")[1]
            decode = DECODERS[name.split(".v1.")[0] + ".v1"]
            yield _reading(f"{short}, msgspec", partial(decode, value), scale.operations)
            yield _reading(f"{short}, json", partial(json.loads, value), scale.operations)

    return Benchmark([CurvePoint(None, measure)])


def encoding(scale: Scale) -> Benchmark:
    """Encode a struct to bytes, and a dict to bytes."""

    def measure() -> Iterable[Measurement]:
        for name, value in examples().items():
            short = name.split(".v1.")[1]
            message = DECODERS[name.split(".v1.")[0] + ".v1"](value)
            encode = partial(codec.encode, message)
            yield _reading(f"{short}, msgspec", encode, scale.operations)
            encode_json = partial(_json_bytes, json.loads(value))
            yield _reading(f"{short}, json", encode_json, scale.operations)

    return Benchmark([CurvePoint(None, measure)])


def outcome_records(scale: Scale) -> Benchmark:
    """Encode and decode an execution record of n outcomes of the mixed flow, per outcome."""
    outcomes = outcomes_of(scale)

    def measure(size: int) -> Iterable[Measurement]:
        values = records(outcomes, size)
        messages = [codec.decode_execution(value) for value in values]
        dicts = [json.loads(value) for value in values]
        for series, work in (
            ("decode, msgspec", partial(_each, codec.decode_execution, values)),
            ("decode, json", partial(_each, json.loads, values)),
            ("encode, msgspec", partial(_each, codec.encode, messages)),
            ("encode, json", partial(_each, _json_bytes, dicts)),
        ):
            yield Measurement(series, ns_each(work, len(outcomes)), "ns/outcome")

    sizes = (1, 10, 100, 500)
    return Benchmark(
        [CurvePoint(size, partial(measure, size)) for size in sizes], "outcomes a record"
    )


def _json_bytes(message: object) -> bytes:
    return _JSON(message).encode()


def _each(work: Callable[..., object], given: Iterable[object]) -> None:
    for one in given:
        work(one)


def _reading(series: str, work: Callable[[], object], operations: int) -> Measurement:
    return Measurement(series, ns_each(partial(_repeat, work, operations), operations), "ns")


def _repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()
