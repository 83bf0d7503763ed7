"""The event ids at which looks for due webhooks begin. Pure.

Delivered rows leave dead index entries, which a long snapshot (an audit, a backup) keeps. A look
that begins at a receiver's first due webhook skips them; only a full look reads them, and
finds replayed and late webhooks. No webhook is sent meanwhile, so full looks take turns.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

# Pause between two full looks: at least so long, and so many durations of the last one.
FULL_LOOK_S: Final = 0.5
FULL_LOOK_PAUSES: Final = 5.0
# A full look that takes so much longer than the others was of too many receivers.
EXTRA_S_MAX: Final = 0.1
# Receivers of the first full look.
PORTION: Final = 256


class Floors:
    """By broker, the id of the first webhook that was due: no earlier one was."""

    def __init__(self) -> None:
        # The broker whose full look is longest ago comes first.
        self._ids: dict[str, str] = {}
        self._portion = PORTION
        self._is_full = False
        self._full_at_s = 0.0
        self._begun_s = 0.0
        self._usual_s = 0.0

    def begin(self, now_s: float) -> Mapping[str, str]:
        """The floors of a look that begins; a broker without one is looked at in full."""
        self._begun_s = now_s
        self._is_full = now_s >= self._full_at_s
        return dict(islice(self._ids.items(), self._portion if self._is_full else 0, None))

    def end(self, now_s: float, first_due: Iterable[tuple[str, str]]) -> None:
        """The look has ended, or was cancelled. `first_due`: broker and id of found webhooks."""
        took_s = now_s - self._begun_s
        if self._is_full:
            # Also after a cancelled one: webhooks beyond its end must not delay the others.
            self._full_at_s = now_s + max(FULL_LOOK_S, FULL_LOOK_PAUSES * took_s)
            self._turn(took_s - self._usual_s)
        else:
            self._usual_s = took_s
        self._ids.update(first_due)

    def _turn(self, extra_s: float) -> None:
        looked_at = list(islice(self._ids, self._portion))
        for broker_id in looked_at:
            self._ids[broker_id] = self._ids.pop(broker_id)
        if extra_s > EXTRA_S_MAX:
            self._portion = max(1, int(len(looked_at) * EXTRA_S_MAX / extra_s))
        elif extra_s < EXTRA_S_MAX / 2 and len(looked_at) == self._portion:
            self._portion *= 2
