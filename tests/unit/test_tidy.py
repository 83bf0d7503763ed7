"""House rules that the linter cannot check: sizes, docstrings, names and plain prose.

Each test is one rule and lists every offender as `file:line`.
"""

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.prose import INVENTED, PERSON, RIDDLE

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "schemas",
    "services",
    "infra",
    "exchange_client",
    "exchange_testing",
    "loadgen",
    "benchmarks",
    "conformance",
    "examples",
    "tests",
)
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 6
DRAWERS = {"common", "core", "utils", "util", "helpers", "misc"}
# Written in two parts, so that this file does not contain the words.
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
TOPIC_CONCATENATED = re.compile(r"prefix \+ (?!self\b)\w+\.name\b", re.I)
PROXIED = re.compile(r"urlopen|urlretrieve")
TRUSTING = re.compile(r"trust_env")
# Words that do not say what a function or class does, as parts of its name.
VAGUE = re.compile(
    r"(?:^|_)(told|te"
    r"lls?|fares?|stands|bears|no"
    r"body|some"
    r"body|any"
    r"body|who"
    r"ever"
    r"|desks?|fates?|wards?)(?=_|$)"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(Struct, frozen=True):
    """A file with its text, its syntax tree, and its functions and classes."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    definitions: tuple[Function | ast.ClassDef, ...]

    def functions(self) -> Iterator[Function]:
        """All functions and methods."""
        for node in self.definitions:
            if isinstance(node, Function):
                yield node

    def named(self) -> Iterator[tuple[int, str]]:
        """Line and name of every function and class."""
        for node in self.definitions:
            yield node.lineno, node.name

    def docstrings(self) -> Iterator[tuple[int, str]]:
        """Line and text of every docstring."""
        for node in (self.tree, *self.definitions):
            if text := ast.get_docstring(node):
                yield getattr(node, "lineno", 1), text

    def nodes_if(self, pattern: re.Pattern[str]) -> Iterator[ast.AST]:
        """All nodes of the tree, if the pattern occurs in the file."""
        if pattern.search(self.text):
            yield from ast.walk(self.tree)

    def prose(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
        """Line and text of every comment and string, if the pattern occurs in the file."""
        if not pattern.search(self.text):
            return
        with tokenize.open(self.path) as lines:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type in (tokenize.COMMENT, tokenize.STRING):
                    yield token.start[0], token.string


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the project, parsed once."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    texts = [path.read_text() for path in paths]
    trees = [ast.parse(text) for text in texts]
    return tuple(
        Module(str(path.relative_to(ROOT)), path, text, tree, tuple(definitions(tree)))
        for path, text, tree in zip(paths, texts, trees, strict=True)
    )


def definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node


@pytest.fixture(scope="module", autouse=True)
def _no_tree_outlives_these_tests() -> Iterator[None]:
    # A million objects, which every later garbage collection of the process would visit.
    yield
    modules.cache_clear()


def parameters(function: Function) -> int:
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([name for name in names if name.arg not in {"self", "cls"}])


def test_modules_are_short() -> None:
    lines = {module.name: len(module.text.splitlines()) for module in modules()}
    assert [f"{name}: {n} lines" for name, n in lines.items() if n > MODULE_LINES_MAX] == []


def test_functions_are_short() -> None:
    long = [
        f"{module.name}:{function.lineno} {function.name}"
        for module in modules()
        for function in module.functions()
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_functions_have_few_parameters() -> None:
    wide = [
        f"{module.name}:{function.lineno} {function.name}"
        for module in modules()
        for function in module.functions()
        if parameters(function) > PARAMETERS_MAX
    ]
    assert wide == []


def test_http_calls_to_services_use_no_proxy_of_the_environment() -> None:
    # `urlopen` and `trust_env` send calls to loopback addresses to the proxy of the environment.
    proxied = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in module.nodes_if(PROXIED)
        if isinstance(node, ast.Attribute | ast.Name)
        and PROXIED.fullmatch(node.attr if isinstance(node, ast.Attribute) else node.id)
    ]
    trusting = [
        f"{module.name}:{node.value.lineno}"
        for module in modules()
        for node in module.nodes_if(TRUSTING)
        if isinstance(node, ast.keyword)
        and TRUSTING.fullmatch(node.arg or "")
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert proxied + trusting == []


def test_modules_have_docstrings() -> None:
    filled = [module for module in modules() if module.text.strip()]
    assert [each.name for each in filled if not ast.get_docstring(each.tree)] == []


def test_modules_have_no_leftover_markers() -> None:
    assert [module.name for module in modules() if LEFTOVER.search(module.text)] == []


def test_file_and_folder_names_are_specific() -> None:
    named = [
        module.name for module in modules() if {module.path.stem, module.path.parent.name} & DRAWERS
    ]
    assert named == []


def test_names_of_topics_on_kafka_are_made_by_one_method() -> None:
    concatenated = [module.name for module in modules() if TOPIC_CONCATENATED.search(module.text)]
    assert concatenated == [], "use Topic.full_name or Topology.name"


def test_class_names_have_one_meaning() -> None:
    """Outside of tests, and of examples and the client package, which stand alone."""
    where: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        if not module.name.startswith(("examples", "exchange_client", "tests")):
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef):
                    where[node.name].append(module.name)
    twice = {name: files for name, files in where.items() if len(files) > 1}
    assert twice == {}


def test_names_of_functions_and_classes_have_no_vague_words() -> None:
    vague = [
        f"{module.name}:{line} {name}"
        for module in modules()
        for line, name in module.named()
        if VAGUE.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    ]
    assert vague == []


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    riddles = [
        f"{module.name}:{line} {text.splitlines()[0]}"
        for module in modules()
        for line, text in module.docstrings()
        if RIDDLE.match(text)
    ]
    assert riddles == []


def _is_a_name(text: str, word: str) -> bool:
    # A constant such as NOBODY, or the system account of that name.
    return word.isupper() or text.strip("\"'") == "nobody"


def test_programs_and_data_are_not_called_persons() -> None:
    persons = [
        f"{module.name}:{line} {found[0]}"
        for module in modules()
        for line, text in module.prose(PERSON)
        if (found := PERSON.search(text)) and not _is_a_name(text, found[0])
    ]
    assert persons == []


def test_comments_and_texts_have_no_invented_phrases() -> None:
    invented = [
        f"{module.name}:{line} {found[0]}"
        for module in modules()
        for line, text in module.prose(INVENTED)
        if (found := INVENTED.search(text))
    ]
    assert invented == []
