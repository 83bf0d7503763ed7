"""Kafka client settings of a user, and the error raised when Kafka refuses that user."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from services.runtime.errors import AccessError, SettingsError
from services.runtime.kafka.client_config import KafkaAccess, kafka_access
from services.runtime.settings import Settings, read_settings

HIDDEN = "not-to-be-seen"


def test_access_without_a_user_sets_the_servers_only() -> None:
    assert KafkaAccess("a:1,b:2").config() == {"bootstrap.servers": "a:1,b:2"}


def test_access_with_a_user_sets_scram_authentication() -> None:
    config = KafkaAccess("a:1", "sink", HIDDEN).config()
    assert config == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "sink",
        "sasl.password": HIDDEN,
    }


@pytest.mark.parametrize(("user", "protocol"), [("", "SSL"), ("sink", "SASL_SSL")])
def test_access_with_a_certificate_authority_is_encrypted(user: str, protocol: str) -> None:
    config = KafkaAccess("a:1", user, HIDDEN, ca="/etc/ca.pem").config()
    assert (config["security.protocol"], config["ssl.ca.location"]) == (protocol, "/etc/ca.pem")


def test_access_as_text_hides_the_password() -> None:
    assert HIDDEN not in repr(KafkaAccess("a:1", "sink", HIDDEN))
    assert HIDDEN not in str(KafkaAccess("a:1", "sink", HIDDEN))


def test_settings_contain_the_password_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{HIDDEN}\n")
    given = {"EXCHANGE_KAFKA": "a:1", "EXCHANGE_KAFKA_USER": "sink"}
    by_value = read_settings(given | {"EXCHANGE_KAFKA_PASSWORD": HIDDEN})
    by_file = read_settings(given | {"EXCHANGE_KAFKA_PASSWORD_FILE": str(file)})
    assert kafka_access(by_value) == kafka_access(by_file) == KafkaAccess("a:1", "sink", HIDDEN)


def test_settings_without_servers_a_password_or_its_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="EXCHANGE_KAFKA is needed"):
        kafka_access(Settings())
    with pytest.raises(SettingsError, match="EXCHANGE_KAFKA_PASSWORD is needed"):
        kafka_access(Settings(kafka="a:1", kafka_user="sink"))
    missing = Settings(kafka="a:1", kafka_user="sink", kafka_password_file=tmp_path / "none")
    with pytest.raises(SettingsError, match=r"EXCHANGE_KAFKA_PASSWORD_FILE=.*No such file"):
        kafka_access(missing)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (KafkaError._AUTHENTICATION, "does not let user sink in"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "does not let user sink in"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "forbids user sink"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "forbids user sink"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "forbids user sink"),
    ],
)
def test_refusal_names_the_user_and_not_the_password(code: int, message: str) -> None:
    refusal = KafkaAccess("a:1", "sink", HIDDEN).refusal(KafkaError(code))
    assert isinstance(refusal, AccessError)
    assert message in str(refusal)
    assert HIDDEN not in str(refusal)
    assert refusal.exit_code == 12


def test_other_errors_are_not_refusals() -> None:
    assert KafkaAccess("a:1", "sink", HIDDEN).refusal(KafkaError(KafkaError._TRANSPORT)) is None
