"""Waits until a container is ready; its errors quote the container's last log lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import docker.errors  # type: ignore[import-untyped]  # ships no annotations
from testcontainers.core.container import DockerContainer

from exchange_testing.errors import ContainersError, ImageMissingError, NotReadyError
from exchange_testing.images import HOW_TO_GET

TAIL_LINES = 20
_POLL_S = 0.1


def wait_until_ready(
    container: DockerContainer, name: str, ready: Callable[[], bool], timeout_s: float
) -> None:
    """Raises NotReadyError, at once when the container has ended."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        if wrapped.status in {"exited", "dead"}:
            code = wrapped.attrs["State"]["ExitCode"]
            raise NotReadyError(f"{name} ended with exit code {code}{last_words(container)}")
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"{name} was not ready after {timeout_s:.0f} s{last_words(container)}"
            )
        time.sleep(_POLL_S)


def last_words(container: DockerContainer) -> str:
    """For the end of a message."""
    if container._container is None:
        return ""
    text = container.get_wrapped_container().logs(tail=TAIL_LINES).decode(errors="replace")
    return f"; the last lines of {container.image}:\n{text}" if text else "; it has logged nothing"


@contextmanager
def explained(container: DockerContainer, name: str) -> Iterator[None]:
    """Add the image and the container's log to errors of the engine or the library."""
    try:
        yield
    except ContainersError:
        raise
    except (docker.errors.ImageNotFound, docker.errors.NotFound) as error:
        raise ImageMissingError(_missing(container, name, error)) from error
    except docker.errors.APIError as error:
        if container._container is None:
            raise ImageMissingError(_missing(container, name, error)) from error
        raise NotReadyError(f"{name} did not start: {error.explanation}") from error
    except (RuntimeError, TimeoutError) as error:
        raise NotReadyError(f"{name} did not come up: {error}{last_words(container)}") from error


def _missing(container: DockerContainer, name: str, error: Exception) -> str:
    return f"{name}'s image {container.image} cannot be had ({error}). {HOW_TO_GET}"
