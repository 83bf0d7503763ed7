"""Figures of benchmarks as text. Pure."""

_NS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns"))
# From here on fractions are left out.
_LARGE = 1_000.0


def value_text(value: float, unit: str) -> str:
    """A value with its unit; times use the unit that leaves few digits."""
    name, _, per = unit.partition("/")
    if name == "ns":
        size, name = next(((s, n) for s, n in _NS if abs(value) >= s), _NS[-1])
        value, unit = value / size, f"{name}/{per}" if per else name
    return f"{value:,.0f} {unit}" if abs(value) >= _LARGE else f"{value:.4g} {unit}"
