"""Kafka connection settings shared by all clients, and how authentication errors are raised.

Without a user the configuration is just the address; with one the client authenticates by SASL.
A password never appears in a log line or a `repr`.
"""

from typing import Any

from confluent_kafka import KafkaError
from msgspec import Struct

from services.runtime.errors import AccessError, SettingsError
from services.runtime.settings import KafkaMechanism, Settings, require, variable

_NOT_LET_IN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


class KafkaAccess(Struct, frozen=True):
    """`servers` as Kafka's clients take them; `ca` is a file with certificate authorities."""

    servers: str
    user: str = ""
    password: str = ""
    mechanism: KafkaMechanism = "SCRAM-SHA-512"
    ca: str = ""

    def __repr__(self) -> str:
        return f"KafkaAccess({self.servers!r}, user={self.user!r})"

    def config(self) -> dict[str, Any]:
        """The part of a client's configuration that names address and user."""
        config: dict[str, Any] = {"bootstrap.servers": self.servers}
        if self.ca:
            config |= {"security.protocol": "SSL", "ssl.ca.location": self.ca}
        if self.user:
            config |= {
                "security.protocol": "SASL_SSL" if self.ca else "SASL_PLAINTEXT",
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return config

    def refusal(self, error: KafkaError) -> AccessError | None:
        """The error to raise if Kafka refuses this user; None for any other error."""
        who = f"user {self.user}" if self.user else "a client without a user"
        if error.code() in _NOT_LET_IN:
            return AccessError(
                f"Kafka does not let {who} in: {error.str()}; correct "
                f"{variable('kafka_user')} and its password"
            )
        if error.code() in _FORBIDDEN:
            return AccessError(f"Kafka forbids {who}: {error.str()}; see: exchange access show")
        return None


def kafka_access(settings: Settings) -> KafkaAccess:
    """Connection settings from the process's settings. Raises SettingsError."""
    servers = require(settings.kafka, "kafka")
    password = settings.kafka_password
    file = settings.kafka_password_file
    if file is not None and not password:
        try:
            password = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable('kafka_password_file')}={file}: {error}") from error
    if settings.kafka_user:
        require(password, "kafka_password")
    return KafkaAccess(
        servers, settings.kafka_user, password, settings.kafka_mechanism, settings.kafka_ca
    )
