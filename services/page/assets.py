"""The files of the page, read once: a static folder, and uPlot from its installed package.

There is no build step: browsers load these files as they are.
"""

import hashlib
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources import files
from typing import Final

from msgspec import Struct

FOLDER: Final = "/page/"
# Replaced in index.html, so that an open page can tell that the gateway has a newer one.
VERSION_MARK: Final = b"PAGE_VERSION"
# The package's name for a file, ours, and the SHA-256 of the version that was reviewed.
UPLOT: Final = {
    "uplot.iife.min.js": (
        "uplot.js",
        "2d27e8ad3d228164525ce213f9dc716f39b4e3aee0cc773fb3491c96cf4921a2",
    ),
    "uplot.min.css": (
        "uplot.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
}
_KINDS: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


class Asset(Struct, frozen=True):
    """One file: the path of its URL, content and strong ETag."""

    path: str
    body: bytes
    content_type: str
    etag: str


class PageFiles(Struct, frozen=True):
    """All files by path, and their version. The page itself is `/`; the files that it loads are
    below `/page/`."""

    version: str
    assets: dict[str, Asset]


def load_page() -> PageFiles:
    """The page as it is installed."""
    contents = dict(sorted((*_static(), *_uplot())))
    version = page_version(contents)
    contents["index.html"] = contents["index.html"].replace(VERSION_MARK, version.encode())
    found = (_asset(name, body) for name, body in contents.items())
    return PageFiles(version, {asset.path: asset for asset in found})


def page_version(contents: dict[str, bytes]) -> str:
    """Short hash of all files."""
    digest = hashlib.sha256()
    for name, body in contents.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
    return digest.hexdigest()[:12]


def _static() -> Iterator[tuple[str, bytes]]:
    for entry in (files("services.page") / "static").iterdir():
        if entry.name.rpartition(".")[2] in _KINDS:
            yield entry.name, entry.read_bytes()


def _uplot() -> Iterator[tuple[str, bytes]]:
    # Located, not imported: the package's Python code is of no use here.
    package = distribution("youplot")
    for name, (served_as, _) in UPLOT.items():
        with open(str(package.locate_file(f"youplot/vendor/{name}")), "rb") as file:
            yield served_as, file.read()


def _asset(name: str, body: bytes) -> Asset:
    path = "/" if name == "index.html" else FOLDER + name
    kind = _KINDS[name.rpartition(".")[2]]
    return Asset(path, body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
