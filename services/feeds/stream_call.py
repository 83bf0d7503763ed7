"""`GET /stream` in the table of calls and the OpenAPI document.

Event streams take over their connection before a request reaches the application. It answers the
rest: other methods, and a request behind one whose answer is not sent.
"""

from typing import Final

from services.api.messages import Request, Response, Route, not_accepted
from services.feeds.stream_query import PARAMETERS

STREAM: Final = "/stream"
EVENTS_TYPE: Final = "text/event-stream"


async def answer_without_stream(request: Request) -> Response:
    """The head of a stream to a HEAD. Raises ProblemError: the connection has other requests."""
    if request.method == "HEAD":
        return Response(200, content_type=EVENTS_TYPE)
    raise not_accepted("a stream needs a connection without other requests", close=True)


ROUTE: Final = Route(
    method="GET",
    path=STREAM,
    handler=answer_without_stream,
    who="market",
    summary="Live feeds as server-sent events, without an end",
    answers={200: str},
    text_type=EVENTS_TYPE,
    problems=("invalid", "book_too_deep", "not_accepted"),
    parameters=PARAMETERS,
)
