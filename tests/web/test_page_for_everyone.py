"""The dashboard for everyone: readers of screens, keyboards, large type, slow machines."""

from __future__ import annotations

import asyncio
import re

import pytest

from gl002.errors import ConnectFailed
from peers.process import free_port
from web.browser import opened
from web.house import House
from web.page_parts import EFFICIENCY


@pytest.mark.slow
async def test_changes_of_state_are_told_to_screen_readers(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#inputs", "● up opc_ua.primary")
        await asyncio.sleep(1.1)
        await screen.page.evaluate(READ_OUT)
        house.source.trouble = ConnectFailed("opc.tcp://10.0.0.1:4840: connection refused")
        async with asyncio.timeout(60):
            while "opc_ua.primary is retrying." not in await screen.page.evaluate("window.news"):
                await asyncio.sleep(0.05)
        assert await screen.page.get_attribute("#news", "aria-live") == "polite"


READ_OUT = """
    const news = document.getElementById("news");
    window.news = "";
    new MutationObserver(() => { window.news += news.textContent; })
        .observe(news, { childList: true, characterData: true, subtree: true });
"""


async def test_it_is_usable_by_keyboard_alone(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#shown", "34 of 34")
        seen = []
        for _ in range(6):
            await screen.page.keyboard.press("Tab")
            active = "document.activeElement.id || document.activeElement.className"
            seen.append(await screen.page.evaluate(active))
            outlined = "getComputedStyle(document.activeElement).outlineStyle"
            assert await screen.page.evaluate(outlined) == "solid", seen
            if len(seen) == 4:
                break
        assert seen == ["skip", "search", "abnormal", "scroll"]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "name"), [(683, "zoomed"), (360, "telephone")])
async def test_at_twice_the_size_nothing_is_cut_off_at_the_side(chromium, house, width, name):
    async with opened(chromium, house.url, viewport={"width": width, "height": 768}) as screen:
        await screen.shows(EFFICIENCY, "%")
        await screen.keep(name)
        wide = await screen.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


@pytest.mark.slow
async def test_it_has_a_dark_form(chromium, house):
    async with opened(chromium, house.url, color_scheme="dark") as screen:
        await screen.shows(EFFICIENCY, "%")
        await screen.keep("dark")
        ground = await screen.page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )
        assert sum(int(n) for n in re.findall(r"\d+", ground)) < 150


@pytest.mark.slow
async def test_a_thousand_tags_a_second_cost_the_browser_little(chromium, tmp_path):
    async with (
        House(tmp_path, port=free_port(), interval=1.0, more_tags=975) as house,
        opened(chromium, house.url) as screen,
    ):
        await screen.shows("#shown", "1009 of 1009")
        await asyncio.sleep(3)
        session = await screen.page.context.new_cdp_session(screen.page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = await busy(session)
        await asyncio.sleep(5)
        share = (await busy(session) - before) / 5
        before = await busy(session)
        for _ in range(10):
            await screen.page.evaluate(THREE_HUNDRED_COPIES)
        measure = (await busy(session) - before) / 10
        print(f"page: {share:.1%} of a core, {share / measure:.1f} measures of {measure:.3f} s")
        assert 0 < share < 4 * measure, "15 % of a core where a measure takes 37 ms"


THREE_HUNDRED_COPIES = """
    () => {
        const row = (_, i) => ({ tag: `area.point${i}`, value: i * 1.5, quality: "good" });
        const rows = Array.from({ length: 1000 }, row);
        let length = 0;
        for (let i = 0; i < 100; i++) {
            length += JSON.stringify(JSON.parse(JSON.stringify(rows))).length;
        }
        return length;
    }
"""
"""Work by which the speed of the processor is known: how fast a machine is decides no test."""


async def busy(session) -> float:
    """Seconds of processor time the page's main thread has taken."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration")
