"""Cancels, for an operator, the orders that sessions of a gateway left which does not come back."""

import http.client
import time
import urllib.error
import urllib.request

import msgspec

from schemas.rest import CancelSessionsRequest, CancelSessionsResult
from services.runtime.errors import RefusedError, SettingsError, UnavailableError
from services.runtime.readiness import DIRECT

_REPEAT_S = 0.1
_ANSWER_S = 10.0


def cancel_left(url: str, admin_key: str, gateway: str, wait_s: float) -> int:
    """Have the gateway at `url` cancel the orders until none is open; returns the cancels sent.

    Raises RefusedError, and UnavailableError if no gateway answers or some are open after `wait_s`.
    """
    sent = 0
    deadline = time.monotonic() + wait_s
    while True:
        result = _cancel(url, admin_key, gateway)
        sent += result.sent
        if not result.open:
            return sent
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f"{result.open} orders are still open; repeat the command when the matchers run"
            )
        time.sleep(_REPEAT_S)


def _cancel(url: str, admin_key: str, gateway: str) -> CancelSessionsResult:
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url} is not the URL of a gateway: write http://HOST:PORT")
    try:
        body = msgspec.json.encode(CancelSessionsRequest(gateway))
    except UnicodeEncodeError:
        raise SettingsError("the name must be UTF-8: use a UTF-8 terminal") from None
    request = urllib.request.Request(  # noqa: S310 - checked above
        f"{url}/admin/sessions/cancel",
        body,
        {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/json"},
    )
    try:
        with DIRECT.open(request, timeout=_ANSWER_S) as answer:
            return msgspec.json.decode(answer.read(), type=CancelSessionsResult)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise UnavailableError(f"{url} answered {error.code}: {text}") from error
        raise RefusedError(f"{url} answered {error.code}: {text}") from error
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{url} does not answer: {error}") from error
