"""Every SQL statement in the sources of the services, found in their syntax trees."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|COPY|MERGE|TRUNCATE|LOCK)\s")
# Enough of a statement to tell it from the others of its module.
KEY_LENGTH = 46


def statements() -> dict[str, str]:
    """Text of each statement by its key: the module, and the beginning with single spaces."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "services").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "services").with_suffix("").parts)
        for text in _statements(ast.parse(path.read_text(encoding="utf-8"))):
            key = f"{module}: {' '.join(text.split())[:KEY_LENGTH].rstrip()}"
            assert found.setdefault(key, text) == text, f"two statements begin alike: {key}"
    return found


def _statements(tree: ast.Module) -> Iterator[str]:
    skipped: set[int] = set()
    for node in ast.walk(tree):
        # A docstring is a statement of an expression; the parts of an f-string are no statements.
        if isinstance(node, ast.Expr | ast.JoinedStr):
            skipped.update(id(part) for part in ast.walk(node) if isinstance(part, ast.Constant))
            if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
                skipped.difference_update(id(part) for part in ast.walk(node.value))
        if isinstance(node, ast.JoinedStr):
            yield from filter(_STATEMENT.match, [_joined(node)])
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in skipped and _STATEMENT.match(text):
            yield text


def _joined(node: ast.JoinedStr) -> str:
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
    )
