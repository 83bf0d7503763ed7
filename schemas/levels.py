"""The level of the rules that a command needs. Pure.

Gateways send a command only to a partition whose matcher has claimed with its level: an older
matcher would refuse it as unreadable, or overlook a field that it does not know.
"""

from schemas.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
    SetPhase,
    SetQuotas,
    Tick,
)
from schemas.executions import CHANGES_LEVEL, CONDITIONS_LEVEL, CONTROLS_LEVEL


def level_of(command: Command) -> int:
    """The lowest level that gives a command of a gateway the outcome it has here; 0: any."""
    if isinstance(command, CancelAll | SetPhase) or _needs_controls(command):
        return CONTROLS_LEVEL
    if isinstance(command, AmendOrder | SetInstrument):
        return CHANGES_LEVEL
    if isinstance(command, EnterOrder):
        return CONDITIONS_LEVEL if command.stop_price is None else CHANGES_LEVEL
    # For the type checker: a new command needs a level, or a place among these.
    _: PlaceOrder | CancelOrder | SetQuotas | Tick = command
    return 0


def _needs_controls(command: Command) -> bool:
    # One condition for each field of that level.
    if isinstance(command, SetInstrument):
        return command.rules.band_ppm is not None
    if isinstance(command, EnterOrder) and (
        command.self_trade_prevention is not None or command.time_in_force == "day"
    ):
        return True
    if isinstance(command, AmendOrder) and command.waits:
        return True
    if isinstance(command, EnterOrder | AmendOrder):
        return command.display_quantity is not None
    return False
