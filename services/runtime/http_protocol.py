"""What is no HTTP never reaches the edge: the parser refuses it. Answered in the edge's manner."""

import logging
import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.runtime.http_messages import ProblemError
from services.runtime.log import RateLimit

# Anyone can send nonsense; nobody shall fill the log with it.
_LINES_PER_MINUTE_MAX = 20


class HttpProtocol(HttpToolsProtocol):
    """httptools's protocol with an answer of our own shape."""

    def send_400_response(self, msg: str) -> None:
        """One problem, then the connection is closed: what follows cannot be told apart."""
        request_id = secrets.token_hex(8)
        response = ProblemError(400, "malformed_request", msg).response(request_id)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {response.content_type}\r\n"
            f"content-length: {len(response.body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + response.body)
        self.transport.close()


def quiet_logger() -> None:
    """Bound the rate of uvicorn's own lines."""
    logger = logging.getLogger("uvicorn.error")
    if not logger.filters:
        logger.addFilter(RateLimit(_LINES_PER_MINUTE_MAX))
