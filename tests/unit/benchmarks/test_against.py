"""Two checkouts measured in turns: order of the turns, figures, ratio and its certainty."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.against.checkout import Checkout, CheckoutError, checkout_at, this_checkout
from benchmarks.against.kinds import KindOptions, capacity, load
from benchmarks.against.rounds import run_rounds
from benchmarks.against.rows import (
    Against,
    Figures,
    Row,
    compare_row,
    compared,
    missing,
    spread_percent,
    table,
)
from loadgen.report.machine import Machine
from services.runtime.progress import Progress

TIME = Row("edge", "POST /orders", "ns", 1)
RATE = Row("engine.mixed", "engine alone", "commands/s")
# A stand-in for the module of the micro-benchmarks.
PROGRAM = """
import json, sys
print("options", sys.argv[1:])
file = sys.argv[sys.argv.index("--json") + 1]
figure = {"series": "POST", "unit": "ns", "x": 1, "median": NS, "samples": []}
open(file, "w").write(json.dumps({"benchmarks": [{"name": "edge", "figures": [figure]}]}))
sys.exit(EXIT)
"""


# A stand-in for the load generator.
GENERATOR = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--report") + 1])
folder.mkdir()
(folder / NAME).write_text(CONTENT)
sys.exit(EXIT)
"""


def make_checkout(root: Path, module: str, ns: float = 100.0, exit_code: int = 0) -> Path:
    folder = root.joinpath(*module.split("."))
    folder.mkdir(parents=True)
    text = PROGRAM.replace("NS", str(ns)).replace("EXIT", str(exit_code))
    (folder / "__main__.py").write_text(text)
    return root


def against(pairs: Sequence[tuple[Figures, Figures]], *, complete: bool = True) -> Against:
    return Against(
        complete=complete,
        rounds=len(pairs),
        started="2026-01-01T00:00:00+00:00",
        machine=Machine("a CPU", 2, 1, "Linux 6", "3.11"),
        this_commit="aaa",
        other_commit="",
        rows=compared(pairs),
        only_this=missing(pairs, 0),
        only_other=missing(pairs, 1),
    )


@pytest.mark.parametrize(
    ("row", "this", "verdict"),
    [
        (TIME, [90.0, 80.0, 95.0, 99.0, 70.0], "better"),
        (TIME, [110.0, 120.0, 101.0, 130.0, 105.0], "worse"),
        (TIME, [90.0, 80.0, 95.0, 110.0, 70.0], ""),
        (TIME, [90.0, 80.0, 95.0, 100.0, 70.0], ""),
        (RATE, [110.0, 120.0, 101.0, 130.0, 105.0], "better"),
        (RATE, [90.0, 80.0, 95.0, 99.0, 70.0], "worse"),
        (Row("capacity", "p99", "% of B3"), [110.0, 120.0, 101.0, 130.0, 105.0], "better"),
        # Too few rounds.
        (TIME, [50.0, 51.0, 52.0, 53.0], ""),
    ],
)
def test_verdict_needs_the_same_outcome_in_every_one_of_enough_rounds(
    row: Row, this: list[float], verdict: str
) -> None:
    assert compare_row(row, this, [100.0] * len(this)).verdict == verdict


def test_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    found = compare_row(TIME, [100.0, 210.0, 50.0], [100.0, 200.0, 40.0])
    assert (found.this_median, found.other_median) == (100.0, 100.0)
    assert (found.ratio_min, found.ratio, found.ratio_max) == (1.0, 1.05, 1.25)


def test_row_of_zeros_has_no_ratio_and_no_spread() -> None:
    found = compare_row(Row("load", "errors", "%"), [0.0, 0.0], [0.0, 0.0])
    assert (found.ratio, found.verdict, found.this_spread_percent) == (None, "", 0.0)


def test_spread_is_the_range_in_per_cent_of_the_median() -> None:
    assert spread_percent([90.0, 100.0, 115.0]) == 25.0


def test_rows_missing_from_one_side_are_listed_and_not_compared() -> None:
    pairs: list[tuple[Figures, Figures]] = [({TIME: 1.0, RATE: 1.0}, {TIME: 2.0})] * 2
    text = list(table(against(pairs, complete=False)))
    assert [each.row for each in compared(pairs)] == [TIME]
    assert missing(pairs, 0) == [RATE]
    assert "NOTE: only this checkout has engine.mixed: engine alone, commands/s" in text
    assert text[-1].startswith("INCOMPLETE")


def test_table_has_medians_spread_and_ratio_of_each_row() -> None:
    text = list(table(against([({TIME: 9_000.0}, {TIME: 10_000.0})] * 5)))
    assert text[-1].split() == (
        [
            "POST",
            "/orders",
            "at",
            "1",
            "9",
            "us",
            "0.0",
            "%",
            "10",
            "us",
            "0.0",
            "%",
            "0.900",
            "(0.900",
            "to",
            "0.900)",
            "better",
        ]
    )


def test_table_without_a_complete_round_has_no_rows() -> None:
    assert list(table(against([], complete=False)))[-1].startswith("INCOMPLETE")


