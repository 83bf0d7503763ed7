"""`exchange doctor`: reports what an exchange needs on this machine and how to install it."""

import os
from typing import Annotated

import typer

from infra.doctor import Finding, diagnose
from services.cli.settings import readable_errors, show
from services.runtime.settings import read_settings


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Check this machine without a change. Exit code 1 if something is missing."""
    with readable_errors():
        settings = read_settings(os.environ)
        findings = diagnose(settings.data_dir, port=settings.port)
        show(findings, as_json=as_json, text=_text)
        if not all(finding.ok for finding in findings):
            raise typer.Exit(1)


def _text(findings: list[Finding]) -> str:
    lines: list[str] = []
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING"
        lines.append(f"{mark}  {finding.name:<14} {finding.detail}")
        lines += [f"             {line}" for line in finding.remedy.splitlines()]
    return "\n".join(lines)
