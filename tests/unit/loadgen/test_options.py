"""Options of the load generator: invalid ones are refused with the valid form."""

import os
from pathlib import Path

import pytest

from loadgen.__main__ import EXIT_USAGE, main
from loadgen.options import flow_of, options_of, parse, search_of
from loadgen.workload.plan_file import write_plan


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    try:
        code: object = main(arguments)
    except SystemExit as ending:
        code = ending.code
    assert code == EXIT_USAGE
    return capsys.readouterr().err


URL = ("--url", "http://127.0.0.1:9", "--admin-key", "k")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("run", "--scale", "0"), "--scale must be more than 0"),
        (("run", "--scale", "-1"), "--scale must be more than 0"),
        (("run", "--scale", "nan"), "--scale must be more than 0"),
        (("run", "--scale", "much"), "invalid float value"),
        (("run", "--duration", "0"), "--duration must be at least 1"),
        (("run", "--processes", "0"), "--processes must be from 1 to 64"),
        (("run", "--batch", "101"), "--batch must be from 1 to 100"),
        (("run", "--give-up", "0"), "--give-up more than 0"),
        (("run", "--warm-up", "-1"), "--warm-up must be 0 or more"),
        (("run", "--url", "http://127.0.0.1:9"), "--url needs --admin-key"),
        (("run", "--url", "127.0.0.1:9", "--admin-key", "k"), "write http://HOST:PORT"),
        (("run", "--url", "http://h:x", "--admin-key", "k"), "write http://HOST:PORT"),
        (("run", "--threshold", "p99<1"), "is no threshold"),
        (("run", "--pid", "gateway"), "write NAME=PID"),
        (("run", "--pid", "gateway=99999999"), "of a running process"),
        (("run", "--profile", "nothing"), "one of b3, steady, burst, ramp, conditions, or a file"),
        (("run", "--plan-in", "x", "--scale", "5"), "leave out --scale"),
        (("run", "--plan-in", "nowhere"), "nowhere: No such file"),
        (("capacity", "--start", "0"), "--start must be at least"),
        (("capacity", "--start", "9", "--most", "5"), "no more than --most"),
        (("compare", "nowhere", "nowhere"), "nowhere: No such file"),
        ((), "required: COMMAND"),
    ],
)
def test_invalid_command_line_is_refused(
    arguments: tuple[str, ...],
    why: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXCHANGE_ADMIN_KEY", raising=False)
    assert why in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_invalid_profile_file_is_refused_with_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mix.json").write_text('{"symbls": 1}')
    (tmp_path / "sum.json").write_text('{"passive_percent": 90}')
    report = ("--report", str(tmp_path / "report"))
    message = refused(capsys, "run", *report, "--profile", str(tmp_path / "mix.json"))
    assert "mix.json: Object contains unknown field `symbls`" in message
    message = refused(capsys, "run", *report, "--profile", str(tmp_path / "sum.json"))
    assert "more than 100 per cent" in message


def test_report_folder_that_cannot_be_created_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    message = refused(capsys, "run", "--report", str(tmp_path / "file" / "in it"))
    assert "--report" in message


def test_options_of_a_run_equal_the_command_line(tmp_path: Path) -> None:
    own = f"us={os.getpid()}"
    given = parse(
        ["run", *URL, "--scale", "50", "--duration", "7", "--seed", "3", "--pid", own,
         "--report", str(tmp_path), "--no-audit", "--threshold", "errors<1%"]
    )  # fmt: skip
    options = options_of(given)
    flow, scale = flow_of(given)
    assert options.target_spec.pids == {"us": os.getpid()}
    assert (options.target_spec.url, options.target_spec.admin_key) == ("http://127.0.0.1:9", "k")
    assert not options.run_options.audit
    assert [each.text for each in options.run_options.thresholds] == ["errors<1%"]
    assert (scale, flow.seed, flow.profile.duration_s) == (50, 3, 7)
    assert flow.profile.orders_per_s == 350
    plan = tmp_path / "plan"
    write_plan(plan, flow)
    assert flow_of(parse(["run", "--plan-in", str(plan)])) == (flow, None)


def test_capacity_search_starts_at_the_given_scale() -> None:
    given = parse(["capacity", "--start", "40", "--most", "50"])
    assert search_of(given).next == 40
    assert given.duration == 20
