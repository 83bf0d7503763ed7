"""Renders a run as one offline HTML file: every curve, figure and budget. Pure."""

from collections.abc import Iterator, Sequence
from html import escape
from statistics import median

from benchmarks.micro.report import BenchmarkReport, Measured, verdict_text
from benchmarks.value_text import value_text
from loadgen.report.charts import STYLE, Axis, Mark, Series, bar_chart, line_chart

_STYLE = """
:root { color-scheme: light dark; --line: #8883 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem }
body { padding: 0 1rem }
section { display: grid; gap: 1rem 2rem; grid-template-columns: 1fr; margin: 2.5rem 0 }
h2 { grid-column: 1 / -1 }
@media (min-width: 70rem) { section { grid-template-columns: 34rem 1fr } }
h2 { font-size: 1.1rem; margin: 0; border-top: 1px solid #8886; padding-top: .8rem }
h3 { font-size: .85rem; margin: 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem }
td, th { padding: .1rem .6rem; text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left }
.missed { color: #c2410c; font-weight: 600 } .met { color: #15803d; font-weight: 600 }
"""


def page(report: BenchmarkReport) -> str:
    """The complete HTML document."""
    body = "".join(_parts(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Benchmarks</title><style>{_STYLE}{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _parts(report: BenchmarkReport) -> Iterator[str]:
    on = report.machine
    yield "<h1>Benchmarks</h1>"
    yield _paragraph(
        f"{report.started}, commit {report.commit or 'unknown'}, {report.scale}: "
        f"{report.repeats} repeats in {report.seconds:.0f} s, seed {report.seed}"
        + ("" if report.complete else ". INTERRUPTED: what was measured until then")
    )
    yield _paragraph(
        f"{on.cpu}, {on.cores} cores, {on.memory_bytes >> 20:,} MiB, {on.system}, "
        f"Python {on.python}, load {report.load:.2f} at the start; garbage collector {report.gc}"
    )
    yield from (_paragraph(f"Note: {note}") for note in report.notes)
    yield from _budgets(report.benchmarks)
    for measured in report.benchmarks:
        yield "<section>"
        yield f"<h2>{escape(measured.name)}: {escape(measured.title)}</h2>"
        yield f"<div>{''.join(_charts(measured))}</div>"
        yield f'<div class="scroll">{"".join(_table(measured))}</div></section>'


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _budgets(benchmarks: Sequence[Measured]) -> Iterator[str]:
    yield "<table><tr><th>budget</th><th></th></tr>"
    for measured in benchmarks:
        for verdict in measured.verdicts:
            kind = "met" if verdict.met else "missed"
            place = "" if verdict.x is None else f" at {verdict.x:,}"
            name = f"{measured.name}, {verdict.series}{place}"
            yield f'<tr><td>{escape(name)}</td><td class="{kind}">'
            yield f"{escape(verdict_text(verdict))}</td></tr>"
    yield "</table>"


def _charts(measured: Measured) -> Iterator[str]:
    for unit in dict.fromkeys(one.unit for one in measured.figures):
        figures = [one for one in measured.figures if one.unit == unit]
        size, shown = _readable([one.median for one in figures], unit)
        title = f"{measured.name}, {shown}"
        if len({one.x for one in figures}) == 1:
            yield bar_chart(title, [(one.series, one.median / size) for one in figures], shown)
            continue
        series = [
            Series(name, tuple((f.x or 0, f.median / size) for f in figures if f.series == name))
            for name in dict.fromkeys(one.series for one in figures)
        ]
        limits = dict.fromkeys(v.limit for v in measured.verdicts if v.unit == unit)
        marks = [Mark(f"budget {value_text(limit, unit)}", limit / size) for limit in limits]
        yield line_chart(title, series, Axis(measured.x, log=True), Axis(shown, log=True), marks)


def _readable(values: Sequence[float], unit: str) -> tuple[float, str]:
    """The nanoseconds per drawing unit and the unit's name; other units stay unchanged."""
    name, slash, per = unit.partition("/")
    for size, larger in ((1e6, "ms"), (1e3, "us")):
        if name == "ns" and median(values) >= size:
            return size, larger + slash + per
    return 1.0, unit


def _table(measured: Measured) -> Iterator[str]:
    heads = ("", measured.x, "min", "median", "max")
    yield "<table><tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"
    for one in measured.figures:
        cells = [one.series, "" if one.x is None else f"{one.x:,}"]
        cells += [value_text(value, one.unit) for value in (one.min, one.median, one.max)]
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"
