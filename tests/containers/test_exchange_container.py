"""A whole exchange in containers, as another project's tests use it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exchange_testing import ExchangeContainer, ImageMissingError, NotReadyError
from tests.containers.running import of_testcontainers

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 400

FOREIGN_TOPIC_TEST = """\
import json

import requests
from confluent_kafka import Consumer
from exchange_testing import ExchangeContainer


def test_two_orders_make_a_trade_on_the_public_topic():
    with ExchangeContainer() as x:
        def call(path, key, body):
            bearer = {"Authorization": f"Bearer {key}"}
            return requests.post(x.url + path, json=body, headers=bearer).json()

        key = call("/register", x.admin_key, {"name": "us"})["api_key"]
        order = {"document_number": "1", "symbol": "PETR4", "price": 3712, "quantity": 100}
        call("/orders", key, order | {"side": "ask"})
        assert call("/orders", key, order | {"side": "bid"})["closed_reason"] == "filled"
        reading = {"group.id": "us", "auto.offset.reset": "earliest"}
        trades = Consumer({"bootstrap.servers": x.bootstrap_servers} | reading)
        trades.subscribe(["market.trades.v1"])
        trade = trades.poll(60)
        assert (trade.key(), json.loads(trade.value())["price"]) == (b"PETR4", 3712)
        trades.close()
"""
FOREIGN_PLUGIN_TEST = """\
from urllib.request import urlopen

pytest_plugins = ["exchange_testing.pytest_plugin"]


def test_exchange_of_the_fixture_is_ready(exchange):
    assert urlopen(f"{exchange.url}/readyz").status == 200
"""


def example() -> str:
    """Example of `docs/containers.md`, as printed there."""
    blocks = (ROOT / "docs/containers.md").read_text().split("```python\n")
    (found,) = (block.split("```")[0] for block in blocks if "ExchangeContainer()" in block)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that contains only the distribution, installed from a copy of this tree."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("exchange_testing", "infra", "schemas", "services"):
        shutil.copytree(ROOT / package, copy / package)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, copy)
    installed = tmp_path_factory.mktemp("site")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(installed), str(copy)],
        timeout=START_TIMEOUT_S,
        check=True,
    )
    return installed


@pytest.mark.timeout(START_TIMEOUT_S)
@pytest.mark.parametrize("source", [example(), FOREIGN_TOPIC_TEST, FOREIGN_PLUGIN_TEST])
def test_other_project_with_our_distribution_tests_pass_and_leave_no_container(
    source: str, site: Path, tmp_path: Path
) -> None:
    before = of_testcontainers()
    (tmp_path / "test_ours.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_ours.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert of_testcontainers() == before


@pytest.mark.timeout(START_TIMEOUT_S)
def test_exchange_container_with_an_invalid_setting_reports_its_exit_and_leaves_nothing() -> None:
    before = of_testcontainers()
    with (
        pytest.raises(NotReadyError, match=r"(?s)exit code 2; .*EXCHANGE_PARTITIONS"),
        ExchangeContainer(settings={"EXCHANGE_PARTITIONS": "none"}),
    ):
        raise AssertionError("it started")
    assert of_testcontainers() == before


@pytest.mark.timeout(START_TIMEOUT_S)
def test_exchange_container_without_its_image_reports_how_to_get_it() -> None:
    before = of_testcontainers()
    # No registry listens on this port.
    unavailable = "127.0.0.1:1/exchange:none"
    with (
        pytest.raises(ImageMissingError, match=rf"{unavailable} cannot be had .*make images"),
        ExchangeContainer(kafka_image=unavailable),
    ):
        raise AssertionError("it started")
    assert of_testcontainers() == before
