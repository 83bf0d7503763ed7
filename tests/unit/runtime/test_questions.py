"""Blocking questions: their answers, and the end of a process that waits for one."""

import asyncio
import subprocess
import sys

import pytest

from services.runtime.questions import answer_of

_ENDS_DURING_A_QUESTION = """
import asyncio, threading
from services.runtime.questions import answer_of

async def main():
    question = asyncio.create_task(answer_of(threading.Event().wait))
    await asyncio.sleep(0)
    question.cancel()

asyncio.run(main())
"""


def test_answer_is_the_result_or_the_exception_of_the_question() -> None:
    assert asyncio.run(answer_of(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(answer_of(divmod, 7, 0))


def test_process_ends_while_a_question_is_never_answered() -> None:
    subprocess.run([sys.executable, "-c", _ENDS_DURING_A_QUESTION], check=True, timeout=30)
