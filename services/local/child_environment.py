"""Environment of a child service: ours without settings, plus the child's settings. Pure."""

from collections.abc import Mapping
from pathlib import Path

import services
from services.runtime.settings import PREFIX, Settings, variable

# On PYTHONPATH, so that a checkout that is not installed runs as well.
ROOT = Path(services.__file__).resolve().parents[1]


def environment(
    base: Mapping[str, str], settings: Settings, overrides: Mapping[str, str]
) -> dict[str, str]:
    """`settings` as EXCHANGE_... variables; `overrides` are whole variables and take precedence."""
    made = {name: text for name, text in base.items() if not name.startswith(PREFIX)}
    for field in Settings.__struct_fields__:
        value = getattr(settings, field)
        if value not in (None, ""):
            made[variable(field)] = str(value)
    inherited = base.get("PYTHONPATH")
    made["PYTHONPATH"] = f"{ROOT}:{inherited}" if inherited else str(ROOT)
    made["PYTHONUNBUFFERED"] = "1"
    # Paths are UTF-8, whatever the locale of the caller's shell is.
    made["PYTHONUTF8"] = "1"
    return made | dict(overrides)
