"""Test targets: their paths exist, and every file is in exactly one shard of its target."""

import re
from pathlib import Path

import pytest

from tests.selection import (
    ALONE,
    ESSENTIAL,
    LAST,
    SIZED,
    TARGETS,
    WEIGHTS_S,
    left_out,
    shard_of,
    within,
)

ROOT = Path(__file__).parents[2]
FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))


def test_selected_paths_exist() -> None:
    named = {*ESSENTIAL, *ALONE, *SIZED, *WEIGHTS_S, LAST}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_essential_and_rest_together_equal_all() -> None:
    rest = {file for file in FILES if not left_out(file, TARGETS["rest"])}
    essential = {file for file in FILES if any(file.startswith(path) for path in ESSENTIAL)}
    assert essential | rest == set(FILES)
    assert set(SIZED) <= rest
    assert {file for file in FILES if not left_out(file, TARGETS["all"])} == set(FILES)


def test_essential_files_with_sizes_run_again_at_full_size() -> None:
    sizes = re.compile(r"\b(sized|is_small)\(")
    essential = [file for file in FILES if within(file, ESSENTIAL)]
    assert {file for file in essential if sizes.search((ROOT / file).read_text())} == set(SIZED)


def test_every_folder_of_tests_has_a_row_in_the_readme() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "tests/README.md").read_text(), re.MULTILINE))
    assert {file.split("/")[1] for file in FILES} <= rows


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_every_file_has_one_shard_and_measuring_files_share_the_first(shards: int) -> None:
    placed = shard_of(FILES, shards)
    assert set(placed) == set(FILES)
    assert set(placed.values()) == set(range(shards))
    assert {placed[file] for file in FILES if file.startswith(ALONE)} == {0}
