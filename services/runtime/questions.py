"""Questions to servers that block a thread, asked from the event loop."""

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def answer_of(question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a blocking function, or its exception.

    It runs in a daemon thread: the end of the process waits for the threads of
    `asyncio.to_thread`, and so for a server that answers late; an answer without a waiting task is
    dropped instead.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def ask() -> None:
        try:
            result = question(*args, **kwargs)
        except Exception as error:
            deliver(answer.set_exception, error)
        else:
            deliver(answer.set_result, result)

    def deliver(settle: Callable[..., None], value: object) -> None:
        def settle_if_awaited() -> None:
            if not answer.done():
                settle(value)

        try:
            loop.call_soon_threadsafe(settle_if_awaited)
        except RuntimeError:
            # The loop is closed: the process ends.
            return

    threading.Thread(target=ask, name="question", daemon=True).start()
    return await answer
