"""The running exchange against its OpenAPI document, by generated valid and invalid requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.support.exchange import Exchange
from tests.support.sizes import sized

EXAMPLES = sized(10, 40)
REFUSALS = ["400", "404", "405", "406", "413", "415", "422"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
CALLS = [
    "POST /register",
    "POST /orders",
    "GET /orders/{order_id}",
    "GET /orders/{order_id}/trades",
    "POST /orders/{order_id}/cancel",
    "POST /orders/batch",
    "POST /orders/cancel-all",
    "POST /orders/validate",
    "POST /orders/{order_id}/replace",
    "GET /orders",
    "GET /fills",
    "GET /stocks/{symbol}/trades",
    "GET /stocks/{symbol}/ticker",
    "GET /tickers",
    "GET /stocks/{symbol}/candles",
    "GET /stocks",
    "GET /stocks/{symbol}",
    "GET /stocks/{symbol}/price",
    "GET /stocks/{symbol}/book",
    "GET /balance",
    "PUT /admin/stocks/{symbol}",
    "POST /admin/stocks/{symbol}/phase",
    "POST /admin/sessions/cancel",
    "GET /operations",
    "GET /stream",
    "POST /webhooks/secret/rotate",
    "GET /webhooks/deliveries",
    "POST /webhooks/deliveries/{delivery_id}/replay",
    "POST /webhooks/test",
    "GET /livez",
    "GET /readyz",
]


@pytest.fixture(scope="module")
def keys(exchange: Exchange) -> dict[str, str]:
    """The key for each security scheme of the document."""
    return {"admin": exchange.admin_key, "broker": exchange.register("schema")}


@pytest.fixture(scope="module")
def document(exchange: Exchange) -> schemathesis.BaseSchema:
    config = schemathesis.Config.from_dict(
        {
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
            # An event stream has no end.
            "max-stream-events": 1,
        }
    )
    return schemathesis.openapi.from_url(f"{exchange.url}/openapi.json", config=config)


# Calls without invalid input: they take none, or any text in their path, as the document says.
WITHOUT_INVALID_INPUT = {
    "GET /orders/{order_id}",
    "POST /orders/{order_id}/cancel",
    "GET /stocks/{symbol}",
    "GET /stocks/{symbol}/ticker",
    "POST /webhooks/secret/rotate",
    "POST /webhooks/deliveries/{delivery_id}/replay",
    "POST /webhooks/test",
    "GET /livez",
    "GET /readyz",
}


def test_document_has_exactly_these_calls(document: schemathesis.BaseSchema) -> None:
    found = [f"{verb.upper()} {path}" for path in document for verb in document[path]]
    assert sorted(found) == sorted(CALLS)


def is_wrong(case: Case[Any]) -> bool:
    """True if the request is invalid even with a key and without unknown query parameters.

    The test adds the key, and the exchange ignores unknown query parameters.
    """
    assert case.meta is not None
    wrong = {place for place, info in case.meta.components.items() if info.mode.is_negative}
    known = {parameter.name for parameter in case.operation.query}
    return bool(wrong - {ParameterLocation.HEADER}) and set(case.query) <= known


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, GenerationMode.POSITIVE) for label in CALLS]
    + [(label, GenerationMode.NEGATIVE) for label in CALLS if label not in WITHOUT_INVALID_INPUT],
)
def test_generated_requests_are_answered_as_documented(
    document: schemathesis.BaseSchema, keys: dict[str, str], label: str, mode: GenerationMode
) -> None:
    operation = document.find_operation_by_label(label)
    assert operation is not None
    schemes = operation.definition.raw.get("security", [])
    names = [name for scheme in schemes for name in scheme]
    headers = {"Authorization": f"Bearer {keys[names[0]]}"} if names else {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        assume(mode is GenerationMode.POSITIVE or is_wrong(case))
        case.call_and_validate(headers=headers, checks=CHECKS)

    check()
