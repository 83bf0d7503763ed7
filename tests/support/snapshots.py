"""Snapshots for tests: commits with any content and a correct checksum."""

from collections.abc import Iterable

from msgspec import structs

from schemas.snapshots import SnapshotCommit
from services.matcher.snapshot import SnapshotChecksum


def with_checksum(commit: SnapshotCommit, chunks: Iterable[bytes]) -> SnapshotCommit:
    """Copy of the commit with the checksum of itself and of these chunks."""
    checksum = SnapshotChecksum()
    for chunk in chunks:
        checksum.add(chunk)
    return structs.replace(commit, sha256=checksum.checksum(commit))
