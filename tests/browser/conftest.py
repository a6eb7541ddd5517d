"""A real Chromium against a live server, and where its pictures go."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.minting.conftest import drain, minting_chain

__all__ = ["drain", "minting_chain"]

T = TypeVar("T")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE: ViewportSize = {"width": 1400, "height": 900}
NARROW: ViewportSize = {"width": 400, "height": 900}
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
SETTLED_MS = 400
PATIENCE_MS = 20_000
"""For what a page will come to: several browsers share this machine with workers and chains."""
expect.set_options(timeout=PATIENCE_MS)
ZONE = "Asia/Bangkok"
"""Of the browser: what shows UTC where it should show the reader's time is seen."""
PICTURES = Path(__file__).resolve().parents[2] / "artifacts" / "admin"


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of the test's own.

    Playwright's sync API keeps an event loop running in this thread. Django then refuses to touch
    the database here, although nobody awaits anything; and no other loop may run here until the
    browser is gone, which is why it does not outlive the test.
    """
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        # The system's, else the one that Playwright installed.
        executable = CHROMIUM or playwright.chromium.executable_path
        if not Path(executable).exists():
            pytest.skip("no Chromium here: install one, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()
        # Django keeps a connection for threads with an event loop apart from the one without.
        connections.close_all()


def elsewhere(call: Callable[[], T]) -> T:
    """Does it in a thread that has no event loop yet, and leaves no connection there."""

    def call_and_leave() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call_and_leave).result()


@pytest.fixture
def worker(drain: Callable[[], None]) -> Callable[[], None]:
    """Works as a worker would."""
    return lambda: elsewhere(drain)


class Visitor:
    """One page of one person, and its pictures."""

    def __init__(self, page: Page, base: str, test: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.base = base
        self._test = test
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._hear(message.text))
        page.on(
            "response",
            lambda answer: self._note(answer.status, answer.url),
        )

    def _hear(self, words: str) -> None:
        # Redoc's sign, which is kept out on purpose (docs/security.md).
        if "Content Security Policy" in words and "cdn.redoc.ly" not in words:
            self.errors.append(words)

    def _note(self, status: int, url: str) -> None:
        if status >= 400:
            self.errors.append(f"{status} {url}")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.base}{path}")

    def log_in(self, name: str, password: str) -> None:
        self.go("/admin/login/")
        self.page.fill("[name=username]", name)
        self.page.fill("[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(re.compile(r"/admin/$"))

    def log_out(self) -> None:
        self.page.context.clear_cookies()

    def picture(self, name: str) -> None:
        """Whole, for people to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{self._test}-{name}.png", full_page=True)

    def pictures(self, name: str) -> None:
        """The page as it stands, light and dark, wide and narrow; it is then as it was."""
        for width in (WIDE, NARROW):
            self.page.set_viewport_size(width)
            for scheme in SCHEMES:
                self._dress(scheme)
                # Charts and menus follow size and scheme with a transition.
                self.page.wait_for_timeout(SETTLED_MS)
                self.picture(f"{name}-{width['width']}-{scheme}")
        self._dress(None)
        self.page.set_viewport_size(WIDE)

    def _dress(self, scheme: Literal["light", "dark"] | None) -> None:
        """As the person's own switch does; the system's choice counts when a page is loaded."""
        self.page.emulate_media(color_scheme=scheme or SCHEMES[0])
        self.page.evaluate(
            "theme => { const own = window.Alpine?.$data(document.documentElement);"
            " if (own) own.adminTheme = theme; }",
            scheme or "auto",
        )


@pytest.fixture
def visitor(
    chromium: Browser, live_server: Any, request: pytest.FixtureRequest
) -> Iterator[Visitor]:
    context = chromium.new_context(viewport=WIDE, timezone_id=ZONE)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    seen = Visitor(
        page, live_server.url, re.sub(r"\W+", "-", request.node.name.removeprefix("test_"))
    )
    yield seen
    context.close()
    assert seen.errors == []
