"""Addresses of an exchange in containers."""

import pytest

from exchange_testing import ContainersError, ExchangeContainer


def test_feeds_are_at_the_address_of_the_api() -> None:
    exchange = ExchangeContainer()
    with pytest.raises(ContainersError, match="before the exchange is started"):
        _ = exchange.feed_url
    exchange._addresses["url"] = "http://localhost:32768"
    assert exchange.feed_url == "ws://localhost:32768/ws"
