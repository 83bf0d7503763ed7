"""`loadgen watch`: a market that runs until it is interrupted, to look at on the page."""

import itertools
import os
from contextlib import ExitStack
from pathlib import Path

import uvloop
from msgspec import structs

from loadgen.client.setup import SetupError, register
from loadgen.client.workers import INTERRUPTED
from loadgen.run import RunOptions, TargetSpec, open_target, session_of
from loadgen.workload.orderflow import Plan, plan
from services.runtime.progress import Progress

# Flows follow one another; each is planned as a whole.
FLOW_S = 60
KEY_FILE = "watcher-key"
_PRIVATE = 0o600


def watch(
    flow: Plan, target_spec: TargetSpec, run_options: RunOptions, folder: Path, progress: Progress
) -> None:
    """Send flows of the profile, each with the next seed, until an interrupt.

    Raises KeyboardInterrupt then, and SetupError if the exchange does not answer any more.
    """
    with ExitStack() as ending:
        target = open_target(target_spec, flow.shares(), progress, ending)
        session = session_of(target, progress, run_options)
        session.prepare(flow.profile, flow.seed)
        (watcher,) = uvloop.run(register(target.url, target.admin_key, 1))
        key_file = _write_key(folder / KEY_FILE, watcher.api_key)
        ending.callback(key_file.unlink, missing_ok=True)
        progress.say("the market runs until Ctrl-C")
        progress.say(f"page        {target.url}/ (the pipeline: {target.url}/#/operations)")
        progress.say(f"to trade    sign in with the key in {key_file}")
        profile = structs.replace(flow.profile, duration_s=FLOW_S)
        for seed in itertools.count(flow.seed):
            ran = session.run(plan(profile, seed), "market")
            session.forget_answers()
            if ran.why == INTERRUPTED:
                raise KeyboardInterrupt
            if ran.why:
                raise SetupError(f"{target.url}: {ran.why}")


def _write_key(file: Path, key: str) -> Path:
    # A terminal and its log would keep it.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(key + "\n")
    return file.absolute()
