"""Helper programs started by the tests of `infra`, and checks of their processes."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program that can import the project; its standard output is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )


def first_line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def end(program: subprocess.Popen[str]) -> None:
    """Kill the program (SIGKILL) and close its output."""
    program.kill()
    program.wait()
    assert program.stdout is not None
    program.stdout.close()


def runs(pid: int, program: str) -> bool:
    """True once the process runs that program; before that it runs `parent_death.py`."""
    return Path(f"/proc/{pid}/comm").read_text().strip() == program


def state_of(pid: int) -> str:
    """The kernel's state letter: T is stopped, Z is a zombie, S is sleeping."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def program(folder: Path, name: str, script: str) -> None:
    """Write a shell script that stands for a program of this name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
