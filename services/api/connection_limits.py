"""Limits of the API's port and its connections. Pure."""

from msgspec import Struct


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Limits of one port and its connections. The defaults are far from what clients need."""

    connections_max: int = 2_000
    """With more, the longest silent one without a valid key is closed; with none such, the
    newcomer is answered 503."""
    keyless_per_address_max: int = 500
    """Connections of one address that showed no valid key; with more, the longest silent one of
    them is closed."""
    overflow_connections_max: int = 100
    """Connections beyond the limit that wait for their 503; further ones are closed at once."""
    crowd_s: float = 1.0
    """Time for such a connection to send a request."""
    head_bytes_max: int = 16 * 1024
    """Bytes of request line and headers; usual requests have less than 1 KiB."""
    head_fields_max: int = 100
    """Number of headers of a request."""
    head_s: float = 10.0
    """Time from the first byte of the headers to the last, and for a body that is not read."""
    pipelined_max: int = 100
    """Requests sent before the answer to an earlier one."""
    idle_s: int = 75
    """Idle time; longer than clients keep a connection, so that no request meets a closed one."""
    keyless_idle_s: int = 15
    """The same for a connection that never showed a valid key, at most `idle_s`."""
    unread_s: float = 30.0
    """Time to read an answer that does not fit into the buffers; the largest has some 100 KiB."""
