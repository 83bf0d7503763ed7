"""Snapshots made by hand: a commit whose checksum is right, whatever it says."""

from collections.abc import Iterable

from msgspec import structs

from schemas.snapshots import SnapshotCommit
from services.matcher.snapshot import SnapshotChecksum


def sealed(commit: SnapshotCommit, chunks: Iterable[bytes]) -> SnapshotCommit:
    """The commit with the checksum of itself and of these chunks."""
    seal = SnapshotChecksum()
    for chunk in chunks:
        seal.add(chunk)
    return structs.replace(commit, sha256=seal.checksum(commit))
