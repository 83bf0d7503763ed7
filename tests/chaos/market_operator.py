"""An operator who sets instruments and halts, closes and reopens symbols through all faults."""

import itertools
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, Final

from msgspec import to_builtins

from conformance.api import Api
from loadgen.client.record import NO_ANSWER, RequestResult
from schemas.instruments import InstrumentRules, Phase
from tests.chaos.clients import ANSWER_TIMEOUT_S, BACKOFF_S, RETRIED
from tests.chaos.controls import MarketChange

# All orders of the load keep to these, but a trade may be outside the band. None is the default,
# which every symbol has before.
_RULES: Final = (
    InstrumentRules(lot_size=100),
    InstrumentRules(band_ppm=20_000),
    InstrumentRules(price_max=1_000_000),
)
_PHASES: Final[tuple[Phase, ...]] = ("halted", "closed")
# How long a market is not continuous, and from its reopening to the next change.
_HELD_S: Final = (0.3, 1.0)
_PAUSE_S: Final = 0.5
_ATTEMPTS_MAX: Final = 6
# Attempts to reopen a market at the end, when no fault is left.
_LAST_ATTEMPTS_MAX: Final = 60
_END_S: Final = 2 * _LAST_ATTEMPTS_MAX * (ANSWER_TIMEOUT_S + BACKOFF_S)


class MarketOperator:
    """`changes` grow during `operating()`; `findings`: markets that did not reopen at its end."""

    def __init__(self, url: str, admin_key: str, symbols: Sequence[str], seed: int) -> None:
        self.changes: list[MarketChange] = []
        self.findings: list[str] = []
        self._api = Api(url, admin_key, ANSWER_TIMEOUT_S)
        self._symbols = symbols
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._operate, name="market-operator")

    @contextmanager
    def operating(self) -> Iterator[None]:
        """A context in which markets are changed; at its end every one is made continuous."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(_END_S)
        assert not self._thread.is_alive(), "the operator hangs"

    def _operate(self) -> None:
        for number in itertools.count():
            if self._stopping.is_set():
                break
            symbol = self._random.choice(self._symbols)
            self._change(symbol, _RULES[number % len(_RULES)])
            self._change(symbol, _PHASES[number % len(_PHASES)])
            self._stopping.wait(self._random.uniform(*_HELD_S))
            self._change(symbol, "continuous")
            self._stopping.wait(_PAUSE_S)
        # A repeated record of a foreign writer may have changed any of them.
        for symbol in self._symbols:
            if not self._change(symbol, "continuous", _LAST_ATTEMPTS_MAX):
                self.findings.append(f"the market of {symbol} does not reopen")

    def _change(
        self, symbol: str, wanted: Phase | InstrumentRules, attempts_max: int = _ATTEMPTS_MAX
    ) -> bool:
        """Try until it is answered; True if it was granted."""
        for _ in range(attempts_max):
            answer = self._ask(symbol, wanted)
            self.changes.append(MarketChange(symbol, wanted, answer))
            if answer.status not in RETRIED:
                return answer.status in (200, 202)
            time.sleep(BACKOFF_S)
        return False

    def _ask(self, symbol: str, wanted: Phase | InstrumentRules) -> RequestResult:
        path = f"/admin/stocks/{symbol}"
        try:
            if isinstance(wanted, InstrumentRules):
                answer = self._api.call("PUT", path, to_builtins(wanted))
            else:
                answer = self._api.call("POST", f"{path}/phase", {"phase": wanted})
        except (OSError, HTTPException) as error:
            return RequestResult(NO_ANSWER, type(error).__name__)
        body: Mapping[str, Any] = answer.body or {}
        return RequestResult(answer.status, body.get("code", ""))
