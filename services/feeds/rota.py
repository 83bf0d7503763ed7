"""Members that take turns, so that what each needs once per interval is spread over it. Pure."""

from typing import Final, Generic, TypeVar

# Turns of an interval.
TURNS: Final = 50

Member = TypeVar("Member")


class Rota(Generic[Member]):
    """Members with a turn each in every interval; every turn has about as many of them."""

    def __init__(self, interval_s: float) -> None:
        self._turn_s = interval_s / TURNS
        self._turns: list[dict[Member, None]] = [{} for _ in range(TURNS)]
        # Number of the newest turn that was taken; the first call of `due` takes all.
        self._taken = -TURNS

    def add(self, member: Member) -> None:
        """Give a member the turn with the fewest others."""
        min(self._turns, key=len)[member] = None

    def remove(self, member: Member) -> None:
        """End the turns of a member; an unknown one is no error."""
        for turn in self._turns:
            turn.pop(member, None)

    def due(self, now_s: float) -> list[Member]:
        """The members whose turn came since the last call, each once however late the call is."""
        newest = int(now_s / self._turn_s)
        numbers = range(max(self._taken, newest - TURNS) + 1, newest + 1)
        self._taken = newest
        return [member for number in numbers for member in self._turns[number % TURNS]]
