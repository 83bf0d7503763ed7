"""House rules that the linter cannot hold: sizes, docstrings, forbidden drawers, no leftovers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "schemas",
    "services",
    "infra",
    "loadgen",
    "benchmarks",
    "conformance",
    "examples",
    "exchange_testing",
    "tests",
)
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 6
DRAWERS = {"common", "core", "utils", "util", "helpers", "misc"}
# Written apart, so that this file does not find itself.
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([name for name in names if name.arg not in {"self", "cls"}])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    assert not LEFTOVER.search(text)
    assert path.stem not in DRAWERS
    assert path.parent.name not in DRAWERS
    if text.strip():
        docstring = ast.get_docstring(tree)
        assert docstring, "a module opens with what it is"
    long = {
        function.name: length
        for function in functions(tree)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}
    wide = {f.name: n for f in functions(tree) if (n := parameters(f)) > PARAMETERS_MAX}
    assert wide == {}
