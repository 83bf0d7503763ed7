"""infra/compose.yaml as a test reads it: parsed, and with its variables put in."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from infra.compose import COMPOSE_FILE

# ${NAME}, ${NAME:-what else} or ${NAME:?why it is needed}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
OUR_IMAGE = "exchange:local"
KEYS = {"EXCHANGE_ADMIN_KEY": "0123456789abcdef", "POSTGRES_PASSWORD": "it's/secret"}


def services(environ: Mapping[str, str] = KEYS) -> dict[str, dict[str, Any]]:
    """Every service. Raises KeyError, with the file's words, for a variable that is needed."""
    parsed = msgspec.yaml.decode(COMPOSE_FILE.read_bytes(), type=dict[str, Any])
    found: dict[str, dict[str, Any]] = _put_in(parsed["services"], environ)
    return found


def uninterpolated() -> dict[str, dict[str, Any]]:
    """Every service as it is written."""
    parsed = msgspec.yaml.decode(COMPOSE_FILE.read_bytes(), type=dict[str, Any])
    found: dict[str, dict[str, Any]] = parsed["services"]
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Its variables as its program sees them."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def _put_in(node: object, environ: Mapping[str, str]) -> Any:
    def value(match: re.Match[str]) -> str:
        name, kind, words = match.groups()
        if environ.get(name):
            return environ[name]
        if kind == "?":
            raise KeyError(f"{name}: {words}")
        return words or ""

    match node:
        case dict():
            return {key: _put_in(each, environ) for key, each in node.items()}
        case list():
            return [_put_in(each, environ) for each in node]
        case str():
            return _VARIABLE.sub(value, node)
        case _:
            return node
