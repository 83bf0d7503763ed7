"""`python -m benchmarks.experiments.secured` reports both exchanges at every scale."""

import pytest

from benchmarks.experiments.secured import main


@pytest.mark.timeout(300)
def test_measurement_prints_both_kinds_at_every_scale(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--scales", "2", "4", "--seconds", "2", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [scale, "%", kind] for scale in ("2", "4") for kind in ("open", "secured")
    ]
    assert all("us a request" in line for line in lines)


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--scales", "0"], ["--seconds", "-1"]])
def test_measurement_with_a_number_that_is_not_positive_is_a_usage_error(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "must be more than 0" in capsys.readouterr().err
