"""Kafka over TLS: `EXCHANGE_KAFKA_CA` in clients of a broker with a test certificate."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from infra.broker import ADMIN, LocalKafka
from infra.java import find_java
from infra.quorum import Node, Quorum
from schemas.topics import COMMANDS
from services.runtime.errors import UnavailableError
from services.runtime.kafka.client_config import KafkaAccess
from services.runtime.kafka.consumer import Partition
from services.runtime.kafka.log_reader import LogReader
from services.runtime.kafka.producer import append
from services.runtime.kafka.topics import TopicsAdmin

OPENS_STORES = "opens-stores"


class TlsKafka(LocalKafka):
    """A broker whose client port accepts TLS only and requires a password."""

    def __init__(self, data_dir: Path, certificates: Path) -> None:
        super().__init__(data_dir, secured=True)
        self._certificates = certificates

    def _settings(self, quorum: Quorum, node: Node) -> str:
        text = super()._settings(quorum, node)
        assert "CLIENTS:SASL_PLAINTEXT" in text
        stores = "".join(
            f"ssl.{store}.type=PKCS12\n"
            f"ssl.{store}.location={self._certificates / store}\n"
            f"ssl.{store}.password={OPENS_STORES}\n"
            for store in ("keystore", "truststore")
        )
        return text.replace("CLIENTS:SASL_PLAINTEXT", "CLIENTS:SASL_SSL") + stores

    def admin_config(self) -> dict[str, str]:
        return super().admin_config() | {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self._certificates / "ca.pem"),
        }


def make_certificates(folder: Path, address: str = "127.0.0.1") -> Path:
    """Create a self-signed certificate: key stores for the broker, `ca.pem` for the clients."""
    java = find_java().program

    def keytool(*arguments: str) -> None:
        secret = ("-storepass", OPENS_STORES, "-storetype", "PKCS12")
        command = [str(java.resolve().with_name("keytool")), *arguments, *secret]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=110)

    key = ("-keyalg", "EC", "-dname", "CN=broker", "-ext", f"SAN=IP:{address}", "-validity", "2")
    keytool("-genkeypair", "-alias", "broker", "-keystore", "keystore", *key)
    keytool("-exportcert", "-rfc", "-alias", "broker", "-keystore", "keystore", "-file", "ca.pem")
    keytool(
        "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-keystore", "truststore"
    )
    return folder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[LocalKafka]:
    with TlsKafka(tmp_path_factory.mktemp("tls") / "kafka", certificates) as kafka:
        yield kafka


@pytest.fixture
def access(broker: LocalKafka, certificates: Path) -> KafkaAccess:
    ca = str(certificates / "ca.pem")
    return KafkaAccess(broker.bootstrap_servers, ADMIN, broker.admin_password, "PLAIN", ca)


def test_clients_with_the_right_certificate_authority_write_and_read(access: KafkaAccess) -> None:
    TopicsAdmin(access, "tls.").apply(1, "process")
    topic = "tls." + COMMANDS.name
    append(access, topic, 0, b"k", b"v")
    with closing(LogReader(access, Partition(topic, 0))) as reader:
        assert [record.value for record in reader.records()] == [b"v"]


def test_clients_with_another_or_no_certificate_authority_cannot_connect(
    access: KafkaAccess, tmp_path: Path
) -> None:
    other = str(make_certificates(tmp_path) / "ca.pem")
    wrong = [structs.replace(access, ca=other), structs.replace(access, ca="")]
    # Both clients wait for the same time-out, so they run in parallel.
    with ThreadPoolExecutor(len(wrong)) as pool:
        verifying = [pool.submit(TopicsAdmin(client, "tls.").verify) for client in wrong]
    assert [type(each.exception()) for each in verifying] == [UnavailableError] * 2
