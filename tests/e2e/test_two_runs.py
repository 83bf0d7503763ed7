"""Two `exchange run` on one Kafka and topic prefix: the stopped one's matcher is replaced."""

from pathlib import Path

import pytest

from conformance.api import eventually
from infra.broker import LocalKafka
from tests.support.run_command import RunCommand, run_command


def trade(run: RunCommand, key: str) -> None:
    """Place an order that is matched."""
    eventually("an order is matched", lambda: run.place(key) == 201, 30.0)


@pytest.mark.timeout(250)
def test_matcher_superseded_by_a_second_run_takes_over_when_that_is_stopped(
    tmp_path: Path,
) -> None:
    with LocalKafka(tmp_path / "kafka") as kafka:
        first, second = tmp_path / "first", tmp_path / "second"

        def variables(data_dir: Path) -> dict[str, str]:
            return {
                "EXCHANGE_KAFKA": kafka.bootstrap_servers,
                "EXCHANGE_DATA_DIR": str(data_dir),
            }

        with run_command(tmp_path / "first.log", variables(first)) as run:
            key = run.register((first / "admin-key").read_text().strip())["api_key"]
            trade(run, key)
            with run_command(tmp_path / "second.log", variables(second)) as other:
                eventually("superseded", lambda: "starting it again as a standby" in run.printed())
                trade(run, key)
                trade(other, key)
            trade(run, key)
            assert run.degraded() == {}
            assert run.printed().count("was superseded") == 1
