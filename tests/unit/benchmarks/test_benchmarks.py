"""A very small run of every benchmark that needs no server: it produces a figure at each point.

The speed itself is not tested.
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec import structs

from benchmarks.micro.__main__ import Run, main, one
from benchmarks.micro.context import Context, Servers
from benchmarks.micro.engine import EngineMarket, cancel, price_at
from benchmarks.micro.errors import BenchError
from benchmarks.micro.harness import QUICK, Benchmark, CurvePoint, Measurement, with_service_gc
from benchmarks.micro.registry import ENTRIES, PEERS, BenchmarkEntry, chosen

TINY = structs.replace(QUICK, repeats=2, sizes=(1, 10, 100), operations=40, flow_s=1)
SERVERLESS = [
    entry
    for entry in ENTRIES
    if entry.name != PEERS and entry.name.split(".")[0] not in {"sink", "kafka", "trip"}
]


def discard(_: str) -> None:
    """Discard the progress line."""


def measure(entry: BenchmarkEntry, folder: Path, done: Run, repeats: int = TINY.repeats) -> None:
    with ExitStack() as ending, with_service_gc():
        scale = structs.replace(TINY, repeats=repeats)
        one(entry, scale, Servers(folder, ending, discard), done, discard)


@pytest.mark.parametrize("entry", SERVERLESS, ids=lambda entry: entry.name)
def test_benchmark_without_servers_has_two_samples_of_every_figure(
    entry: BenchmarkEntry, tmp_path: Path
) -> None:
    done = Run()
    measure(entry, tmp_path, done)
    (measured,) = done.benchmarks
    assert measured.complete
    assert measured.figures
    for figure in measured.figures:
        assert len(figure.samples) == TINY.repeats
        assert 0 < figure.min <= figure.median <= figure.max
        assert (figure.x is None) == (not measured.x)


@pytest.mark.parametrize("repeats_before", [0, 1, 3])
def test_benchmark_that_fails_keeps_the_repeats_before_as_incomplete(
    tmp_path: Path, repeats_before: int
) -> None:
    left = iter([1.0] * repeats_before)

    def measure_once() -> Iterator[Measurement]:
        for value in left:
            yield Measurement("ours", value, "ns")
            return
        raise BenchError("no more")

    entry = BenchmarkEntry(
        "failing", "fails", lambda _: Benchmark([CurvePoint(None, measure_once)])
    )
    done = Run()
    with pytest.raises(BenchError):
        measure(entry, tmp_path, done, repeats=5)
    assert [m.figures[0].samples for m in done.benchmarks] == [[1.0] * repeats_before] * bool(
        repeats_before
    )
    assert not any(measured.complete for measured in done.benchmarks)


def test_failed_engine_fails_the_run_with_a_note(tmp_path: Path) -> None:
    def make(context: Context) -> Benchmark:
        context.failed.append("it trades otherwise")
        return Benchmark([])

    done = Run()
    measure(BenchmarkEntry("peers", "", make), tmp_path, done)
    assert (done.exit_code, done.notes) == (1, ["peers FAILED: it trades otherwise"])


def test_market_of_the_engine_benchmarks_applies_its_commands() -> None:
    market = EngineMarket()
    orders = [market.order("ask", price_at("ask", level)) for level in range(3)]
    market.apply(orders)
    market.ns_each([market.order("bid", None, quantity=150)])
    assert list(market.engine.open_orders) == [order.order_id for order in orders[1:]]
    market.ns_each([cancel(orders[2])])
    assert len(market.engine.open_orders) == 1


@pytest.mark.parametrize(
    ("only", "quick", "names"),
    [
        (["codec"], False, {"codec.decode", "codec.encode", "codec.outcomes"}),
        (["trip.fsync", "reader.fold"], True, {"trip.fsync", "reader.fold"}),
        (["engine.cross"], False, {"engine.cross"}),
    ],
)
def test_named_benchmarks_are_chosen_even_if_a_quick_run_omits_them(
    only: list[str], quick: bool, names: set[str]
) -> None:
    assert {entry.name for entry in chosen(only, quick=quick, peers=True)} == names


def test_all_benchmarks_but_the_omitted_are_chosen_without_names() -> None:
    assert len(chosen([], quick=False, peers=True)) == len(ENTRIES)
    left_out = {e.name for e in ENTRIES} - {e.name for e in chosen([], quick=True, peers=False)}
    assert left_out == {"trip.fsync", PEERS}


@pytest.mark.parametrize("only", [["engin"], ["engine.mixed.more"], ["codec", ""]])
def test_unknown_benchmark_name_is_a_usage_error(
    only: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--only", *only]) == 2
    assert "--list" in capsys.readouterr().err


def test_list_option_prints_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = io.StringIO(capsys.readouterr().out).readlines()
    assert [line.split()[0] for line in listed] == [entry.name for entry in ENTRIES]


@pytest.mark.parametrize("bad", [["--repeats", "0"], ["--json", "/nowhere/at/all.json"]])
def test_invalid_usage_is_refused_before_anything_runs(bad: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(bad)
    assert ended.value.code == 2
