"""The book of a symbol, rebuilt from its public records as by a reader of the topic."""

from msgspec import Struct

from schemas.book import BookUpdate, Level
from schemas.instruments import Phase
from schemas.units import Side

SIDES: tuple[Side, Side] = ("bid", "ask")


class PublicBook(Struct):
    """A symbol's order book as a reader of the public topic rebuilds it."""

    sequence: int
    levels: dict[Side, dict[int, Level]]
    phase: Phase = "continuous"

    def apply(self, update: BookUpdate) -> None:
        assert update.sequence == self.sequence + 1, "the book's sequence has a gap or a repeat"
        self.sequence = update.sequence
        if update.whole:
            self.levels = {side: {} for side in SIDES}
            assert (update.phase or "continuous") in (self.phase, update.phase), "wrong phase"
        self.phase = update.phase or self.phase
        for side, changed in zip(SIDES, (update.bids, update.asks), strict=True):
            assert list(changed) == _best_first(side, list(changed)), "levels are not best first"
            assert len({level.price for level in changed}) == len(changed), "a level occurs twice"
            for level in changed:
                self.levels[side][level.price] = level
                if level.total_quantity == 0:
                    assert not update.whole, "a whole book contains a removed level"
                    assert level.order_count == 0, "a level without shares has orders"
                    del self.levels[side][level.price]

    def side(self, side: Side) -> list[Level]:
        return _best_first(side, list(self.levels[side].values()))


def _best_first(side: Side, levels: list[Level]) -> list[Level]:
    return sorted(levels, key=lambda level: level.price, reverse=side == "bid")
