"""Compares the answers that clients received with the command log: acknowledged orders are in it
once, by their broker and under their client order id; refused orders are not in it.

Pure. JSON lines, one per attempt, in the order of the answers. An order that is `unknown` may be in
the log at most once. An acknowledgement revokes a refusal. So does a later `unknown`, because that
attempt may be in the log. A refusal after an `unknown` is final: the client knows that there is no
order, so none of the attempts may be in the log. Commands that made no order do not count: retries
that the engine recognised by their client order id, repeats by a foreign program, and refusals.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from schemas.commands import Command, PlaceOrder
from schemas.executions import CommandRefused, OrderRepeated, Outcome
from services.audit.report import AuditReport

ClientResult = Literal["acknowledged", "refused", "unknown"]


class ClientLine(Struct, frozen=True, omit_defaults=True, rename={"result": "told"}):
    """One attempt. `order_id` is present if the answer named one.

    A refusal of the attempt alone (429, 503), after an `unknown` of the same order, has no line.
    """

    result: ClientResult
    broker_id: str
    client_order_id: str
    order_id: str = ""


class ClientLogError(ValueError):
    """The file is not a client log."""


def read_client_log(lines: Iterable[bytes]) -> list[ClientLine]:
    """Read the lines. Raises ClientLogError with the line's number."""
    decoder = msgspec.json.Decoder(ClientLine)
    found: list[ClientLine] = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                found.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ClientLogError(f"line {number}: {error}") from error
    return found


class ClientLog:
    """Counts, in the log, the orders that clients know of."""

    def __init__(self, lines: Iterable[ClientLine]) -> None:
        self._times: dict[str, int] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self._misnamed: list[str] = []
        self._refused: dict[tuple[str, str], int] = {}
        self._unknown: dict[tuple[str, str], int] = {}
        for line in lines:
            name = (line.broker_id, line.client_order_id)
            if line.result == "refused":
                self._refused[name] = 0
            elif line.result == "acknowledged":
                self._times[line.order_id] = 0
                self._names[line.order_id] = name
            else:
                self._unknown[name] = 0
                self._refused.pop(name, None)
        for name in self._names.values():
            self._refused.pop(name, None)

    def command(self, command: Command | None, outcome: Outcome | None) -> None:
        """Count a command of the log, with its outcome if recorded."""
        if not isinstance(command, PlaceOrder):
            return
        name = (command.broker_id, command.client_order_id or "")
        made_none = outcome is not None and isinstance(
            outcome.event, OrderRepeated | CommandRefused
        )
        if command.order_id in self._times:
            self._times[command.order_id] += not (made_none and self._times[command.order_id])
            if (known := self._names[command.order_id]) != name:
                self._misnamed.append(f"order {command.order_id} of {known} is {name} in the log")
        if made_none:
            return
        for counts in (self._refused, self._unknown):
            if name in counts:
                counts[name] += 1

    def add(self, more: "ClientLog") -> None:
        """Add the counts of another partition, made from the same lines."""
        self._misnamed += more._misnamed
        for order_id, times in more._times.items():
            self._times[order_id] += times
        for mine, others in (
            (self._refused, more._refused),
            (self._unknown, more._unknown),
        ):
            for name, times in others.items():
                mine[name] += times

    def check(self, report: AuditReport) -> None:
        """Report differences at the end of the log."""
        acknowledged = report["acknowledged"]
        acknowledged.checked += len(self._times) + len(self._unknown)
        for order_id, times in self._times.items():
            if times != 1:
                acknowledged.fail(f"order {order_id} is in the log {times} times")
        for misnamed in self._misnamed:
            acknowledged.fail(misnamed)
        for name, times in self._unknown.items():
            if times > 1:
                acknowledged.fail(f"{name[1]} of broker {name[0]} is in the log {times} times")
        report["refused"].checked += len(self._refused)
        for name, times in self._refused.items():
            if times:
                report["refused"].fail(f"{name[1]} of broker {name[0]} is in the log {times} times")
