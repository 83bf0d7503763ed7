"""Documents compared with the tree: figures, links, paths, modules, settings and exit codes."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from services.runtime.errors import ExchangeError
from services.runtime.settings import Settings, variable
from services.sink.errors import ForeignDatabaseError, MigrationError
from tests.support.prose import INVENTED, PERSON

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
OPERATING: Final = (ROOT / "docs/operating.md").read_text()
README_LINES_MAX: Final = 130
TOP_LEVEL: Final = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".venv", ".local"}
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "infra/kubernetes/README.md",
]
# Other pages for people, whose paths may be those of earlier versions.
PROSE: Final = ["CHANGELOG.md", "tests/README.md", "infra/monitoring/alerts.yml"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@each_page
def test_page_links_resolve_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", [*PROSE, *(str(page.relative_to(ROOT)) for page in PAGES)])
def test_page_is_plain_prose(name: str) -> None:
    # CONTRIBUTING ends with a table of phrases to replace.
    text = (ROOT / name).read_text().partition("| instead of |")[0]
    phrases = [each for each in text.splitlines() if PERSON.search(each) or INVENTED.search(each)]
    assert phrases == []


@pytest.mark.parametrize("name", ["operating.md", "performance.md"])
def test_long_page_begins_with_links_to_all_its_sections(name: str) -> None:
    page = ROOT / "docs" / name
    links, _, sections = page.read_text().partition("\n## ")
    headings = re.findall(r"^## (.+)$", f"## {sections}", re.MULTILINE)
    assert re.findall(r"\[([^]]+)\]\(#", links) == headings


@each_page
def test_page_paths_in_backticks_exist(page: Path) -> None:
    quoted = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", page.read_text())
    paths = [path for path in quoted if path.split("/")[0] in TOP_LEVEL]
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_contributing_names_every_package_of_the_services() -> None:
    layout = (ROOT / "CONTRIBUTING.md").read_text().partition("## House numbers")[0]
    packages = {path.parent.name for path in (ROOT / "services").glob("*/__init__.py")}
    assert {name for name in packages if f".{name}`" not in layout} == set()


@each_page
def test_page_modules_to_run_exist(page: Path) -> None:
    named = set(re.findall(r"python -m ([a-z][\w.]*\w)", page.read_text()))
    own_modules = [name for name in named if name.split(".")[0] in TOP_LEVEL]
    assert [name for name in own_modules if find_spec(name) is None] == []


def test_operating_page_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(EXCHANGE_\w+)` \| (`[^`]*`|not set) \|", OPERATING, re.MULTILINE)
    defaults = {}
    for field, default in zip(
        Settings.__struct_fields__, Settings.__struct_defaults__, strict=True
    ):
        defaults[variable(field)] = "not set" if default in (None, "") else f"`{default}`"
    settings = [row for row in rows if row[0] != "EXCHANGE_DURABILITY" or row[1] == "not set"]
    assert sorted(settings) == sorted(defaults.items())


def subclasses(kind: type[ExchangeError]) -> set[type[ExchangeError]]:
    """A class and all its subclasses."""
    return {kind}.union(*(subclasses(derived) for derived in kind.__subclasses__()))


def test_operating_page_lists_every_exit_code() -> None:
    # The sink's own errors are defined in another module; importing it adds them to the class tree.
    assert {MigrationError, ForeignDatabaseError} <= subclasses(ExchangeError)
    product = {kind for kind in subclasses(ExchangeError) if kind.__module__.startswith("services")}
    section = OPERATING.split("## Exit codes")[1].split("\n## ")[0]
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert documented == sorted({0, *(kind.exit_code for kind in product)})


def comparison_row(name: str) -> dict[str, str]:
    """The cells of a design's row in the comparison's table, by the heads of their columns."""
    page = (ROOT / "docs/comparison.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    (heads,) = (row for row in rows if "lost by kill -9" in row)
    (cells,) = (row for row in rows if row[0] == name)
    return dict(zip(heads, cells, strict=True))


def readme_figures(column: int) -> tuple[str, str, str]:
    """Share of B3 sustained, latency at 100 % of B3 and losses, as stated in the README."""
    rows = [line.strip("|").split("|") for line in README.splitlines() if line.startswith("| ")]
    cells = {row[0].strip().split(",")[0]: row[column].strip() for row in rows if len(row) > column}
    carried = cells["orders a second carried with p99 within 50 ms"]
    latency = cells["latency of orders at 700 a second (100 % of B3)"]
    lost = cells["acknowledged orders lost by a kill -9 of everything"]
    found = re.fullmatch(r"([\d,]+) \((\d+) % of B3\)", carried)
    assert found is not None
    orders, share = found.groups()
    assert int(orders.replace(",", "")) == 7 * int(share)
    return share, latency.removesuffix(" ms"), lost


def test_readme_figures_equal_those_of_the_comparison() -> None:
    for column, durability in enumerate(("process", "fsync"), start=1):
        row = comparison_row(f"This exchange, `{durability}`")
        wanted = (row["carries, % of B3"], row["100 %"], row["lost by kill -9"])
        assert readme_figures(column) == wanted


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES_MAX
