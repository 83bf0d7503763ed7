"""Work in processes: results in order, progress of all, errors, and the end of a process."""

import os
from typing import Any

import pytest

from services.runtime.errors import RefusedError, UnavailableError
from services.runtime.processes import Advance, run_in_processes


def halved(number: int, advance: Advance) -> int:
    if number % 2:
        raise RefusedError(f"{number} is odd")
    advance(number)
    return number // 2


def killed(_: int, __: Advance) -> Any:
    os._exit(9)


def test_results_are_in_order_and_progress_is_that_of_all_processes() -> None:
    progress: list[int] = []
    assert run_in_processes(halved, [6, 2, 4], progress.append, "") == [3, 1, 2]
    assert sum(progress) == 12


def test_error_of_a_task_is_raised() -> None:
    with pytest.raises(RefusedError, match="3 is odd"):
        run_in_processes(halved, [3], lambda _: None, "")


def test_process_that_is_killed_is_an_error_with_the_remedy() -> None:
    with pytest.raises(UnavailableError, match="memory; do it again"):
        run_in_processes(killed, [1], lambda _: None, "do it again")
