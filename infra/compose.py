"""The containers of compose.yaml, through the Docker Compose that this machine has.

The engine reports their state, selected by the project's label: the output of Compose itself
differs from version to version.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ServerFailedError, ToolMissingError

COMPOSE_FILE = Path(__file__).with_name("compose.yaml")
# All profiles, so that services that any of them started are ended too.
EVERY_PROFILE = "apart,monitoring"
HOW_TO_INSTALL = "install Docker with Compose; on Debian: apt-get install docker.io docker-compose"
# A first start also initialises the servers; a matcher without snapshots replays its whole log.
READY_TIMEOUT_S = 300.0
# One that was restarted so often by its policy will not come up by itself.
RESTARTS_MAX = 3
TAIL_LINES = 15
_POLL_S = 1.0


@dataclass(frozen=True)
class Container:
    """State of one container, from the engine. `health` is empty without a health check."""

    container_id: str
    service: str
    status: str
    exit_code: int
    health: str
    restarts: int

    @property
    def failed(self) -> bool:
        """True when waiting longer cannot help: it ended with an error, or restarts repeatedly."""
        ended = self.status in ("exited", "dead") and self.exit_code != 0
        return ended or self.restarts >= RESTARTS_MAX

    @property
    def done(self) -> bool:
        """True when it is running and healthy, or has ended with success."""
        if self.status == "exited":
            return self.exit_code == 0
        return self.status == "running" and self.health in ("", "healthy")

    def __str__(self) -> str:
        if self.status == "exited":
            return f"{self.service}: ended with exit code {self.exit_code}"
        if self.restarts:
            return f"{self.service}: {self.status}, started again {self.restarts} times"
        return f"{self.service}: {self.health or self.status}"


def containers_of(inspected: str) -> list[Container]:
    """From what `docker inspect` prints, by service."""
    found = [
        Container(
            container_id=each["Id"],
            service=each["Config"]["Labels"]["com.docker.compose.service"],
            status=each["State"]["Status"],
            exit_code=each["State"]["ExitCode"],
            health=(each["State"].get("Health") or {}).get("Status", ""),
            restarts=each.get("RestartCount", 0),
        )
        for each in json.loads(inspected)
    ]
    return sorted(found, key=lambda container: container.service)


def find_compose(search_path: str | None = None) -> list[str]:
    """The command of Docker Compose on this machine: the plug-in, else the standalone program.

    Raises ToolMissingError.
    """
    docker = shutil.which("docker", path=search_path)
    if docker is None:
        raise ToolMissingError(f"there is no docker command: {HOW_TO_INSTALL}")
    if _run([docker, "compose", "version"]).returncode == 0:
        return [docker, "compose"]
    alone = shutil.which("docker-compose", path=search_path)
    if alone is None:
        raise ToolMissingError(f"there is no Docker Compose: {HOW_TO_INSTALL}")
    return [alone]


class ComposeProject:
    """One stack under its own name. `environ` is the whole environment; Compose interpolates it.

    Raises ToolMissingError, and ServerFailedError when no engine answers.
    """

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self._environ = dict(environ)
        self._compose = find_compose(environ.get("PATH"))
        asked = self._docker("version", "--format", "{{.Server.Version}}")
        if asked.returncode != 0:
            raise ServerFailedError(
                "no Docker engine answers; start it (dockerd), or see whether you may use it: "
                + asked.stderr.strip()
            )

    def build(self) -> None:
        """The services' image, from this checkout. Raises ServerFailedError."""
        self._call(self._environ, "build", "topics")

    def up(self, tell: Callable[[str], None], timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start all and return when each is ready.

        Raises ServerFailedError with the last lines of those that are not.
        """
        try:
            self._call(self._environ, "up", "--detach", "--no-build")
        except ServerFailedError as error:
            raise ServerFailedError(f"{error}{self._words_of_failed()}") from error
        self._wait(tell, timeout_s)

    def down(self, *, volumes: bool) -> None:
        """End all, in order; the data stays, or goes with `volumes`. Raises ServerFailedError."""
        words = ["down", "--remove-orphans", *(["--volumes"] if volumes else [])]
        self._call(self._environ | {"COMPOSE_PROFILES": EVERY_PROFILE}, *words)

    def containers(self) -> list[Container]:
        """All of the project, also those that have ended. Raises ServerFailedError."""
        listed = self._asked(
            "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}"
        )
        ids = listed.split()
        return containers_of(self._asked("inspect", *ids)) if ids else []

    def _wait(self, tell: Callable[[str], None], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        printed = ""
        while waiting := [one for one in self.containers() if not one.done]:
            if any(one.failed for one in waiting):
                raise ServerFailedError(f"it does not start{self._words_of_failed()}")
            if time.monotonic() >= deadline:
                words = "".join(map(self._words_of, waiting))
                raise ServerFailedError(f"not ready after {timeout_s:.0f} s{words}")
            if (now := ", ".join(map(str, waiting))) != printed:
                tell(f"waiting for {now}")
                printed = now
            time.sleep(_POLL_S)

    def _words_of_failed(self) -> str:
        return "".join(self._words_of(one) for one in self.containers() if one.failed)

    def _words_of(self, container: Container) -> str:
        said = self._docker("logs", "--tail", str(TAIL_LINES), container.container_id)
        lines = (said.stdout + said.stderr).rstrip().replace("\n", "\n    ")
        return f"\n\n{container}; its last lines:\n    {lines}"

    def _asked(self, *words: str) -> str:
        answer = self._docker(*words)
        if answer.returncode != 0:
            raise ServerFailedError(f"docker {words[0]} failed: {answer.stderr.strip()}")
        return answer.stdout

    def _docker(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return _run(["docker", *words], self._environ)

    def _call(self, environ: Mapping[str, str], *words: str) -> None:
        # Compose writes its progress to the terminal, so its output is not captured.
        command = [*self._compose, "--project-name", self.name, "--file", str(COMPOSE_FILE)]
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            [*command, *words], env=environ, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise ServerFailedError(f"docker compose {words[0]} ended with {done.returncode}")


def _run(
    command: Sequence[str], environ: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own words, no shell
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
