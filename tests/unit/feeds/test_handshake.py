"""Pages and hosts that may open a WebSocket."""

import pytest

from services.api.hosts import HostRules, listed
from services.feeds.handshake import HandshakeRules, refusal

LOOPBACK = HandshakeRules(frozenset(), HostRules.of("127.0.0.1", "proxy.example"))
PUBLIC = HandshakeRules(frozenset({"https://page.example"}), HostRules.of("192.0.2.1", ""))


@pytest.mark.parametrize(
    ("rules", "host", "origin"),
    [
        (LOOPBACK, "127.0.0.1:8000", None),
        (LOOPBACK, "localhost:8000", "http://localhost:8000"),
        (LOOPBACK, "[::1]:8000", None),
        (LOOPBACK, "proxy.example", "https://proxy.example"),
        (PUBLIC, "exchange.example", None),
        (PUBLIC, "exchange.example", "https://exchange.example"),
        (PUBLIC, "exchange.example", "https://page.example"),
    ],
)
def test_handshake_of_an_own_page_or_a_program_is_accepted(
    rules: HandshakeRules, host: str, origin: str | None
) -> None:
    assert refusal(rules, [host], [origin] if origin else []) is None


@pytest.mark.parametrize(
    ("rules", "host", "origin"),
    [
        (LOOPBACK, "127.0.0.1.evil.example", "http://127.0.0.1.evil.example"),
        (LOOPBACK, "evil.example:8000", "http://evil.example:8000"),
        (LOOPBACK, "", None),
        (LOOPBACK, "[::1", None),
        (LOOPBACK, "localhost:8000", "http://localhost:8001"),
        (PUBLIC, "exchange.example", "https://evil.example"),
        (PUBLIC, "exchange.example", "null"),
        (PUBLIC, "exchange.example", "http://[exchange.example"),
    ],
)
def test_handshake_of_a_foreign_page_or_host_is_refused(
    rules: HandshakeRules, host: str, origin: str | None
) -> None:
    assert refusal(rules, [host], [origin] if origin else []) is not None


@pytest.mark.parametrize(
    ("hosts", "origins"),
    [([], []), (["a", "a"], []), (["a"], ["http://a", "http://a"])],
)
def test_handshake_with_repeated_headers_is_refused(hosts: list[str], origins: list[str]) -> None:
    assert refusal(PUBLIC, hosts, origins) is not None


def test_entries_of_a_setting_are_separated_by_commas() -> None:
    assert listed(" a, b,,") == {"a", "b"}
    assert listed("") == frozenset()
