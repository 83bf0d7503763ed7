"""Kubernetes objects in files: one YAML document each, with `---` between them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent
Manifest = dict[str, Any]


def parse(written: str) -> list[Manifest]:
    """Every object of a file's text, in order. Raises msgspec.DecodeError."""
    documents = re.split(r"^---$", written, flags=re.MULTILINE)
    return [msgspec.yaml.decode(document, type=Manifest) for document in documents]


def read(path: Path) -> list[Manifest]:
    """Those of a file."""
    return parse(path.read_text(encoding="utf-8"))


def text(manifests: Iterable[Manifest], comment: str) -> str:
    """Text of a file with these objects, below a line of comment."""
    documents = [msgspec.yaml.encode(manifest).decode() for manifest in manifests]
    return f"# {comment}\n" + "---\n".join(documents)
