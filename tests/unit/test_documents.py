"""Documents agree with the tree: figures, links, paths, settings and exit codes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
README_LINES_MAX = 130


def comparison_row(name: str) -> list[str]:
    """The cells of a design's row in the comparison's table."""
    page = (ROOT / "docs/compare.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def readme_figures(column: int) -> tuple[str, str, str]:
    """Share of B3 carried, latency at 100 % of B3 and losses, as the README has them."""
    rows = [line.strip("|").split("|") for line in README.splitlines() if line.startswith("| ")]
    cells = {row[0].strip().split(",")[0]: row[column].strip() for row in rows if len(row) > column}
    carried = cells["orders a second carried with p99 within 50 ms"]
    latency = cells["latency of orders at 700 a second (100 % of B3)"]
    lost = cells["acknowledged orders lost by a kill -9 of everything"]
    orders, share = re.fullmatch(r"([\d,]+) \((\d+) % of B3\)", carried).groups()  # type: ignore[union-attr]
    assert int(orders.replace(",", "")) == 7 * int(share)
    return share, latency.removesuffix(" ms"), lost


def test_readme_figures_are_those_of_the_comparison() -> None:
    for column, durability in enumerate(("process", "fsync"), start=1):
        row = comparison_row(f"This exchange, `{durability}`")
        assert readme_figures(column) == (row[1], row[6], row[9])


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES_MAX
