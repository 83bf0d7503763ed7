"""Secrets in files that only their owner may read: created once, then reused."""

import os
import secrets
import stat
from pathlib import Path

from infra.errors import ServerFailedError

_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700


def make_private_folder(folder: Path) -> None:
    """Create the folder for its owner only; take rights of others on an existing one away.

    Raises ServerFailedError for a folder that is shared or belongs to another user.
    """
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode == _PRIVATE_FOLDER:
        return
    # /tmp and its like: closing it to the others would break their programs.
    if mode & stat.S_ISVTX:
        raise ServerFailedError(f"{folder} is shared with other users: choose a folder below it")
    try:
        folder.chmod(_PRIVATE_FOLDER)
    except PermissionError:
        raise ServerFailedError(
            f"{folder} belongs to another user: choose another data directory"
        ) from None


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
