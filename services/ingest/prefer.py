"""The Prefer header (RFC 7240) of a request. Pure.

Unknown preferences are ignored, as the RFC requires; applied ones are named in the answer.
"""

from functools import lru_cache

from msgspec import Struct

from services.api.messages import Headers

WAIT_SECONDS_MAX = 10


class Preferences(Struct, frozen=True):
    """`wait_s` None: the exchange's own time. `representation`: the order instead of 204."""

    respond_async: bool = False
    wait_s: int | None = None
    representation: bool = False

    def wait_ms(self, default_ms: int) -> int:
        """Milliseconds to wait for the outcome; with both preferences the wait comes first."""
        if self.wait_s is not None:
            return self.wait_s * 1000
        return 0 if self.respond_async else default_ms


@lru_cache(maxsize=256)
def parse_prefer(header: str) -> Preferences:
    """The first of equal names counts; parameters after a semicolon are not ours."""
    seen: dict[str, str] = {}
    for item in header.split(","):
        name, _, value = item.split(";")[0].partition("=")
        seen.setdefault(name.strip().lower(), value.strip().strip('"'))
    return Preferences(
        respond_async=seen.get("respond-async") == "",
        wait_s=_seconds(seen.get("wait", "")),
        representation=seen.get("return", "").lower() == "representation",
    )


def _seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(WAIT_SECONDS_MAX))):
        return None
    return int(text) if int(text) <= WAIT_SECONDS_MAX else None


def applied(preferences: Preferences, *, pending: bool, represented: bool = False) -> Headers:
    """The Preference-Applied header, or none. `pending`: the answer is 202."""
    names = []
    if preferences.respond_async and pending:
        names.append("respond-async")
    if preferences.wait_s is not None:
        names.append(f"wait={preferences.wait_s}")
    if represented:
        names.append("return=representation")
    return (("Preference-Applied", ", ".join(names)),) if names else ()
