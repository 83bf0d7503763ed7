"""The doctor reports missing programs and how to install them."""

import socket
from pathlib import Path

from infra.doctor import Finding, diagnose
from infra.ports import LOOPBACK, free_port


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_doctor_on_this_machine_finds_nothing_missing(tmp_path: Path) -> None:
    findings = diagnose(tmp_path / "not" / "there" / "yet", port=free_port())

    assert [finding for finding in findings if not finding.ok] == []
    assert not (tmp_path / "not").exists()


def test_doctor_without_java_and_maven_says_what_to_install(tmp_path: Path) -> None:
    found = by_name(diagnose(tmp_path, cache_dir=tmp_path / "empty", search_path="/nowhere"))

    assert not found["Java"].ok
    assert not found["Kafka's jars"].ok
    assert "apt-get install" in found["Java"].remedy
    assert "apt-get install" in found["Kafka's jars"].remedy


def test_doctor_when_the_port_is_taken_names_the_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, free_port()))
        taken.listen()
        port = int(taken.getsockname()[1])

        finding = by_name(diagnose(tmp_path, port=port))[f"Port {port}"]

    assert not finding.ok
    assert "EXCHANGE_PORT" in finding.remedy
