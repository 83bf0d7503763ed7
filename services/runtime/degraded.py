"""Helpers of `exchange run` that are down: a file that its supervisor writes and the gateway reads.

Orders are served without them, so they are reported beside the readiness checks, not as one.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from services.runtime.health import Degraded

FILE_NAME = "degraded.json"


def write_degraded(data_dir: Path, helpers: Sequence[Degraded]) -> None:
    """Replace the file atomically; without helpers remove it. Raises OSError."""
    file = data_dir / FILE_NAME
    if not helpers:
        file.unlink(missing_ok=True)
        return
    fresh = file.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(helpers))
    fresh.replace(file)


def read_degraded(data_dir: Path) -> list[Degraded]:
    """The helpers in the file; none if it does not exist or is unreadable."""
    try:
        return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=list[Degraded])
    except (OSError, msgspec.MsgspecError):
        return []
