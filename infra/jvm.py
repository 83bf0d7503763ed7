"""Command line of the broker's JVM: profiles and their flags."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Profile = Literal["short", "sustained"]

LOG4J = Path(__file__).with_name("kafka") / "log4j2.properties"

# A cold broker costs 1,500 us of CPU an order under the full compiler and 900 us under C1, a warm
# one 105-150 us against 185: C1 for tests and short runs, C2 for sustained load.
FLAGS: dict[Profile, tuple[str, ...]] = {
    "short": ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "sustained": ("-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
}


@dataclass(frozen=True)
class Jvm:
    """A Java, the broker's jars, and the flags to run them with."""

    java: Path
    libs: Path
    flags: tuple[str, ...]

    def with_flags(self, *flags: str) -> "Jvm":
        return replace(self, flags=self.flags + flags)

    def command(self, main_class: str, arguments: Sequence[str]) -> list[str]:
        # Sorted, not `libs/*`: a class-data archive is only valid for the class path in the order
        # it was made with, and a wildcard takes the order of the folder.
        class_path = ":".join(str(jar) for jar in sorted(self.libs.glob("*.jar")))
        logging = ("-Dlog4j2.disable.jmx=true", f"-Dlog4j2.configurationFile={LOG4J.as_uri()}")
        return [
            str(self.java),
            *self.flags,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            *logging,
            "-cp",
            class_path,
            main_class,
            *arguments,
        ]
