"""Files for browsers, served beside the calls: open to anyone, and not in the OpenAPI document."""

from msgspec import Struct

from services.api.messages import AsgiApp


class Pages(Struct, frozen=True):
    """An ASGI application that answers GET on exactly these paths."""

    app: AsgiApp
    paths: tuple[str, ...]
