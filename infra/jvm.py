"""Command line of the broker's JVM: profiles and their flags."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from infra.java import Java

Profile = Literal["short", "sustained"]

LOG4J = Path(__file__).with_name("kafka") / "log4j2.properties"

# A cold broker costs 1,500 us of CPU an order under the full compiler and 900 us under C1, a warm
# one 105-150 us against 185: C1 for tests and short runs, C2 for sustained load.
FLAGS: dict[Profile, tuple[str, ...]] = {
    "short": ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "sustained": ("-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
}

# Kafka unmaps its index files by a method that newer versions of Java warn of.
_QUIET = ("--sun-misc-unsafe-memory-access=allow",)
_QUIET_MAJOR_MIN = 24


@dataclass(frozen=True)
class Jvm:
    """A Java, the broker's jars, and the flags to run them with."""

    java: Java
    libs: Path
    flags: tuple[str, ...]

    def with_flags(self, *flags: str) -> "Jvm":
        return replace(self, flags=self.flags + flags)

    def jars(self) -> list[Path]:
        """In a fixed order: an AOT cache fits only the class path that it was made with."""
        return sorted(self.libs.glob("*.jar"))

    def command(self, main_class: str, arguments: Sequence[str]) -> list[str]:
        logging = ("-Dlog4j2.disable.jmx=true", f"-Dlog4j2.configurationFile={LOG4J.as_uri()}")
        return [
            str(self.java.program),
            *self.flags,
            *_QUIET[: self.java.major >= _QUIET_MAJOR_MIN],
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            *logging,
            "-cp",
            ":".join(map(str, self.jars())),
            main_class,
            *arguments,
        ]
