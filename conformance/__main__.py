"""`python -m conformance`: the trading rules against any exchange, one line for each rule."""

import argparse
import os
import sys
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

import pytest

from conformance.api import Api
from infra.ports import LOOPBACK
from services.local.signals import stoppable

EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130
REGISTERED = 201
# Of pytest's: all passed, some failed, interrupted, nothing collected for --rules.
EXIT_CODES = {0: 0, 1: 1, 2: EXIT_INTERRUPTED, 5: EXIT_USAGE}
# Reporter prints the lines, so pytest prints none. Several runs may share this folder: no cache.
QUIETLY = ("-qq", "--no-header", "--no-summary", "--tb=short", "-o", "addopts=")
NO_CACHE = ("-p", "no:cacheprovider")


class Reporter:
    """A pytest plugin that prints each rule by its docstring, under the docstring of its module."""

    def __init__(self) -> None:
        self._chapter = ""
        self._rules: dict[str, tuple[str, str]] = {}
        self._session: pytest.Session | None = None
        self.held = 0
        self.broken = 0
        self.not_offered = 0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, so that a failed setup can end it early."""
        self._session = session

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Collect the text of each rule."""
        for item in items:
            rule = (getattr(item, "function", None) or item).__doc__ or item.name
            chapter = getattr(getattr(item, "module", None), "__doc__", "") or ""
            self._rules[item.nodeid] = (chapter.splitlines()[0], _with_case(rule, item.name))

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Print no dots and letters."""
        return report.outcome, "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print one line; for a broken rule also the expected and the actual result."""
        if report.passed and report.when != "call":
            return
        if report.when == "setup" and not report.skipped and self._session is not None:
            # Without an exchange no rule can be judged, and none is broken.
            self._session.shouldfail = "there is no exchange to judge"
            _out(f"\nthe exchange did not start:\n{report.longreprtext}")
            return
        chapter, rule = self._rules[report.nodeid]
        if chapter != self._chapter:
            self._chapter = chapter
            _out(f"\n{chapter}")
        if report.passed:
            self.held += 1
            _out(f"  ok      {rule}")
            return
        if report.skipped:
            self.not_offered += 1
            _out(f"  ABSENT  {rule}")
            return
        self.broken += 1
        _out(f"  BROKEN  {rule}")
        for line in report.longreprtext.splitlines():
            _out(f"          {line}")


def _with_case(rule: str, name: str) -> str:
    _, _, case = name.removesuffix("]").partition("[")
    return f"{rule.splitlines()[0]} ({case})" if case else rule.splitlines()[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    command = [
        str(Path(__file__).parent),
        *QUIETLY,
        *NO_CACHE,
        "--receiver-host",
        options.receiver_host,
        "--transport",
        options.transport,
    ]
    if options.url:
        obstacle = _obstacle(options.url, options.admin_key)
        if obstacle is not None:
            sys.stderr.write(f"conformance: {obstacle[1]}\n")
            return obstacle[0]
        command += ["--url", options.url, f"--admin-key={options.admin_key}"]
    else:
        sys.stderr.write("conformance: no --url, starting a fresh exchange\n")
    if options.rules:
        command += ["-k", options.rules]
    reporter = Reporter()
    try:
        with stoppable():
            code = EXIT_CODES.get(int(pytest.main(command, plugins=[reporter])), EXIT_UNREACHABLE)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    summary = f"{reporter.held} rules hold, {reporter.broken} are broken"
    if reporter.not_offered:
        summary += (
            f", {reporter.not_offered} WERE NOT JUDGED: /openapi.json does not offer their calls"
        )
    _out(f"\n{summary}")
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="Judges an exchange by the trading rules, over its seven calls and, if it "
        "offers them, webhooks and queries.",
        epilog="Exit codes: 0 all rules hold; 1 a rule is broken; 2 usage, or a refused admin "
        "key; 3 the exchange does not answer; 130 interrupted.",
    )
    parser.add_argument("--url", help="URL of the exchange; without it a fresh one is started")
    parser.add_argument(
        "--admin-key",
        default=os.environ.get("EXCHANGE_ADMIN_KEY"),
        help="its admin key; EXCHANGE_ADMIN_KEY if not given",
    )
    parser.add_argument(
        "--receiver-host",
        default=LOOPBACK,
        metavar="HOST",
        help="name or address under which the exchange reaches this machine, for its webhooks; "
        "default 127.0.0.1. With any other, all addresses of this machine are listened on",
    )
    parser.add_argument(
        "--transport",
        choices=("http", "session"),
        default="http",
        help="session: orders are placed, cancelled and replaced over WebSocket sessions",
    )
    parser.add_argument("--rules", metavar="WORDS", help="only rules whose test name has the words")
    options = parser.parse_args(arguments)
    if options.url and not options.admin_key:
        parser.error("--url needs --admin-key, or EXCHANGE_ADMIN_KEY")
    if options.url and not options.url.startswith(("http://", "https://")):
        parser.error(f"--url {options.url}: write http://HOST:PORT")
    return options


def _obstacle(url: str, admin_key: str) -> tuple[int, str] | None:
    """Reason and exit code when the exchange cannot be judged; None when it can."""
    try:
        answer = Api(url, admin_key).call("POST", "/register", {"name": "Conformance"})
    except (OSError, HTTPException, ValueError) as error:
        return EXIT_UNREACHABLE, f"{url} does not answer: {error}"
    if answer.status in (401, 403):
        return EXIT_USAGE, f"{url} refuses this admin key ({answer.status})"
    if answer.status != REGISTERED:
        return (
            EXIT_UNREACHABLE,
            f"{url} refuses a registration: {answer.status} {answer.raw[:200]!r}",
        )
    return None


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
