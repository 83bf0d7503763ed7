"""Text fields of commands: decoding accepts exactly what the patterns of `units` accept."""

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import ValidationError, convert, structs

from schemas import units
from schemas.codec import UnreadableError, decode_command, encode
from schemas.commands import EnterOrder, PlaceOrder
from tests.support.orders import cancel, limit
from tests.support.sizes import sized

TYPES: Final[dict[str, Any]] = {
    "order_id": units.OrderId,
    "broker_id": units.BrokerId,
    "document_number": units.DocumentNumber,
    "symbol": units.Symbol,
    "client_order_id": units.ClientOrderId,
}
NEAR: Final = st.text("0aAfgGzZ.-_: \n\u00e9\u0085\u2028\x00\x7f", max_size=70)
# Without limits of time: a busy machine may pause an example for longer.
EXAMPLES: Final = settings(
    deadline=None,
    max_examples=sized(30, 100),
    suppress_health_check=[HealthCheck.too_slow],
)
UUIDS: Final = st.from_regex(units.UUID_PATTERN)


def accepted(field: str, text: str) -> bool:
    try:
        convert(text, TYPES[field])
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("field", TYPES)
@EXAMPLES
@given(text=st.one_of(NEAR, UUIDS, st.text(max_size=21)))
@example("")
@example("PETR4\n")
@example("A" * 10)
@example("A" * 11)
@example("a" * 64)
@example("a" * 65)
@example("\u2028")
@example("0" * 36)
@example("00000000-0000-7000-8000-00000000000\u0660")
@example("00000000-0000-7000-8000-00000000000F")
@example("00000000-0000-7000-8000-0000000000000")
def test_order_with_any_text_is_readable_exactly_when_its_pattern_matches(
    field: str, text: str
) -> None:
    plain = structs.replace(limit(1, client_order_id="c1"), **{field: text})
    for order in (plain, EnterOrder(**structs.asdict(plain), post_only=True)):
        if accepted(field, text):
            assert decode_command(encode(order)) == order
        else:
            with pytest.raises(UnreadableError, match=field):
                decode_command(encode(order))


@pytest.mark.parametrize("field", ["order_id", "broker_id"])
@EXAMPLES
@given(text=st.one_of(NEAR, UUIDS))
def test_cancel_with_any_id_is_readable_exactly_when_its_pattern_matches(
    field: str, text: str
) -> None:
    command = structs.replace(cancel(1), **{field: text})
    if accepted(field, text):
        assert decode_command(encode(command)) == command
    else:
        with pytest.raises(UnreadableError, match=field):
            decode_command(encode(command))


def test_documented_patterns_of_an_order_are_those_of_the_units() -> None:
    from msgspec.json import schema  # noqa: PLC0415

    fields = schema(PlaceOrder)["$defs"]["PlaceOrder"]["properties"]
    for field, kind in TYPES.items():
        documented = fields[field]
        if "anyOf" in documented:
            documented = next(each for each in documented["anyOf"] if each["type"] == "string")
        assert documented == schema(kind)
