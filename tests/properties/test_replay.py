"""Determinism of the engine: a log gives the same bytes in any process, under any hash seed."""

import os
import random
import subprocess
import sys

import msgspec
from msgspec import structs

from schemas.codec import decode_command, encode
from tests.properties.flows import flow, random_shape
from tests.properties.replay import LoggedCommand, replayed

SEED = int(os.environ.get("PROPERTY_SEED", random.SystemRandom().randrange(1 << 32)))
COMMANDS = 5_000


def log_of(seed: int) -> bytes:
    """A log of encoded commands; the unreadable ones are truncated.

    It has many symbols, so that an ordering by hash would show.
    """
    rng = random.Random(seed)
    shape = structs.replace(random_shape(rng), symbols=20)
    lines = []
    for step in flow(rng, shape, COMMANDS):
        value = '{"type":"place_o' if step.command is None else encode(step.command).decode()
        lines.append(msgspec.json.encode(LoggedCommand(step.offset, step.timestamp, value)))
    return b"\n".join(lines)


def replay_in_a_process(log: bytes, hash_seed: str) -> bytes:
    command = [sys.executable, "-m", "tests.properties.replay"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, input=log, capture_output=True, check=True, env=environment)
    return done.stdout


def test_replay_under_two_hash_seeds_gives_the_same_bytes() -> None:
    log = log_of(SEED)
    first, second = replay_in_a_process(log, "0"), replay_in_a_process(log, "1")
    assert first.count(b"\n") > COMMANDS, f"PROPERTY_SEED={SEED}"
    assert first == second, f"PROPERTY_SEED={SEED}"
    here = b"".join(value + b"\n" for value in replayed(log.splitlines()))
    assert first == here, f"PROPERTY_SEED={SEED}"


def test_replay_of_another_log_gives_another_digest() -> None:
    lines = log_of(SEED).splitlines()
    *_, whole = replayed(lines)
    *_, again = replayed(lines)
    *_, half = replayed(lines[: COMMANDS // 2])
    assert whole == again, f"PROPERTY_SEED={SEED}"
    assert whole != half, f"PROPERTY_SEED={SEED}"


def test_flow_commands_survive_the_codec() -> None:
    rng = random.Random(SEED)
    for step in flow(rng, random_shape(rng), COMMANDS):
        if step.command is not None:
            assert decode_command(encode(step.command)) == step.command, f"PROPERTY_SEED={SEED}"
