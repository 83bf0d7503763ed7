"""Reads the readiness of a service over HTTP, once or until it is ready, never through a proxy."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection

POLL_S = 0.05
# A live service answers within milliseconds; a stuck one must not delay the next request long.
PROBE_TIMEOUT_S = 2.0
_OK = frozenset({200})
# A proxy of the environment is for other machines. Every HTTP call to a service goes through this.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def not_ready(url: str, statuses: Collection[int] = _OK) -> str | None:
    """None if `/readyz` below `url` answers with one of `statuses`; else the reason."""
    try:
        with DIRECT.open(f"{url}/readyz", timeout=PROBE_TIMEOUT_S) as answer:
            status, reason = answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            status, reason = error.code, error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return None if status in statuses else f"{status} {reason}"


def wait_ready(
    url: str,
    timeout_s: float,
    *,
    ended: Callable[[], bool] = lambda: False,
    statuses: Collection[int] = _OK,
) -> str | None:
    """Wait until the service is ready: None. After the time limit, or once `ended`: the reason."""
    deadline = time.monotonic() + timeout_s
    while (reason := not_ready(url, statuses)) is not None:
        if ended() or time.monotonic() >= deadline:
            return reason
        time.sleep(POLL_S)
    return None
