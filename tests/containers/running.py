"""Access to the container engine through its own command line."""

import subprocess


def docker(*arguments: str) -> str:
    """Run `docker`; return its output on both streams. Raises CalledProcessError."""
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
    """Ids of the containers and networks that testcontainers created and has not removed."""
    label = ("--quiet", "--no-trunc", "--filter", "label=org.testcontainers")
    return {
        *docker("container", "ls", "--all", *label).split(),
        *docker("network", "ls", *label).split(),
    }