def test_rounds_alternate_the_first_checkout(tmp_path: Path) -> None:
    sides = (Checkout(Path("this"), Path(), ""), Checkout(Path("other"), Path(), ""))
    ran: list[str] = []

    def measure(checkout: Checkout, _: KindOptions, folder: Path) -> Figures:
        assert folder.is_dir()
        ran.append(str(checkout.root))
        return {TIME: float(len(ran))}

    kinds = [("micro", measure)]
    pairs = list(run_rounds(sides, kinds, KindOptions(), Progress(), count=3, folder=tmp_path))

    assert ran == ["this", "other", "other", "this", "this", "other"]
    assert pairs == [({TIME: 1}, {TIME: 2}), ({TIME: 4}, {TIME: 3}), ({TIME: 5}, {TIME: 6})]


def test_checkout_is_recognised_in_its_present_and_its_former_layout(tmp_path: Path) -> None:
    present = make_checkout(tmp_path / "a", "benchmarks.micro")
    former = make_checkout(tmp_path / "b", "loadgen.bench")
    own = former / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()

    assert checkout_at(present) == Checkout(present, Path(sys.executable), "benchmarks.micro")
    assert checkout_at(former) == Checkout(former, own, "loadgen.bench")
    assert checkout_at(former, Path("py")).python == Path("py")
    assert this_checkout().micro == "benchmarks.micro"
    with pytest.raises(CheckoutError, match="no checkout"):
        checkout_at(tmp_path)


def make_generator(root: Path, name: str, content: object, exit_code: int) -> Checkout:
    """A checkout whose load generator writes this file."""
    make_checkout(root, "benchmarks.micro")
    (root / "loadgen").mkdir()
    text = GENERATOR.replace("NAME", repr(name)).replace("CONTENT", repr(json.dumps(content)))
    (root / "loadgen" / "__main__.py").write_text(text.replace("EXIT", str(exit_code)))
    return checkout_at(root)


@pytest.mark.parametrize("exit_code", [0, 98, 99])
def test_load_has_latency_cost_and_errors_of_a_summary(tmp_path: Path, exit_code: int) -> None:
    summary = {
        "figures": {"latency_us": {"order": {"count": 9, "p50": 2, "p99": 3, "max": 4}}},
        "processes": {"matcher": {"cpu_us_per_request": 70, "memory_bytes_max": 2**21}},
        "errors_percent": 0.5,
        "valid": True,
    }
    checkout = make_generator(tmp_path / "one", "summary.json", summary, exit_code)
    assert load(checkout, KindOptions(), tmp_path) == {
        Row("load", "order p50", "ns", 60.0): 2_000,
        Row("load", "order p99", "ns", 60.0): 3_000,
        Row("load", "order max", "ns", 60.0): 4_000,
        Row("load", "matcher, CPU", "us/request", 60.0): 70,
        Row("load", "matcher, memory", "MiB", 60.0): 2,
        Row("load", "errors", "%", 60.0): 0.5,
    }


def test_load_whose_program_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckoutError, match="exit code 3"):
        load(make_generator(tmp_path / "one", "summary.json", {}, 3), KindOptions(), tmp_path)


@pytest.mark.parametrize(("scale", "exit_code", "expected"), [(40.0, 0, 40.0), (None, 1, 0.0)])
def test_capacity_without_a_carried_scale_is_zero(
    tmp_path: Path, scale: float | None, exit_code: int, expected: float
) -> None:
    content = {"complete": True, "scale": scale}
    checkout = make_generator(tmp_path / "one", "capacity.json", content, exit_code)
    assert list(capacity(checkout, KindOptions(), tmp_path).values()) == [expected]


def test_capacity_of_an_incomplete_search_is_an_error(tmp_path: Path) -> None:
    content = {"complete": False, "scale": None}
    checkout = make_generator(tmp_path / "one", "capacity.json", content, 1)
    with pytest.raises(CheckoutError, match="incomplete"):
        capacity(checkout, KindOptions(), tmp_path)


def test_main_compares_both_checkouts_and_writes_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    this = checkout_at(make_checkout(tmp_path / "this", "benchmarks.micro", 100.0))
    other = make_checkout(tmp_path / "other", "loadgen.bench", 200.0)
    monkeypatch.setattr("benchmarks.__main__.this_checkout", lambda: this)
    file = tmp_path / "found.json"

    exit_code = main(["--against", str(other), "--rounds", "5", "--json", str(file)])

    assert exit_code == 0, capsys.readouterr().err
    assert "0.500 (0.500 to 0.500)  better" in capsys.readouterr().out
    found = json.loads(file.read_text())
    assert (found["complete"], found["rounds"]) == (True, 5)
    assert [(row["this"], row["other"]) for row in found["rows"]] == [([100.0] * 5, [200.0] * 5)]


def test_main_with_a_program_that_fails_reports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    this = checkout_at(make_checkout(tmp_path / "this", "benchmarks.micro"))
    other = make_checkout(tmp_path / "other", "benchmarks.micro", exit_code=3)
    monkeypatch.setattr("benchmarks.__main__.this_checkout", lambda: this)

    assert main(["--against", str(other), "--rounds", "1"]) == 1

    printed = capsys.readouterr()
    assert "ended with exit code 3" in printed.err
    assert "INCOMPLETE" in printed.out


def test_main_against_a_folder_that_is_no_checkout_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--against", str(tmp_path)]) == 2
    assert "no checkout" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [[], ["--rounds", "0"], ["--scale", "0"], ["--kind", "tea"]])
def test_main_with_invalid_options_is_a_usage_error(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*(["--against", str(tmp_path)] if wrong else []), *wrong])
    assert refused.value.code == 2
