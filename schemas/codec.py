"""Encodes and decodes messages as plain JSON: one decoder per topic, one encoder for all.

Encoding is deterministic: fields are in declaration order, and structs with `omit_defaults` leave
out defaults.
"""

from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from schemas.book import BookUpdate
from schemas.brokers import Broker, IssuedSecret
from schemas.command_texts import invalid_text
from schemas.commands import AmendOrder, Command, EnterOrder, PlaceOrder, SetInstrument
from schemas.conditions import amendment_fault, condition_faults
from schemas.executions import Execution
from schemas.instruments import instrument_faults
from schemas.listings import Listing
from schemas.snapshots import Snapshot
from schemas.trades import Trade

T = TypeVar("T")

Message = Command | Execution | Trade | BookUpdate | Broker | IssuedSecret | Listing | Snapshot

_encoder: Final = msgspec.json.Encoder()
_command: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_execution: Final[msgspec.json.Decoder[Execution]] = msgspec.json.Decoder(Execution)
_trade: Final = msgspec.json.Decoder(Trade)
_book_update: Final = msgspec.json.Decoder(BookUpdate)
_broker: Final = msgspec.json.Decoder(Broker)
_issued_secret: Final = msgspec.json.Decoder(IssuedSecret)
_listing: Final = msgspec.json.Decoder(Listing)
_snapshot: Final[msgspec.json.Decoder[Snapshot]] = msgspec.json.Decoder(Snapshot)

encode = _encoder.encode


class UnreadableError(ValueError):
    """The bytes are not a message of their topic."""


def _read(decoder: msgspec.json.Decoder[T], value: bytes | None) -> T:
    if value is None:
        raise UnreadableError("the record has no value")
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from error


def decode_command(value: bytes | None) -> Command:
    """Decode a command. Raises UnreadableError, also if its fields contradict each other."""
    command = _read(_command, value)
    invalid = invalid_text(command)
    if invalid is not None:
        raise UnreadableError(f"{invalid} does not match its pattern")
    if isinstance(command, PlaceOrder) and (command.price is None) != (
        command.order_type == "market"
    ):
        raise UnreadableError("a limit order needs a price, a market order has none")
    if type(command) is EnterOrder:
        for field, reason in condition_faults(msgspec.structs.asdict(command)):
            raise UnreadableError(f"{field}: {reason}")
    elif type(command) is SetInstrument:
        fields = msgspec.structs.asdict(command.rules)
        for field, reason in instrument_faults(
            fields | {"reference_price": command.reference_price}
        ):
            raise UnreadableError(f"{field}: {reason}")
    elif type(command) is AmendOrder:
        fault = amendment_fault(command)
        if fault is not None:
            raise UnreadableError(fault)
    return command


def decode_execution(value: bytes | None) -> Execution:
    """Decode a claim or outcomes. Raises UnreadableError."""
    return _read(_execution, value)


def decode_trade(value: bytes | None) -> Trade:
    """Decode a public trade. Raises UnreadableError."""
    return _read(_trade, value)


def decode_book_update(value: bytes | None) -> BookUpdate:
    """Decode a public book update. Raises UnreadableError."""
    return _read(_book_update, value)


def decode_broker(value: bytes | None) -> Broker:
    """Decode a broker. Raises UnreadableError."""
    return _read(_broker, value)


def decode_broker_record(value: bytes | None) -> Broker | IssuedSecret:
    """Decode a record of the brokers topic. Raises UnreadableError."""
    try:
        return decode_broker(value)
    except UnreadableError:
        # A broker's record has no type, so its required fields tell the two apart.
        with suppress(UnreadableError):
            return _read(_issued_secret, value)
        raise


def decode_listing(value: bytes | None) -> Listing:
    """Decode a listing. Raises UnreadableError."""
    return _read(_listing, value)


def decode_snapshot(value: bytes | None) -> Snapshot:
    """Decode a chunk or commit of a snapshot. Raises UnreadableError."""
    return _read(_snapshot, value)


_CLAIM_STARTS: Final = (b'{"type":"claim"', b'{"type":"claim_2"')


def is_claim(value: bytes | None) -> bool:
    """True if an execution is a claim, by its first bytes: the encoder writes the tag first."""
    return value is not None and value.startswith(_CLAIM_STARTS)
