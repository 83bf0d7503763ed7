"""Orders are accepted during outages of other services, and the measurement of it can fail."""

import pytest

from benchmarks.experiments import outage


@pytest.mark.timeout(240)
def test_orders_are_accepted_while_matcher_reader_or_sink_is_dead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code = outage.main(["--rate", "40", "--seconds", "1", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert exit_code == 0, lines
    assert [line.split()[0] for line in lines] == ["nobody", *outage.VICTIMS]


@pytest.mark.timeout(240)
def test_orders_refused_in_an_outage_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "VICTIMS", ("ingest",))
    exit_code = outage.main(["--rate", "40", "--seconds", "1", "--rounds", "1"])
    assert exit_code == outage.EXIT_FAILED
    assert "ingest   dead: 0 of" in capsys.readouterr().out
