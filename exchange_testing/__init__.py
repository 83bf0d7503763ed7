"""A whole exchange in containers, for tests of programs that trade on it or read its topics.

    with ExchangeContainer() as x:
        ...  # x.url, x.admin_key, x.bootstrap_servers, x.database_url

Needs a Docker engine and the distribution's extra `testing`. In a conftest.py,
`pytest_plugins = ["exchange_testing.pytest_plugin"]` gives a fixture `exchange` of the same kind.

    exchange.py      ExchangeContainer: network, Kafka, PostgreSQL, the exchange's image
      kafka.py         KafkaContainer: Apache Kafka's image, which testcontainers has no class for
    images.py        which images, by argument, variable or what this machine has
    engine.py        whether an engine answers      waiting.py   ready, or why not
"""

from exchange_testing.errors import (
    ContainersError,
    ImageMissingError,
    NoEngineError,
    NotReadyError,
)
from exchange_testing.exchange import ExchangeContainer
from exchange_testing.kafka import KafkaContainer

__all__ = [
    "ContainersError",
    "ExchangeContainer",
    "ImageMissingError",
    "KafkaContainer",
    "NoEngineError",
    "NotReadyError",
]
