"""`python -m tests.chaos.killed_gateway`: clients under load while the gateway is killed again and
again. Exit code 1 if one of them misses something, or has it twice."""

import argparse
import sys
import time
from collections.abc import Sequence

from services.local.signals import stoppable, temporary_data_dir
from tests.chaos.session_traders import SessionTraders
from tests.support.exchange import Exchange, fresh_exchange


def run(exchange: Exchange, seconds: float, every_s: float, orders_per_s: float) -> SessionTraders:
    """Trade for so long, with a kill each `every_s`; the clients with their figures."""
    symbols = [exchange.symbol(), exchange.symbol()]
    keys = [exchange.register(f"Trader {number}") for number in range(2 * len(symbols))]
    traders = SessionTraders(exchange.url, keys, symbols, orders_per_s)
    end_s = time.monotonic() + seconds
    with traders.trading():
        while time.monotonic() + every_s <= end_s:
            time.sleep(every_s)
            exchange.stack.services["gateway"].kill()
            exchange.stack.start("gateway")
            exchange.stack.wait_ready("gateway")
        time.sleep(max(0.0, end_s - time.monotonic()))
    return traders


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.killed_gateway")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two kills")
    parser.add_argument("--orders-per-s", type=float, default=100.0)
    options = parser.parse_args(arguments)
    with stoppable(), temporary_data_dir() as folder, fresh_exchange(folder) as exchange:
        traders = run(exchange, options.seconds, options.every, options.orders_per_s)
    lines = [each.line() for each in traders.figures]
    lines += [*traders.findings, f"{len(traders.findings)} missing, doubled or wrong"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if traders.findings else 0


if __name__ == "__main__":
    sys.exit(main())
