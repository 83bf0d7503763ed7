"""Plans listings from a file of shares, the present listings and the traded symbols. Pure.

A symbol's books stay on one partition permanently: a symbol with commands is never moved.
"""

from collections.abc import Mapping

from schemas.listings import Listing
from schemas.partitions import spread
from services.runtime.errors import RefusedError


def listings_for(
    shares_ppm: Mapping[str, int], listed: Mapping[str, Listing], partitions: int
) -> list[Listing]:
    """New and changed listings, by symbol. Listed symbols keep their partition and its load.

    Unchanged listings are left out.
    """
    fixed = {symbol: listing.partition for symbol, listing in listed.items()}
    fresh = {symbol: share for symbol, share in shares_ppm.items() if symbol not in fixed}
    load_ppm = [0] * partitions
    for listing in listed.values():
        load_ppm[listing.partition] += listing.share_ppm
    placed = fixed | spread(fresh, partitions, load_ppm)
    wanted = [Listing(symbol, placed[symbol], share) for symbol, share in shares_ppm.items()]
    return sorted(
        (listing for listing in wanted if listed.get(listing.symbol) != listing),
        key=lambda listing: listing.symbol,
    )


def refuse_moves(
    wanted: list[Listing], traded: Mapping[str, frozenset[int]], listed: Mapping[str, Listing]
) -> None:
    """Raises RefusedError if a symbol has commands on another partition than it would get."""
    moved = [
        f"{listing.symbol} (has commands on partition {sorted(elsewhere)[0]})"
        for listing in wanted
        if listing.symbol not in listed
        and (elsewhere := traded.get(listing.symbol, frozenset()) - {listing.partition})
    ]
    if moved:
        raise RefusedError(f"these symbols cannot change their partition: {', '.join(moved)}")
