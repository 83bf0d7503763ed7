"""Splits the bytes of a client into frames, and reads the frame that almost every message is. Pure.

All other frames are read by `websockets`, which receives whole frames only. So it is always between
two frames, and a message in one frame of text needs none of its state.
"""

from typing import Final, NamedTuple

try:
    from websockets.speedups import apply_mask
except ImportError:
    # On a platform without the compiled module.
    from websockets.utils import apply_mask

# The final frame of a message of text, without extensions (RFC 6455 5.2).
_WHOLE_TEXT: Final = 0x81
_PONG: Final = 0x8A
# Of a control frame's payload; a longer one has bytes for its length.
_CONTROL_PAYLOAD_AT: Final = 6
_FIXED_BYTES: Final = 2
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
# Bytes of the length, by the second byte of a frame, where that byte is not the length itself.
_LENGTH_BYTES: Final = {_MASKED | 126: 2, _MASKED | 127: 8}


class ClientFrame(NamedTuple):
    """A frame as it was received. `payload_at`: where its payload begins; 0: it cannot be read."""

    data: bytes | bytearray
    payload_at: int

    @property
    def is_pong(self) -> bool:
        """True for a well-formed pong."""
        return self.payload_at == _CONTROL_PAYLOAD_AT and self.data[0] == _PONG

    def text(self) -> bytes | None:
        """The text of a message that is one frame; None for any other frame."""
        data, payload_at = self
        if not payload_at or data[0] != _WHOLE_TEXT:
            return None
        return apply_mask(data[payload_at:], data[payload_at - _MASK_BYTES : payload_at])


class FrameSplitter:
    """Keeps the beginning of a frame until the frame is complete."""

    def __init__(self, payload_bytes_max: int) -> None:
        self._payload_bytes_max = payload_bytes_max
        self._rest = bytearray()

    def split(self, data: bytes) -> list[ClientFrame]:
        """The frames that are complete now.

        A frame without a mask or above the bound ends the connection, whatever follows: it is
        passed on at once, complete or not, with all bytes behind it.
        """
        if not self._rest:
            end, payload_at = self._measure(data, 0)
            if end == len(data):
                return [ClientFrame(data, payload_at)]
        rest, start = self._rest, 0
        rest += data
        frames: list[ClientFrame] = []
        while start < len(rest):
            end, payload_at = self._measure(rest, start)
            if end > len(rest):
                break
            frames.append(ClientFrame(rest[start:end], payload_at))
            start = end
        del rest[:start]
        return frames

    def _measure(self, data: bytes | bytearray, start: int) -> tuple[int, int]:
        """Position behind the frame at `start`, or behind what its head needs, and that of its
        payload in the frame."""
        length_at = start + _FIXED_BYTES
        if len(data) < length_at:
            return length_at, 0
        second = data[start + 1]
        if second < _MASKED:
            return len(data), 0
        length, length_bytes = second - _MASKED, _LENGTH_BYTES.get(second, 0)
        payload_at = _FIXED_BYTES + length_bytes + _MASK_BYTES
        if length_bytes:
            length_end = length_at + length_bytes
            if len(data) < length_end:
                return length_end, 0
            length = int.from_bytes(data[length_at:length_end], "big")
        if length > self._payload_bytes_max:
            return len(data), 0
        return start + payload_at + length, payload_at
