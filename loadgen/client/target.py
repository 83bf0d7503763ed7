"""The exchange under load: a running one, or a fresh one that ends with the run."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct, structs

from services.local.data_dir import filled, read_endpoints
from services.local.exchange import LocalExchange, running_exchange
from services.local.signals import temporary_data_dir
from services.runtime.settings import Settings, read_settings


class Target(Struct, frozen=True):
    """`settings` name its Kafka and PostgreSQL if they are known; `pids` its processes."""

    url: str
    admin_key: str
    settings: Settings
    pids: dict[str, int]

    @property
    def auditable(self) -> bool:
        """True if its log and database can be read."""
        return bool(self.settings.kafka and self.settings.database_url)


def at_url(url: str, admin_key: str, pids: Mapping[str, int]) -> Target:
    """A running exchange. Its servers are those of the environment or of its data directory."""
    url = url.rstrip("/")
    settings = read_settings(os.environ)
    found = read_endpoints(settings.data_dir)
    # The exchange in the data directory may be another than the one at this URL.
    if found is not None and found.url == url:
        settings = filled(settings, found)
    return Target(url, admin_key, settings, dict(pids))


@contextmanager
def fresh_exchange(shares_ppm: Mapping[str, int], say: Callable[[str], None]) -> Iterator[Target]:
    """A fresh exchange with listed symbols, removed afterwards."""
    with fresh_stack(shares_ppm, say) as stack:
        yield target_of(stack)


@contextmanager
def fresh_stack(
    shares_ppm: Mapping[str, int], say: Callable[[str], None]
) -> Iterator[LocalExchange]:
    """The same, with access to its processes."""
    settings = read_settings(os.environ)
    say("starting a fresh exchange ...")
    with temporary_data_dir() as data_dir:
        fresh = structs.replace(settings, port=0, data_dir=data_dir)
        with running_exchange(data_dir, fresh, profile="sustained", shares_ppm=shares_ppm) as stack:
            say(f"{stack.url} is open, durability {stack.durability}")
            yield stack


def target_of(stack: LocalExchange) -> Target:
    """Settings of a fresh exchange."""
    pids = {name: child.pid for name, child in stack.services.items()}
    if stack.servers.kafka is not None:
        pids["Kafka"] = stack.servers.kafka.process.pid
    if stack.servers.postgres is not None:
        pids["PostgreSQL"] = stack.servers.postgres.process.pid
    return Target(stack.url, stack.admin_key, stack.operator, pids)
