"""What the engine runs, asked with its own command line."""

import subprocess


def docker(*arguments: str) -> str:
    """What it printed, on either stream."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def of_testcontainers() -> set[str]:
    """Every container and network that the library has made and not removed."""
    label = ("--quiet", "--no-trunc", "--filter", "label=org.testcontainers")
    return {
        *docker("container", "ls", "--all", *label).split(),
        *docker("network", "ls", *label).split(),
    }
