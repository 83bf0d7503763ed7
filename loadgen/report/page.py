"""The report as one HTML page without scripts, fonts or other files. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from msgspec import structs

from loadgen.client.workers import RunResult
from loadgen.report.charts import STYLE, number
from loadgen.report.page_charts import distribution, errors, over_time, resources
from loadgen.report.report import Percentiles
from loadgen.report.seconds import Second
from loadgen.report.summary import Share, Summary

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8883; --soft: #8889; --bad: #cc3311; --good: #009988 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1500px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em } h3 { font-size: 1em; margin: 0 }
.charts { display: grid; gap: 1.5em }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)) }
.tables { display: flex; flex-wrap: wrap; gap: 2.5em }
table { border-collapse: collapse } td, th { padding: .2em .9em .2em 0; text-align: right }
td:first-child, th:first-child { text-align: left } th { border-bottom: 1px solid var(--soft) }
.bad { color: var(--bad); font-weight: 600 } .good { color: var(--good); font-weight: 600 }
"""


def page(found: Summary, ran: RunResult, seconds: Sequence[Second]) -> str:
    """The whole page."""
    config = found.config
    scale = "a plan" if config.scale is None else f"{config.scale:g} %"
    title = f"{scale} for {config.duration_s} s, seed {config.seed}"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *_verdict(found),
            '<h2>Latency, from when each request was due</h2><div class="tables">',
            _latencies(found),
            '</div><h2>Over time</h2><div class="charts">',
            *over_time(seconds),
            '</div><h2>Distribution</h2><div class="charts">',
            distribution(ran.records),
            errors(seconds),
            '</div><h2>Processes</h2><div class="charts">',
            *resources(ran.samples),
            '</div><h2>What was sent and answered</h2><div class="tables">',
            *_tables(found),
            "</div></body></html>\n",
        ]
    )


def _verdict(found: Summary) -> Iterator[str]:
    yield "<p>"
    if not found.complete:
        yield f'<span class="bad">INCOMPLETE: {escape(found.why)}</span><br>'
    if not found.valid:
        yield (
            '<span class="bad">INVALID: requests left late, so these latencies include the '
            "generator's own</span><br>"
        )
    for verdict in found.thresholds:
        style = "good" if verdict.holds else "bad"
        outcome = "holds" if verdict.holds else "failed"
        yield f'<span class="{style}">{escape(verdict.text)}: {outcome}</span><br>'
    yield (
        f"planned {number(found.planned_per_s)} requests/s, done {number(found.done_per_s)}/s, "
        f"{found.errors:,} errors ({found.errors_percent:.2f} %), audit: {found.audit}</p>"
    )


def _latencies(found: Summary) -> str:
    rows = dict(found.figures.latency_us)
    if found.figures.send_lag_us is not None:
        rows["send lag"] = found.figures.send_lag_us
    names = [name for name in Percentiles.__struct_fields__ if name != "count"]
    heads = ("", "count", *(f"{name.replace('_', '.')} ms" for name in names))
    return _table(
        heads,
        [
            (name, f"{each.count:,}", *(f"{getattr(each, field) / 1_000:,.1f}" for field in names))
            for name, each in rows.items()
        ],
    )


def _tables(found: Summary) -> Iterator[str]:
    yield _table(("answer", "count"), [(n, f"{c:,}") for n, c in found.figures.answers.items()])
    yield _table(("category", "count"), [(n, f"{c:,}") for n, c in found.figures.kinds.items()])
    yield _table(("mix", "planned %", "sent %"), _shares(found.mix))
    yield _table(("symbol", "planned %", "sent %"), _shares(found.skew))
    yield _table(
        ("process", "CPU s", "us/request", "MiB at most"),
        [
            (name, f"{c.cpu_s:.1f}", f"{c.cpu_us_per_request:,}", f"{c.memory_bytes_max >> 20:,}")
            for name, c in found.processes.items()
        ],
    )
    environment = {
        **{name: str(value) for name, value in structs.asdict(found.machine).items()},
        "commit": found.commit,
        "started": found.started_at,
        "url": found.config.url,
        "sending processes": str(found.config.processes),
        "client, us of CPU a request": str(found.figures.cpu_us_per_request),
        "in flight at most": f"{found.figures.in_flight_max:,}",
    }
    yield _table(("environment", ""), list(environment.items()))
    profile = structs.asdict(found.config.profile)
    yield _table(("profile", ""), [(name, str(value)) for name, value in profile.items()])


def _shares(found: Mapping[str, Share]) -> list[tuple[str, ...]]:
    return [
        (name, f"{share.planned_percent:.2f}", f"{share.sent_percent:.2f}")
        for name, share in found.items()
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<div><table><tr>{head}</tr>{body}</table></div>"
