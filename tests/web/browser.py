"""Headless Chromium on the dashboard, with an eye on everything it should not do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from peers.process import Process, program

SCREENSHOTS = Path(__file__).parents[2] / ".cache" / "screenshots"

_VISIBLE = """
    (selector) => [...document.querySelectorAll(selector)]
        .filter((element) => element.checkVisibility())
        .map((element) => element.innerText ?? element.textContent)
"""
_PATIENCE = 60.0  # seconds to wait for what a browser shows within one or two, where it can
_WATCH = """
    window.late = 0;
    let before = performance.now();
    setInterval(() => {
        const now = performance.now();
        window.late += Math.max(0, now - before - 150);
        before = now;
    }, 100);
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


class Chromium(Process):
    """One browser for many tests; each has a profile of its own in it."""

    def command(self) -> Sequence[str]:
        return [
            program("chromium", "chromium"), "--headless=new", f"--user-data-dir={self.folder}",
            f"--remote-debugging-port={self.port}", "--no-sandbox", "--disable-gpu",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "about:blank",
        ]  # fmt: skip


@dataclass
class Screen:
    """A page, and what was seen of it.

    Attributes:
        page: the page.
        requests: every address it asked for.
        complaints: errors in its console, and scripts that failed.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def text(self, selector: str) -> str:
        """What something that can be seen shows; fails where nothing is to be seen."""
        return (await self._seen(selector))[0]

    async def shows(self, selector: str, text: str) -> None:
        """Wait until something that can be seen holds a text."""
        await self._until(selector, lambda found: any(text in shown for shown in found), text)

    async def says(self, selector: str, text: str) -> None:
        """Wait until something that can be seen shows this text and no other."""
        await self._until(selector, lambda found: found[:1] == [text], text)

    async def hides(self, selector: str) -> None:
        """Wait until nothing of it can be seen."""
        await self._until(selector, lambda found: found == [], "")

    async def _until(self, selector: str, holds: Callable[[list[str]], bool], wanted: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds(found := await self._seen(selector)):
            assert time.monotonic() < deadline, f"{selector} shows {found}, not '{wanted}'"
            await asyncio.sleep(0.05)

    async def stalled(self) -> float:
        """Seconds by which the page's own clock was late so far: no fault of the page."""
        return await self.page.evaluate("window.late") / 1000

    async def _seen(self, selector: str) -> list[str]:
        texts = await self.page.evaluate(_VISIBLE, selector)
        return [" ".join(text.split()) for text in texts]

    async def violations(self) -> list[str]:
        return await self.page.evaluate("window.violations")

    async def keep(self, name: str) -> None:
        """Save what is on the screen, for people."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@asynccontextmanager
async def opened(chromium: Chromium, url: str, **context: Any) -> AsyncIterator[Screen]:
    """The page at an address, in a profile of its own."""
    settings = {"viewport": {"width": 1366, "height": 768}, **context}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{chromium.port}")
        profile = await browser.new_context(**settings)
        try:
            page = await profile.new_page()
            screen = Screen(page)
            await page.add_init_script(_WATCH)
            page.on("request", lambda request: screen.requests.append(request.url))
            page.on("pageerror", lambda error: screen.complaints.append(str(error)))
            page.on("console", lambda message: _note(screen, message))
            await page.goto(url)
            yield screen
        finally:
            await profile.close()
            await browser.close()


def _note(screen: Screen, message: Any) -> None:
    if message.type in {"error", "warning"}:
        screen.complaints.append(message.text)
