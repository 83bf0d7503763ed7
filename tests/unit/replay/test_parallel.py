"""Replays in processes: the end of a process is an error, not an endless wait."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from services.replay.parallel import _summaries
from services.runtime.errors import UnavailableError
from services.runtime.progress import Progress


def test_replay_whose_process_is_killed_is_an_error() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        killed: Any = pool.submit(os._exit, 9)
        with pytest.raises(UnavailableError, match="--partition"):
            _summaries([killed], Progress())
