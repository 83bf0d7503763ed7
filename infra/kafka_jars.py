"""Finds Maven, and has it fetch the broker's jars once per machine and version."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.errors import JarsUnavailableError, ServerFailedError, ToolMissingError
from infra.java import Java, find_java
from infra.process import run_tool

POM = Path(__file__).with_name("kafka") / "pom.xml"
# The authorities that this machine trusts, in Java's form: Debian's and Fedora's.
TRUST_STORES = (Path("/etc/ssl/certs/java/cacerts"), Path("/etc/pki/java/cacerts"))
HOW_TO_INSTALL = "Install it with: apt-get install maven"


def default_cache_dir() -> Path:
    """Shared by every data directory of one clone; by every program of one user if installed."""
    project = Path(__file__).resolve().parent.parent
    if (project / "pyproject.toml").exists():
        return project / ".local" / "cache"
    return Path.home() / ".cache" / "exchange"


def find_maven(search_path: str | None = None) -> Path:
    """Needed once: to fetch the jars."""
    found = shutil.which("mvn", path=search_path)
    if found is None:
        raise ToolMissingError(f"Maven (mvn) is missing. {HOW_TO_INSTALL}")
    return Path(found)


def release_dir(cache_dir: Path) -> Path:
    """The cache folder of this pom's jars; another pom has another folder."""
    text = POM.read_text()
    version = re.search(r"<kafka.version>(.+?)<", text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return cache_dir / f"kafka-{version[1] if version else 'unknown'}-{digest}"


def jars_present(cache_dir: Path) -> bool:
    return (release_dir(cache_dir) / "libs").is_dir()


def fetch_jars(cache_dir: Path, search_path: str | None = None) -> Path:
    """The folder of jars, fetched if it is not there yet. Safe to call from many processes."""
    libs = release_dir(cache_dir) / "libs"
    if libs.is_dir():
        return libs
    maven = find_maven(search_path)
    with cache_lock(cache_dir):
        # Another process may have brought them while this one waited for the lock.
        if not libs.is_dir():
            _copy_dependencies(maven, libs)
    return libs


@contextlib.contextmanager
def cache_lock(cache_dir: Path) -> Iterator[None]:
    """One builder at a time in the cache; the kernel frees the lock of a builder that died."""
    release = release_dir(cache_dir)
    release.mkdir(parents=True, exist_ok=True)
    with (release / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _copy_dependencies(maven: Path, libs: Path) -> None:
    """Copy into a temporary folder first, so that a folder of the final name is complete."""
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="building-") as building:
        target = Path(building) / "libs"
        try:
            run_tool(
                [
                    str(maven),
                    "--batch-mode",
                    "--quiet",
                    f"--file={POM}",
                    "dependency:copy-dependencies",
                    f"-DoutputDirectory={target}",
                    "-DincludeScope=runtime",
                ],
                env=_maven_environment(find_java()),
            )
        except ServerFailedError as error:
            raise JarsUnavailableError(
                f"Maven could not fetch the jars that {POM} names; is its repository reachable? "
                f"The next try continues where this one stopped.\n{error}"
            ) from error
        if not any(target.glob("kafka_*.jar")):
            raise JarsUnavailableError(f"Maven reported success but brought no broker: see {POM}")
        target.rename(libs)


def _maven_environment(java: Java) -> dict[str, str]:
    environment = {"JAVA_HOME": str(java.home)}
    store = next((store for store in TRUST_STORES if store.exists()), None)
    # The Java of the package has authorities of its own only: where a proxy of the machine's
    # network signs TLS anew, it would trust no repository.
    if java.packaged and store is not None:
        options = f"{os.environ.get('MAVEN_OPTS', '')} -Djavax.net.ssl.trustStore={store}"
        environment["MAVEN_OPTS"] = options.strip()
    return environment
