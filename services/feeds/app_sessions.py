"""`POST /admin/sessions/cancel`: cancels what sessions left whose gateway does not come back."""

from collections.abc import Callable
from typing import Final

import msgspec

from schemas.rest import CancelSessionsRequest, CancelSessionsResult
from services.api.app import Response, Route, json_response, not_accepted
from services.api.decoding import DECODE_ERRORS, body_problem, require_single_names
from services.api.framework import Body, ServiceRouter
from services.feeds.left_orders import LeftOrders

_requests: Final = msgspec.json.Decoder(CancelSessionsRequest)


class SessionsHandler:
    """Handles the operator's call. `ready`: True once the views are complete."""

    def __init__(self, left: LeftOrders, ready: Callable[[], bool]) -> None:
        self._left = left
        self._ready = ready

    async def cancel(self, body: Body) -> Response:
        """`POST /admin/sessions/cancel`."""
        try:
            gateway = _requests.decode(body).gateway
        except DECODE_ERRORS:
            raise body_problem(body, CancelSessionsRequest) from None
        require_single_names(body)
        if not self._ready():
            raise not_accepted("the open orders are not known yet; nothing was written")
        return json_response(200, CancelSessionsResult(gateway, *self._left.cancel(gateway)))

    def router(self) -> ServiceRouter:
        """The call, served by FastAPI."""
        return ServiceRouter(
            [
                Route(
                    method="POST",
                    path="/admin/sessions/cancel",
                    handler=self.cancel,
                    who="admin",
                    summary="Cancel what sessions of a gateway that does not come back left",
                    request=CancelSessionsRequest,
                    answers={200: CancelSessionsResult},
                    problems=("malformed_json", "invalid", "not_accepted"),
                    strict_query=True,
                ),
            ]
        )
