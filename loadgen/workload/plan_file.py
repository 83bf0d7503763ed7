"""A plan as a file, to repeat a schedule exactly: JSON, refused if of another version."""

from pathlib import Path

import msgspec
from msgspec import Struct

from loadgen.workload.orderflow import (
    PLAN_VERSION,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedRead,
    PlannedReplace,
)


class PlanFileError(Exception):
    """The file is unreadable or invalid; the text gives the reason and the remedy."""


class _PlanHead(Struct):
    version: int


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan. Raises PlanFileError."""
    try:
        path.write_bytes(msgspec.json.encode(plan))
    except OSError as error:
        raise PlanFileError(f"{path}: {error.strerror}") from error


def read_plan(path: Path) -> Plan:
    """Read a plan. Raises PlanFileError."""
    try:
        raw = path.read_bytes()
        found = msgspec.json.decode(raw, type=_PlanHead).version
    except OSError as error:
        raise PlanFileError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise PlanFileError(f"{path} is no plan (--plan-out writes one): {error}") from error
    if found != PLAN_VERSION:
        raise PlanFileError(
            f"{path} is a plan of version {found}, this program reads version {PLAN_VERSION}: "
            "write it again with --plan-out"
        )
    try:
        plan = msgspec.json.decode(raw, type=Plan)
    except msgspec.MsgspecError as error:
        raise PlanFileError(f"{path} is not a whole plan: {error}") from error
    if (fault := _fault(plan)) is not None:
        raise PlanFileError(f"{path} contradicts itself: {fault}")
    return plan


def _fault(plan: Plan) -> str | None:
    """Check an edited plan: falling times, unknown brokers or orders."""
    before_us = 0
    for index, action in enumerate(plan.actions):
        if action.at_us < before_us:
            return f"action {index} is due before the one before it"
        before_us = action.at_us
        if not 0 <= action.broker < plan.profile.brokers:
            return f"action {index} is of broker {action.broker}"
        match action:
            case PlannedOrder():
                symbol = action.symbol
            case PlannedReplace() | PlannedCancel():
                symbol = 0
                if not _is_earlier_order(plan, action.order, index):
                    verb = "replaces" if isinstance(action, PlannedReplace) else "cancels"
                    return f"action {index} {verb} {action.order}, which is no earlier order"
            case PlannedRead():
                symbol = action.subject if action.read in ("read_price", "read_book") else 0
                aims = action.read == "read_order"
                if aims and not _is_earlier_order(plan, action.subject, index):
                    return f"action {index} reads {action.subject}, which is no earlier order"
        if not 0 <= symbol < len(plan.symbols):
            return f"action {index} is of symbol {symbol}"
    return None


def _is_earlier_order(plan: Plan, order: int, index: int) -> bool:
    return 0 <= order < index and isinstance(plan.actions[order], PlannedOrder)
