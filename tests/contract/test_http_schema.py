"""The document against the running exchange: requests are generated, good and bad, and sent."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.support.exchange import Exchange

EXAMPLES = 40
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
    "POST /orders/{order_id}/cancel",
    "GET /stocks/{symbol}/price",
    "GET /stocks/{symbol}/book",
    "GET /balance",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
]


@pytest.fixture(scope="module")
def keys(exchange: Exchange) -> dict[str, str]:
    """The key for each security scheme of the document."""
    return {"admin": exchange.admin_key, "broker": exchange.register("schema")}


@pytest.fixture(scope="module")
def document(exchange: Exchange) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{exchange.url}/openapi.json")


def test_document_has_exactly_these_calls(document: schemathesis.BaseSchema) -> None:
    found = [f"{verb.upper()} {path}" for path in document for verb in document[path]]
    assert sorted(found) == sorted(CALLS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", CALLS)
def test_generated_requests_get_what_is_documented(
    document: schemathesis.BaseSchema, keys: dict[str, str], label: str, mode: GenerationMode
) -> None:
    operation = document.find_operation_by_label(label)
    assert operation is not None
    schemes = operation.definition.raw.get("security", [])
    names = [name for scheme in schemes for name in scheme]
    headers = {"Authorization": f"Bearer {keys[names[0]]}"} if names else {}
    if mode is GenerationMode.NEGATIVE and label in UNBREAKABLE:
        pytest.skip("nothing about this request can be wrong")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    check()


UNBREAKABLE = {"GET /balance", "GET /livez", "GET /readyz", "GET /metrics"}
