"""Services of infra/compose.yaml, parsed, with and without its variables substituted."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from infra.compose import COMPOSE_FILE

# ${NAME}, ${NAME:-default} or ${NAME:?error message}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
OUR_IMAGE = "exchange:local"
KEYS = {"EXCHANGE_ADMIN_KEY": "0123456789abcdef", "POSTGRES_PASSWORD": "it's/secret"}


def services(environ: Mapping[str, str] = KEYS) -> dict[str, dict[str, Any]]:
    """Every service, with variables substituted.

    Raises KeyError with the file's message for a required variable that is missing.
    """
    parsed = msgspec.yaml.decode(COMPOSE_FILE.read_bytes(), type=dict[str, Any])
    found: dict[str, dict[str, Any]] = _substituted(parsed["services"], environ)
    return found


def uninterpolated() -> dict[str, dict[str, Any]]:
    """Every service, with variables as they are written."""
    parsed = msgspec.yaml.decode(COMPOSE_FILE.read_bytes(), type=dict[str, Any])
    found: dict[str, dict[str, Any]] = parsed["services"]
    return found


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables of a service."""
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def _substituted(node: object, environ: Mapping[str, str]) -> Any:
    def value(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if environ.get(name):
            return environ[name]
        if kind == "?":
            raise KeyError(f"{name}: {text}")
        return text or ""

    match node:
        case dict():
            return {key: _substituted(each, environ) for key, each in node.items()}
        case list():
            return [_substituted(each, environ) for each in node]
        case str():
            return _VARIABLE.sub(value, node)
        case _:
            return node
