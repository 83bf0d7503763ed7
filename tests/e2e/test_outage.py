"""Orders are accepted during outages of other services, and the measurement of it can fail."""

import pytest

from benchmarks.experiments import outage
from benchmarks.experiments.trial import EXIT_FAILED


@pytest.mark.timeout(240)
def test_orders_are_accepted_while_matcher_reader_or_sink_is_dead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code = outage.main(["--rate", "40", "--seconds", "1", "--rounds", "1"])
    rows = capsys.readouterr().out.splitlines()
    assert exit_code == 0, rows
    assert [row.split()[1] for row in rows] == ["none", *outage.VICTIMS]
    assert all(int(row.split()[-4]) == int(row.split()[-2]) > 0 for row in rows)


@pytest.mark.timeout(240)
def test_orders_refused_in_an_outage_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "VICTIMS", ("ingest",))
    exit_code = outage.main(["--rate", "40", "--seconds", "1", "--rounds", "1"])
    assert exit_code == EXIT_FAILED
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[1] == "ingest"
    assert row[-4:-2] == ["0", "of"]
