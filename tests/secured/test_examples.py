"""The programs in `examples/` with an analyst's user, on an exchange with access control."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from examples.live_vwap import State
from schemas.topics import COMMANDS, TRADES
from services.runtime.kafka.client_config import kafka_access
from tests.support.examples import example
from tests.support.exchange import Exchange, wait_until_public

WRONG = "guessed"
WITH_PASSWORD = ("security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-512")


@pytest.fixture(scope="module")
def symbol(secured: Exchange) -> str:
    """Symbol with one trade of 4 at 10.00 and an open order of 6."""
    symbol = secured.symbol()
    secured.broker("Seller").place("ask", symbol, 10, 1000)
    secured.broker("Buyer").place("bid", symbol, 4, 1000)
    wait_until_public(secured, symbol)
    return symbol


def run(
    secured: Exchange, name: str, *options: object, password: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an example as the analyst, with `password` instead of the analyst's if given."""
    analyst = kafka_access(secured.stack.settings_of("analyst"))
    of_user = (f"sasl.username={analyst.user}", f"sasl.password={password or analyst.password}")
    settings = [word for setting in (*WITH_PASSWORD, *of_user) for word in ("-X", setting)]
    return example(name, *options, *settings, data_dir=secured.stack.data_dir)


def test_tail_as_analyst_reads_trades_and_is_refused_commands(
    secured: Exchange, symbol: str
) -> None:
    trades = run(secured, "tail", TRADES.name, "--key", symbol, "--from-beginning", "--once")
    assert trades.returncode == 0, trades.stderr
    (line,) = trades.stdout.splitlines()
    assert msgspec.json.decode(line)["quantity"] == 4
    commands = run(secured, "tail", COMMANDS.name, "--from-beginning", "--once")
    assert (commands.returncode, commands.stdout) == (1, "")
    assert "authorization failed" in commands.stderr.lower()


def test_live_vwap_and_full_book_as_analyst_work(
    secured: Exchange, symbol: str, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    options = ("--symbols", symbol, "--from-beginning", "--once", "--state", state)
    vwap = run(secured, "live_vwap", *options)
    assert vwap.returncode == 0, vwap.stderr
    tape = msgspec.json.decode(state.read_bytes(), type=State).tapes[symbol].whole
    assert (tape.volume, tape.value) == (4, 4 * 1000)
    key = secured.register("Analyst's broker")
    book = run(secured, "full_book", symbol, "--key", key, "--once")
    assert book.returncode == 0, book.stdout + book.stderr


def test_tail_with_a_wrong_password_or_none_prints_an_error_without_traceback(
    secured: Exchange,
) -> None:
    wrong = run(secured, "tail", TRADES.name, "--once", password=WRONG)
    none = example("tail", TRADES.name, "--once", data_dir=secured.stack.data_dir)
    for done in (wrong, none):
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert WRONG not in done.stderr
    assert "authentication failed" in wrong.stderr.lower()
    assert f"Kafka at {secured.bootstrap}: " in none.stderr
