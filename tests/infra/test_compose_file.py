"""infra/compose.yaml, checked without Docker: its commands exist and accept their arguments."""

import importlib.util
import itertools
import re
import tomllib
from typing import Any
from xml.etree import ElementTree

import pytest

from infra.broker import TEMPLATE
from infra.compose import COMPOSE_FILE, EVERY_PROFILE
from infra.kafka_jars import POM
from services.local.compose import ADDED, KAFKA_PORT, POSTGRES_PORT
from services.runtime.settings import Settings, parse_partitions, read_settings, variable
from tests.support.compose_file import OUR_IMAGE, environment, services, uninterpolated

SERVICES = services()
OURS = [name for name, service in SERVICES.items() if service["image"] == OUR_IMAGE]
ROOT = COMPOSE_FILE.parents[1]


def command(name: str) -> list[str]:
    words: list[str] = SERVICES[name]["command"]
    return words


@pytest.mark.parametrize("name", OURS)
def test_service_has_only_known_settings(name: str) -> None:
    given = environment(SERVICES[name])
    read_settings({key: text for key, text in given.items() if key.startswith("EXCHANGE_")})


@pytest.mark.parametrize("name", OURS)
def test_service_starts_an_existing_program(name: str) -> None:
    match command(name):
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(f"{module}.__main__")
        case words:
            assert words == ["exchange", "topics", "apply"]


@pytest.mark.parametrize("name", OURS)
def test_health_check_of_a_service_uses_its_port(name: str) -> None:
    service, given = SERVICES[name], environment(SERVICES[name])
    once = service["restart"] == "no"
    assert once == (name in {"topics", "tables"})
    assert once == ("healthcheck" in service), "a long-running service uses the image's check"
    if once:
        assert "EXCHANGE_METRICS_PORT" not in given
    else:
        assert given["EXCHANGE_METRICS_PORT"] == "9100"


def test_matchers_have_one_partition_each_and_cover_all() -> None:
    count = int(environment(SERVICES["topics"])["EXCHANGE_PARTITIONS"])
    matchers = [name for name in OURS if "services.matcher" in command(name)]
    owned = [parse_partitions(command(name)[-1], count) for name in matchers]
    assert sorted(itertools.chain(*owned)) == list(range(count))
    assert {len(each) for each in owned} == {1}


def test_every_image_is_pinned_and_set_by_a_variable() -> None:
    for name, service in uninterpolated().items():
        match = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:(\S+)\}", service["image"])
        assert match, f"{name}: {service['image']}"
        assert match[1] != "latest", name


def test_ports_are_published_on_loopback_and_set_by_a_variable() -> None:
    published = [port for each in uninterpolated().values() for port in each.get("ports", [])]
    assert len(published) == 6
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)


@pytest.mark.parametrize("name", ["EXCHANGE_ADMIN_KEY", "POSTGRES_PASSWORD"])
def test_missing_key_is_reported_with_its_name(name: str) -> None:
    others = {"EXCHANGE_ADMIN_KEY": "0123456789abcdef", "POSTGRES_PASSWORD": "secret"}
    with pytest.raises(KeyError, match=f"{name}: set {name}.* or use make up"):
        services({key: text for key, text in others.items() if key != name})


def test_password_may_have_any_characters() -> None:
    for name in OURS:
        given = environment(SERVICES[name])
        if "EXCHANGE_DATABASE_URL" in given:
            assert given["PGPASSWORD"] == "it's/secret"
            assert "secret" not in given["EXCHANGE_DATABASE_URL"]


def test_broker_has_the_settings_of_the_local_broker() -> None:
    _, _, shared = TEMPLATE.read_text().partition("log.dirs=log\n")
    lines = [line for line in shared.splitlines() if line and not line.startswith("#")]
    given = environment(SERVICES["kafka"])
    for line in lines:
        key, _, value = line.partition("=")
        wanted = "1" if value.startswith("$") else value
        assert given["KAFKA_" + key.upper().replace(".", "_")] == wanted, key


def test_broker_has_the_release_of_the_local_broker() -> None:
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")  # noqa: S314 - our own file
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


def test_broker_advertises_the_published_port_to_this_machine() -> None:
    kafka = services({"EXCHANGE_ADMIN_KEY": "k", "POSTGRES_PASSWORD": "p", "KAFKA_PORT": "7"})[
        "kafka"
    ]
    assert kafka["ports"] == ["127.0.0.1:7:9094"]
    assert "OUTSIDE://127.0.0.1:7" in environment(kafka)["KAFKA_ADVERTISED_LISTENERS"]


def test_ports_printed_by_make_up_are_published() -> None:
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{KAFKA_PORT}:9094"]
    assert SERVICES["postgres"]["ports"] == [f"127.0.0.1:{POSTGRES_PORT}:5432"]
    assert SERVICES["gateway"]["ports"] == ["127.0.0.1:8000:8000"]
    for profile, _, _, port in ADDED:
        added = [each for each in SERVICES.values() if profile in each.get("profiles", [])]
        published = itertools.chain(*(each.get("ports", []) for each in added))
        assert any(where.startswith(f"127.0.0.1:{port}:") for where in published)


def test_every_variable_is_a_setting_or_documented() -> None:
    page = (ROOT / "docs/containers.md").read_text()
    settings = {variable(field) for field in Settings.__struct_fields__}
    for name in set(re.findall(r"\$\{(\w+)", COMPOSE_FILE.read_text())):
        assert name in settings or name in page, name


def test_make_down_stops_every_profile() -> None:
    profiles = {profile for each in SERVICES.values() for profile in each.get("profiles", [])}
    assert profiles == set(EVERY_PROFILE.split(","))


def test_mounted_files_exist() -> None:
    mounted = [volume for each in SERVICES.values() for volume in each.get("volumes", [])]
    files = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert len(files) == 5
    for file in files:
        assert (COMPOSE_FILE.parent / file).exists(), file


def test_image_labels_contain_the_version_of_the_project() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dockerfile = (ROOT / "infra/Dockerfile").read_text()
    assert f'image.version="{project["version"]}"' in dockerfile
    assert f'image.description="{project["description"]}"' in dockerfile
