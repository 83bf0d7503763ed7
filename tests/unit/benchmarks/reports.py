"""A small benchmark report for the tests of its outputs."""

from benchmarks.micro.report import SCHEMA_VERSION, BenchmarkReport, Measured, figure, verdicts
from loadgen.report.machine import Machine

MACHINE = Machine("A processor", 2, 4_096 << 20, "Linux", "3.11")
FIGURES = [
    figure("engine alone", "commands/s", 5, [400_000.0, 310_000.0, 320_000.0]),
    figure("engine alone", "commands/s", 450, [100_000.0, 200_000.0, 250_000.0]),
]


def make_report(*, complete: bool = True) -> BenchmarkReport:
    """A report of one benchmark with a curve that misses its budget, and one without a curve."""
    bars = [figure("a<b>", "ns", None, [1_500_000.0])]
    return BenchmarkReport(
        schema_version=SCHEMA_VERSION,
        scale="quick",
        complete=complete,
        repeats=3,
        seed=1,
        gc="on",
        machine=MACHINE,
        load=0.5,
        commit="abc",
        started="2026-01-01T00:00:00+00:00",
        seconds=12.0,
        benchmarks=[
            Measured(
                "engine.mixed",
                "a flow",
                "symbols",
                True,
                1.0,
                FIGURES,
                verdicts("engine.mixed", FIGURES),
            ),
            Measured("codec", "a message", "", complete, 1.0, bars, []),
        ],
        notes=["no <other> engine was measured"],
    )
