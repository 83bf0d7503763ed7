"""Bodies of `POST /orders/batch`.

Every field of an item is a kind of item, named as its single call; an item has exactly one.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.rest import OrderRequest, OrderResource, PendingOrder, Problem, ReplaceRequest
from schemas.units import ClientOrderId, NewSymbol

# About a page of an order system; a batch holds the event loop for a few milliseconds.
BATCH_ITEMS_MAX: Final = 100
BATCH_BYTES_MAX: Final = 64 * 1024

_ITEM_COUNT: Final = Meta(min_length=1, max_length=BATCH_ITEMS_MAX)
# An order's id, or its symbol and client order id.
_NAMED: Final = Meta(
    extra_json_schema={
        "oneOf": [{"required": ["order_id"]}, {"required": ["client_order_id"]}],
        "dependentRequired": {"symbol": ["client_order_id"], "client_order_id": ["symbol"]},
    }
)


class BatchOrder(OrderRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /orders`. `client_order_id` is needed: a batch without an answer can be sent again."""

    client_order_id: ClientOrderId


class BatchCancel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /orders/{order_id}/cancel`. The order is named by its id, or by its symbol and client
    order id: then it is the one that an item before this one places, else the broker's newest."""

    order_id: str | UnsetType = UNSET
    symbol: NewSymbol | UnsetType = UNSET
    client_order_id: ClientOrderId | UnsetType = UNSET


class BatchReplace(ReplaceRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /orders/{order_id}/replace`. The order is named as in a cancel, but no item before
    this one may place it: the command contains the quantity that it replaces."""

    order_id: str | UnsetType = UNSET
    symbol: NewSymbol | UnsetType = UNSET
    client_order_id: ClientOrderId | UnsetType = UNSET


class BatchItem(Struct, frozen=True, forbid_unknown_fields=True):
    """One command."""

    place: BatchOrder | UnsetType = UNSET
    cancel: Annotated[BatchCancel, _NAMED] | UnsetType = UNSET
    replace: Annotated[BatchReplace, _NAMED] | UnsetType = UNSET


_OneKind = Annotated[BatchItem, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})]


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /orders/batch`. Items of one partition are in the command log in this order."""

    items: Annotated[list[_OneKind], _ITEM_COUNT]


class BatchResult(Struct, frozen=True):
    """The single call's answer to one item: its status, and its body under the name of its kind.

    A cancel that the single call answers 204 has no body.
    """

    status: int
    order: OrderResource | UnsetType = UNSET
    pending: PendingOrder | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET


class BatchResults(Struct, frozen=True):
    """One result for each item, in the order of the items."""

    results: list[BatchResult]
