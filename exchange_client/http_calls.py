"""Carries out calls by HTTP, with retries."""

import asyncio
import json
from typing import Any, Final

from aiohttp import ClientConnectorError, ClientSession, ClientTimeout
from aiohttp import ClientError as HttpError

from exchange_client.attempts import Attempts
from exchange_client.calls import Call

_ERROR: Final = 400
# A longer wait that a server asks for ends the call, as its deadline does.
_RETRY_AFTER_S_MAX: Final = 3_600.0


class HttpCalls:
    """Calls to one exchange with one key."""

    def __init__(self, url: str, key: str | None, http: ClientSession, deadline_s: float) -> None:
        self._url = url.rstrip("/")
        self._http = http
        self._deadline_s = deadline_s
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def run(self, call: Call) -> Any:
        """The JSON answer of a call. Raises ClientError."""
        now = asyncio.get_running_loop().time
        attempts = Attempts(call, now() + self._deadline_s)
        while True:
            try:
                status, body, retry_after_s = await self._attempt(
                    call, attempts.time_limit_s(now())
                )
            except ClientConnectorError as error:
                wait_s = attempts.failed(str(error), now(), sent=False)
            except (HttpError, OSError, TimeoutError) as error:
                reason = f"{type(error).__name__}: {error}"
                wait_s = attempts.failed(reason, now(), sent=True)
            else:
                problem = _problem(body) if status >= _ERROR else {}
                again_s = attempts.answered(status, problem, now(), retry_after_s)
                if again_s is None:
                    return json.loads(body) if body else {}
                wait_s = again_s
            await asyncio.sleep(wait_s)

    async def _attempt(self, call: Call, limit_s: float) -> tuple[int, bytes, float]:
        headers = self._headers | ({"Prefer": call.prefer} if call.prefer else {})
        async with self._http.request(
            call.method,
            self._url + call.path,
            params=call.query,
            json=call.body,
            headers=headers,
            timeout=ClientTimeout(total=limit_s),
            allow_redirects=False,
        ) as response:
            body = await response.read()
            return response.status, body, _seconds(response.headers.get("Retry-After", ""))


def _problem(body: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    # A proxy's page is not the exchange's word.
    return problem if isinstance(problem, dict) else {"detail": body[:200].decode(errors="replace")}


def _seconds(text: str) -> float:
    return min(float(text), _RETRY_AFTER_S_MAX) if text.isdecimal() else 0.0
