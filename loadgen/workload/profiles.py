"""Profiles of flows: by name, or from a file with the differences from B3's. Pure."""

from typing import Final

import msgspec
from msgspec import structs

from loadgen.workload.arrivals import Bursts
from loadgen.workload.orderflow import Profile

# Counted at B3, at 100 per cent. Brokers react to the same news, hence the bursts.
B3: Final = Profile(
    brokers=100,
    symbols=450,
    orders_per_s=700,
    duration_s=60,
    reads_per_53_orders=28,
    bursts=Bursts(every_ms=2_000, length_ms=200, rate_percent=200),
    book_orders_per_symbol=4,
)
NAMED: Final[dict[str, Profile]] = {
    "b3": B3,
    "steady": structs.replace(B3, bursts=None),
    "burst": structs.replace(B3, bursts=Bursts(every_ms=5_000, length_ms=500, rate_percent=500)),
    "ramp": structs.replace(B3, bursts=None, ramp_from_percent=0),
    "conditions": structs.replace(
        B3,
        ioc_percent=20,
        fok_percent=5,
        stop_percent=5,
        iceberg_percent=5,
        day_percent=5,
        replace_percent=10,
    ),
}


class ProfileError(ValueError):
    """There is no such profile, or the file describes none."""


def profile_from(raw: bytes) -> Profile:
    """Read a JSON object of the fields that differ from B3's. Raises ProfileError."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, object])
        return msgspec.convert(msgspec.to_builtins(B3) | given, Profile)
    except msgspec.MsgspecError as error:
        raise ProfileError(str(error)) from error


def needs_instruments(profile: Profile) -> bool:
    """True if some of its orders are taken for symbols with an instrument only."""
    return profile.stop_percent > 0 or profile.day_percent > 0


def scaled(profile: Profile, scale_percent: float, duration_s: int | None) -> Profile:
    """The profile at this percentage of its rate, for its own duration or the given one."""
    return structs.replace(
        profile,
        orders_per_s=profile.orders_per_s * scale_percent / 100,
        duration_s=profile.duration_s if duration_s is None else duration_s,
    )
