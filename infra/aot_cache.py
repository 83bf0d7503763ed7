"""Ahead-of-time (AOT) cache of the broker's JVM: loaded classes and profiles of its methods.

A cold broker loads 7,000 classes and interprets methods until it has counted their calls. With the
cache of a training run it starts in half the time, and compiles hot methods at their first call.
A cache fits one build of Java and one set of jars: the name of its file is a digest of both.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from infra.jvm import FLAGS, Jvm, Profile

# The first with `-XX:AOTCache` and profiles in it.
JAVA_MAJOR_MIN = 25
# Flags of the training run. A cache of the full compiler's profiles fits every profile's flags.
TRAINED: Profile = "sustained"
# Removed too: the class archives that versions before this cache made.
_SUFFIXES = (".aot", ".jsa")


def cache_file(jvm: Jvm) -> Path | None:
    """The file of the cache for this Java and these jars; None for a Java that has no such cache.

    It is in the folder that contains `libs`.
    """
    if jvm.java.major < JAVA_MAJOR_MIN:
        return None
    key = hashlib.sha256(f"{jvm.java.program.resolve()}\n{jvm.java.build}".encode())
    key.update("\n".join(FLAGS[TRAINED]).encode())
    for jar in jvm.jars():
        found = jar.stat()
        # The JVM refuses a cache if a jar has another time or size.
        key.update(f"\n{jar} {found.st_size} {found.st_mtime_ns}".encode())
    return jvm.libs.parent / f"broker-{key.hexdigest()[:16]}.aot"


def fault(file: Path) -> str | None:
    """Reason not to use an existing cache, or None. The JVM itself checks the contents."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    # The broker executes its content.
    if found.st_uid not in (0, os.geteuid()):
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users"
    if not os.access(file, os.R_OK):
        return "is not readable"
    return None


def with_cache(jvm: Jvm, file: Path) -> Jvm:
    """The JVM with the cache. It runs without one that is damaged or does not fit."""
    return jvm.with_flags(
        f"-XX:AOTCache={file}",
        # Verify the checksum.
        "-XX:+VerifySharedSpaces",
        # Java 25 finds some of the adapters between compiled and interpreted code under a wrong
        # name, and reports each.
        "-XX:+UnlockDiagnosticVMOptions",
        "-XX:-AOTAdapterCaching",
    )


def in_use(file: Path, pid: int) -> bool:
    """True if the process has mapped the file: a JVM that refused it has not."""
    return str(file.resolve()) in Path(f"/proc/{pid}/maps").read_text()


def remove_others(cache_dir: Path, file: Path) -> None:
    """Remove the caches of other versions. A running broker keeps the one that it has mapped."""
    for other in _caches(cache_dir):
        if other != file:
            other.unlink(missing_ok=True)


def room_mib(folder: Path) -> int:
    """Free space of the folder's file system."""
    return shutil.disk_usage(folder).free // 2**20


def _caches(cache_dir: Path) -> Iterator[Path]:
    for suffix in _SUFFIXES:
        yield from cache_dir.glob(f"kafka-*/*{suffix}")
