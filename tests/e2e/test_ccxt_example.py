"""The ccxt adapter with the ccxt package, in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.exchange import Exchange

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ccxt"
INSTALL_S = 240


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the example's packages; skips where pip cannot install them."""
    folder = tmp_path_factory.mktemp("ccxt")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=INSTALL_S)
    found = folder / "bin" / "python"
    packages = ("--no-deps", "--no-compile", "-r", EXAMPLE / "requirements.txt")
    installed = subprocess.run(
        [found, "-m", "pip", "install", "--quiet", *packages],
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"THE CCXT ADAPTER IS NOT TESTED: pip failed: {installed.stderr[-500:]}")
    return found


@pytest.mark.timeout(2 * INSTALL_S)
def test_ccxt_program_trades_and_shows_its_market(exchange: Exchange, python: Path) -> None:
    stock, key = exchange.symbol(), exchange.register("Notebook")
    # Markets of ccxt are the known stocks.
    exchange.broker().place("bid", stock, 1, 1)
    ran = subprocess.run(
        [python, EXAMPLE / "mini_exchange.py", exchange.url, key, stock],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    shown: dict[str, Any] = json.loads(ran.stdout)
    assert shown["orders"] == ["closed", "canceled"]
    assert shown["book"]["bids"] == [[37.0, 3.0], [0.01, 1.0]]
    assert shown["book"]["asks"] == [[37.12, 4.0]]
    trade = shown["trades"][0]
    assert (trade["price"], trade["amount"], trade["side"]) == (37.0, 2.0, "sell")
    assert [each["id"] for each in shown["fills"]] == [trade["id"]] * 2
    assert sorted(each["takerOrMaker"] for each in shown["fills"]) == ["maker", "taker"]
    assert [each["amount"] for each in shown["open"]] == [5.0, 4.0]
    assert [each["status"] for each in shown["closed"]] == ["closed", "canceled"]
    assert (shown["ticker"]["last"], shown["ticker"]["bid"]) == (37.0, 37.0)
    assert shown["tickers"] == [f"{stock}/BRL"]
    assert shown["candles"][0][1:] == [37.0, 37.0, 37.0, 37.0, 2.0]
    assert shown["balance"] == {"BRL": 0.0}
