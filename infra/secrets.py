"""Secrets in files that only their owner may read: created once, then reused."""

import os
import secrets
from pathlib import Path

from infra.errors import ServerFailedError

_PRIVATE = 0o600


def read_or_create_secret(path: Path) -> str:
    """The secret in this file, URL-safe text; creates file and secret if there is none.

    Raises ServerFailedError when the file is empty.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        kept = path.read_text(encoding="utf-8").strip()
        if not kept:
            raise ServerFailedError(f"{path} is empty: delete it to get a new secret") from None
        return kept
    made = secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(made + "\n")
    return made


def write_private(path: Path, text: str) -> None:
    """Replace the file by one that only its owner may read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
