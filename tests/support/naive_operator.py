"""Commands of operators in the naive model: quotas, instruments and phases."""

from msgspec import structs

from schemas.commands import EnterOrder, SetInstrument, SetPhase, SetQuotas
from schemas.executions import (
    CommandRefused,
    Event,
    InstrumentSet,
    PhaseSet,
    QuotasSet,
)
from schemas.instruments import Phase
from tests.support.naive_instrument import NaiveInstrument
from tests.support.naive_orders import is_day
from tests.support.naive_state import NaiveState
from tests.support.naive_stops import NaiveStop


class NaiveOperator(NaiveState):
    """Base of the naive model: the commands of operators."""

    def _set(self, command: SetQuotas | SetInstrument | SetPhase) -> Event:
        if isinstance(command, SetInstrument):
            return self._set_instrument(command)
        if isinstance(command, SetPhase):
            return self._set_phase(command)
        self.quotas = command.quotas
        return QuotasSet(command.quotas)

    def _set_instrument(self, command: SetInstrument) -> Event:
        held = self.instruments.get(command.symbol)
        reference = command.reference_price or (held.reference if held else None)
        if reference is None:
            return CommandRefused("needs_reference_price", request=command.request)
        phase: Phase = held.phase if held else "continuous"
        self.instruments[command.symbol] = NaiveInstrument(command.rules, reference, phase)
        self.opened_by.setdefault(command.symbol, None)
        return InstrumentSet(
            symbol=command.symbol,
            request=command.request,
            rules=command.rules,
            reference_price=reference,
            phase=phase,
            book_sequence=0,
            trade_sequence=self.trade_sequence.get(command.symbol, 0),
        )

    def _set_phase(self, command: SetPhase) -> Event:
        symbol, held = command.symbol, self.instruments.get(command.symbol)
        if held is None:
            return CommandRefused("needs_instrument", request=command.request)
        previous, held_phase = held.phase, command.phase
        event = PhaseSet(symbol, command.request, previous, held_phase, 0)
        if held_phase == previous:
            return event
        if command.expected not in (None, previous):
            return CommandRefused("phase_differs", request=command.request)
        held.phase = held_phase
        self.touched.add(symbol)
        if held_phase == "continuous":
            self.stops.prices.setdefault(symbol, []).append(held.reference)
        if held_phase == "closed":
            self._end_day(symbol)
        return event

    def _end_day(self, symbol: str) -> None:
        for one in self._open_orders():
            order = one.order
            if order.symbol != symbol or not is_day(order) or order.valid_until is not None:
                continue
            ended = structs.replace(order, valid_until=self.clock)
            if isinstance(one, NaiveStop):
                assert isinstance(ended, EnterOrder)
                one.order = ended
            else:
                one.order = ended
