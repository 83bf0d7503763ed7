"""Frames of a client: split at any place, with the outcome that `websockets` alone would have."""

import random
from collections.abc import Iterator

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.utils import apply_mask

from services.feeds.connection import MESSAGE_BYTES_MAX
from services.feeds.frames import FrameSplitter
from tests.unit.feeds.test_connection import ConnectedSocket
from tests.unit.feeds.test_feed_fuzz import HANDSHAKE

SIZES = (0, 1, 125, 126, 127, 300, 65_535, MESSAGE_BYTES_MAX)


def wire(
    rng: random.Random, opcode: Opcode, data: bytes, *, fin: bool = True, is_masked: bool = True
) -> bytes:
    """A frame of a client."""
    plain = Frame(opcode, data, fin=fin).serialize(mask=False)
    if not is_masked:
        return plain
    head = bytearray(plain[: len(plain) - len(data)])
    head[1] |= 0x80
    mask = rng.randbytes(4)
    return bytes(head) + mask + apply_mask(data, mask)


class Library:
    """A connection that `websockets` reads alone: its messages, and what it writes."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol(max_size=MESSAGE_BYTES_MAX)
        self.protocol.receive_data(HANDSHAKE)
        (request,) = self.protocol.events_received()
        assert isinstance(request, Request)
        self.protocol.send_response(self.protocol.accept(request))
        self.protocol.data_to_send()
        self.received: list[bytes] = []
        self.written = b""
        self.parts: list[bytes] = []
        self.is_cut = False

    def receive(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and not self.is_cut:
                self.take(event)
        self.written += b"".join(self.protocol.data_to_send())

    def take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self.is_cut = True
            self.protocol.send_close(1003, "binary_message")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self.parts.append(bytes(frame.data))
            if frame.fin:
                self.received.append(b"".join(self.parts))
                self.parts.clear()


def drawn_frames(rng: random.Random) -> Iterator[bytes]:
    """Messages in one frame and in several, with frames of the protocol in between."""
    for _ in range(rng.randrange(1, 8)):
        text = rng.randbytes(rng.choice((0, 5, 125, 126, 200, 2_000)))
        parts = rng.choice((1, 1, 1, 2, 3))
        for number in range(parts):
            part = text[number::parts]
            opcode = Opcode.CONT if number else Opcode.TEXT
            # Rarely one that is not due, or not masked.
            opcode = rng.choice((Opcode.CONT, Opcode.TEXT)) if rng.random() < 0.1 else opcode
            is_masked = rng.random() > 0.02
            fin = number == parts - 1
            yield wire(rng, opcode, part, fin=fin, is_masked=is_masked)
            if rng.random() < 0.2:
                yield wire(rng, rng.choice((Opcode.PING, Opcode.PONG)), b"p")
    if rng.random() < 0.1:
        yield wire(rng, Opcode.TEXT, b"x" * (MESSAGE_BYTES_MAX + 1))
    if rng.random() < 0.3:
        yield wire(rng, Opcode.CLOSE, b"\x03\xe8")


@pytest.mark.parametrize("size", SIZES)
def test_text_in_one_frame_is_read_wherever_it_is_split(size: int) -> None:
    text = random.Random(size).randbytes(size)
    frame = wire(random.Random(1), Opcode.TEXT, text)
    for at in {0, 1, 2, 3, 4, 5, 6, 7, 13, 14, len(frame) - 1, len(frame)}:
        splitter = FrameSplitter(MESSAGE_BYTES_MAX)
        found = splitter.split(frame[:at]) + splitter.split(frame[at:])
        assert [each.text() for each in found] == [text]


@pytest.mark.parametrize("seed", range(60))
def test_any_frames_have_the_outcome_of_the_library(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(b"".join(drawn_frames(rng)))
    if rng.random() < 0.3:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        # Completes a longer frame that the damage made.
        data += wire(rng, Opcode.PONG, bytes(125)) * (MESSAGE_BYTES_MAX // 100)
    library, socket = Library(), ConnectedSocket()
    before = len(socket.transport.written)
    while data:
        size = rng.choice((1, 3, 7, 150, 5_000, 50_000))
        for receive in (library.receive, socket.connection.data_received):
            receive(bytes(data[:size]))
        del data[:size]
    assert socket.session.received == library.received
    assert socket.transport.written[before:] == library.written


def test_frame_that_ends_the_connection_is_answered_before_it_is_complete() -> None:
    rng = random.Random(1)
    plain = wire(rng, Opcode.TEXT, b"an order", is_masked=False)
    large = wire(rng, Opcode.TEXT, b"x" * (MESSAGE_BYTES_MAX + 1))
    for head, code in ((plain[:2], b"\x03\xea"), (large[:10], b"\x03\xf1")):
        socket = ConnectedSocket()
        before = len(socket.transport.written)
        socket.connection.data_received(head)
        assert code in socket.transport.written[before:]
        assert socket.session.received == []


def test_message_in_the_packet_of_the_handshake_is_received() -> None:
    message = wire(random.Random(1), Opcode.TEXT, b"an order")
    socket = ConnectedSocket(behind=message + message[:3])
    socket.connection.data_received(message[3:])
    assert socket.session.received == [b"an order"] * 2


@pytest.mark.parametrize("head", [b"\x8a\xfe\x00\x7e" + bytes(4), b"\x8a\x01"])
def test_pong_that_is_too_long_or_not_masked_ends_the_connection(head: bytes) -> None:
    socket = ConnectedSocket()
    before = len(socket.transport.written)
    socket.connection.data_received(head + bytes(126))
    assert b"\x03\xea" in socket.transport.written[before:]
