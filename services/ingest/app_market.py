"""`PUT /admin/stocks/{symbol}` and `POST /admin/stocks/{symbol}/phase`: 1. check, 2. send the
command, 3. wait for the outcome, 4. answer with the state after it."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from schemas.commands import SetInstrument, SetPhase
from schemas.executions import CommandRefused, InstrumentSet, Outcome, PhaseSet
from schemas.instruments import instrument_faults
from schemas.market_controls import (
    InstrumentRequest,
    MarketResource,
    PendingChange,
    PhaseRequest,
    PhaseResource,
)
from schemas.rest import FieldFault
from services.api.app import ProblemError, Response, Route, json_response
from services.api.decoding import (
    DECODE_ERRORS,
    Faults,
    body_problem,
    invalid_fields,
    require_single_names,
)
from services.api.framework import Body, ServiceRouter
from services.api.query import SymbolInPath
from services.ingest.context import IngestContext

_REQUEST_BYTES = 8
_instruments: Final = msgspec.json.Decoder(InstrumentRequest)
_phases: Final = msgspec.json.Decoder(PhaseRequest)
_PROBLEMS: Final = ("malformed_json", "invalid", "not_accepted", "outcome_unknown")


def admit_instrument(body: bytes) -> InstrumentRequest:
    """The instrument of a body. Raises ProblemError: malformed_json or invalid."""
    try:
        wanted = _instruments.decode(body)
    except DECODE_ERRORS:
        raise body_problem(body, InstrumentRequest, _faults) from None
    require_single_names(body)
    faults = _faults(structs.asdict(wanted))
    if faults:
        raise invalid_fields(faults)
    return wanted


def _faults(fields: Mapping[str, Any]) -> Faults:
    return [FieldFault(f"/{name}", reason) for name, reason in instrument_faults(fields)]


def admit_phase(body: bytes) -> PhaseRequest:
    """The phase of a body. Raises ProblemError: malformed_json or invalid."""
    try:
        wanted = _phases.decode(body)
    except DECODE_ERRORS:
        raise body_problem(body, PhaseRequest) from None
    require_single_names(body)
    return wanted


class MarketHandler:
    """Handles the operator's calls for one symbol."""

    def __init__(self, context: IngestContext) -> None:
        self._context = context

    async def set_instrument(self, symbol: SymbolInPath, body: Body) -> Response:
        """`PUT /admin/stocks/{symbol}`."""
        wanted = admit_instrument(body)
        request = self._context.randomness(_REQUEST_BYTES).hex()
        outcome = await self._outcome(
            SetInstrument(symbol, request, wanted.rules(), wanted.reference_price)
        )
        if outcome is None:
            return json_response(202, PendingChange(symbol))
        event = outcome.event
        if isinstance(event, InstrumentSet):
            return json_response(200, MarketResource.of(event))
        if isinstance(event, CommandRefused) and event.code == "needs_reference_price":
            raise invalid_fields(
                [FieldFault("/reference_price", "is needed, the symbol has no instrument yet")]
            )
        raise RuntimeError(f"an admitted instrument got the outcome {event!r}")

    async def set_phase(self, symbol: SymbolInPath, body: Body) -> Response:
        """`POST /admin/stocks/{symbol}/phase`."""
        wanted = admit_phase(body)
        request = self._context.randomness(_REQUEST_BYTES).hex()
        outcome = await self._outcome(SetPhase(symbol, request, wanted.phase, wanted.expected))
        if outcome is None:
            return json_response(202, PendingChange(symbol))
        event = outcome.event
        if isinstance(event, PhaseSet):
            return json_response(200, PhaseResource(symbol, event.phase, event.previous))
        if isinstance(event, CommandRefused) and event.code == "phase_differs":
            raise ProblemError("phase_differs", f"{symbol} is not {wanted.expected}")
        if isinstance(event, CommandRefused) and event.code == "needs_instrument":
            raise ProblemError("needs_instrument", f"set an instrument for {symbol} first")
        raise RuntimeError(f"an admitted phase got the outcome {event!r}")

    async def _outcome(self, command: SetInstrument | SetPhase) -> Outcome | None:
        """Send the command; its outcome, or None if it is stored and that does not arrive in time.

        Raises ProblemError: not_accepted or outcome_unknown.
        """
        context = self._context
        asked = context.ask(context.partition_map.partition(command.symbol), command)
        name = f"request {command.request} of {command.symbol}"
        return await context.outcome_of(asked, f"{name} may be in the log or not: repeat it")

    def router(self) -> ServiceRouter:
        """The calls, served by FastAPI."""
        return ServiceRouter(
            [
                Route(
                    method="PUT",
                    path="/admin/stocks/{symbol}",
                    handler=self.set_instrument,
                    who="admin",
                    summary="Set a symbol's instrument; the answer is what stands then",
                    request=InstrumentRequest,
                    answers={200: MarketResource, 202: PendingChange},
                    problems=_PROBLEMS,
                    strict_query=True,
                ),
                Route(
                    method="POST",
                    path="/admin/stocks/{symbol}/phase",
                    handler=self.set_phase,
                    who="admin",
                    summary="Halt, close or open a symbol's market",
                    request=PhaseRequest,
                    answers={200: PhaseResource, 202: PendingChange},
                    problems=("needs_instrument", "phase_differs", *_PROBLEMS),
                    strict_query=True,
                ),
            ]
        )
