"""Starts Chromium, and opens the page in it with all that it must never do recorded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Set in CI, where a missing browser is a failure, not a reason to skip.
NEEDED = "TEST_BROWSER"
# Reports of the Content-Security-Policy, kept for the test in the page itself.
REPORTS = """
window.policyReports = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.policyReports.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def chromium_path() -> str:
    """The installed browser. Skips the test without one, or fails where one is needed."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    why = "NO BROWSER TEST RUNS: install one with `make browser` (Debian's package `chromium`)"
    if os.environ.get(NEEDED):
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = chromium_path()
    # As root Chromium runs only without its sandbox; the page under test is our own.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what went wrong in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.sent: list[tuple[str, str, str]] = []
        self.sockets: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.page.add_init_script(REPORTS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._on_request)
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _on_request(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.foreign.append(request.url)
        if request.method == "POST":
            self.sent.append((request.method, urlsplit(request.url).path, request.post_data or ""))

    def open(self, fragment: str = "") -> Page:
        """Load the page at this view, and wait until it is live."""
        self.page.goto(f"{self.url}/{fragment}")
        self.page.wait_for_selector('#connection[data-state="live"]')
        return self.page

    def sign_in(self, key: str) -> None:
        """Sign in by keyboard."""
        self.page.focus("#key")
        self.page.keyboard.press("Enter")
        self.page.keyboard.type(key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("dialog", state="detached")

    def expect_errors(self, *parts: str) -> None:
        """Console messages with one of these parts are what the test provokes."""
        self.expected = parts

    def check(self) -> None:
        """No request left the origin, no policy was violated, no error was logged."""
        reports = self.page.evaluate("window.policyReports")
        unexpected = [
            text for text in self.errors if not any(part in text for part in self.expected)
        ]
        seen = (self.foreign, reports, unexpected)
        assert seen == ([], [], []), seen


class Line:
    """The way between the page and `/ws`, which can be silent, or end a connection."""

    def __init__(self, page: Page) -> None:
        self.is_silent = False
        self.connections: list[WebSocketRoute] = []
        page.route_web_socket("**/ws", self._connect)

    def _connect(self, connection: WebSocketRoute) -> None:
        self.connections.append(connection)
        server = connection.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if not self.is_silent:
                connection.send(message)

        server.on_message(pass_on)


@contextmanager
def watched_page(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:
    """A page in a context of its own; checked at the end."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
    try:
        watched = Watched(context, url)
        yield watched
        watched.check()
    finally:
        context.close()
