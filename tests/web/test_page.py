"""The dashboard in a real browser: it shows what the API says."""

from __future__ import annotations

import asyncio
import re

import pytest

from gl002.errors import ConnectFailed
from gl002.model import Quality, Sample, Tag, now_ns
from peers.process import free_port
from web.browser import opened
from web.client import ask, bearer
from web.house import House, until
from web.page_parts import EFFICIENCY


async def api(house, path: str):
    return (await ask(house.port, path, headers=bearer(house.token))).json


async def stand_still(house) -> None:
    """No new values, so that page and API can be compared: what was under way has come."""
    house.source.silent = True
    counted = -1
    while counted != (counted := house.gateway.status().store.accepted):
        await asyncio.sleep(0.5)


async def test_it_shows_efficiency_losses_and_states_as_the_api_tells_them(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows(EFFICIENCY, "%")
        await asyncio.sleep(1)  # a piece of trend for the picture
        await screen.keep("dashboard")
        await stand_still(house)
        (boiler,) = await api(house, "/api/losses")
        efficiency = f"{boiler['efficiency_hhv']['value']:.2f} %"
        await screen.says(EFFICIENCY, efficiency)
        await screen.shows(".now", f"{boiler['efficiency_lhv']['value']:.2f} % of LHV")
        for share in boiler["losses"]:
            figure = f"[data-share='{share['name']}'] .figure"
            await screen.says(figure, percent(share["reading"]["value"]))
        await screen.says("[data-share='steam'] .figure", efficiency)
        assert "Casing" in await screen.text(".losses")
        await screen.says("#link", "● connected")
        assert await screen.text("#name") == "Boiler house 1"
        inputs, outputs = await screen.text("#inputs"), await screen.text("#outputs")
        assert "● up opc_ua.primary" in inputs
        assert "● up boiler.boiler1" in inputs
        assert "● up sqlite" in outputs
        assert re.search(r"\d+ values queued; .* of 1.0 GiB on disk", await screen.text("#store"))
        assert await screen.text("#writes") == "off"
        await screen.says("#shown", f"{len(await api(house, '/api/values'))} of 34")
        row = await screen.text("[data-tag='boiler1.FT101']")
        assert re.match(r"boiler1.FT101 Steam flow [\d,]+ lb/hr", row)
        assert await screen.violations() == []
        assert screen.complaints == []
        assert [u for u in screen.requests if not u.startswith(f"{house.base}/")] == []


def percent(value: float) -> str:
    return "< 0.01 %" if 0 < abs(value) < 0.005 else f"{value:.2f} %"


_LOWEST_TICK = """
    Math.min(...[...document.querySelectorAll(".indicator .ticks text")].map((t) => +t.textContent))
"""


async def test_the_trend_begins_before_the_page_was_opened(chromium, house):
    then = now_ns() - 1200 * 10**9
    tag = "boiler1.efficiency_hhv"
    house.source.also = [Sample(tag, 60.0 + i, then + i * 10**9) for i in range(9)]
    path = f"/api/trend?seconds=1800&tag={tag}"
    while sum(s["low"] == 60.0 for s in (await api(house, path))[0]["stretches"]) < 1:
        await asyncio.sleep(0.1)
    async with opened(chromium, house.url) as screen:
        await screen.shows(".indicator", "30 min ago")
        lowest = await screen.page.evaluate(_LOWEST_TICK)
        assert lowest <= 60, "the scale has room for what was"
        assert screen.complaints == []


async def test_the_token_leaves_the_address_bar_and_no_script_can_read_the_session(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#link", "connected")
        assert screen.page.url == f"{house.base}/"
        assert await screen.page.evaluate("document.cookie") == ""
        assert house.token not in await screen.page.content()


async def test_it_asks_what_the_tags_are_before_it_listens_to_their_values(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#link", "connected")
        asked = [url.removeprefix(house.base).partition("?")[0] for url in screen.requests]
        assert asked.index("/api/values") < asked.index("/api/stream")


async def test_without_a_session_it_asks_for_the_token_and_shows_nothing_else(chromium, house):
    async with opened(chromium, house.base) as screen:
        await screen.shows("#login", "Not signed in")
        assert not await screen.page.is_visible("#main")
        await screen.page.fill("#token", "wrong")
        await screen.page.keyboard.press("Enter")
        await screen.shows("#refused", "not this gateway's token")
        await screen.page.fill("#token", house.token)
        await screen.page.keyboard.press("Enter")
        await screen.shows(EFFICIENCY, "%")
        assert not await screen.page.is_visible("#login")


@pytest.mark.slow
async def test_an_address_with_an_old_token_says_so(chromium, house):
    async with opened(chromium, f"{house.base}/?token=old") as screen:
        await screen.shows("#refused", "no valid token")


CANARY = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\"';--"


async def test_markup_in_any_text_is_shown_as_text_and_nothing_of_it_runs(chromium, tmp_path):
    async with House(tmp_path, port=free_port(), name=f'"<b>{CANARY[:30]}"') as house:
        house.gateway.context.tags.declare(
            Tag(name=CANARY, unit=CANARY, source=CANARY, address=CANARY, description=CANARY)
        )
        house.source.also = [
            Sample(CANARY, CANARY, now_ns(), Quality.UNCERTAIN),
            Sample(f"{CANARY}.efficiency_hhv", 80.0, now_ns(), Quality.BAD),
            Sample(f"{CANARY}.efficiency_note", CANARY, now_ns()),
            Sample(f"{CANARY}.loss_{CANARY}", 5.0, now_ns()),
        ]
        await until(lambda: CANARY in house.gateway.hub.latest)
        async with opened(chromium, house.url) as screen:
            await screen.shows("#values th", CANARY)
            await screen.shows(".boiler h2", CANARY)
            await screen.shows(".boiler .note", CANARY)
            await screen.shows(".sankey", CANARY)
            house.source.trouble = ConnectFailed(CANARY, hint=CANARY)
            await screen.shows("#inputs .why", CANARY)
            assert await screen.page.evaluate("window.hacked") is None
            assert (
                await screen.page.evaluate("document.querySelectorAll('img, main b').length") == 0
            )
            assert await screen.violations() == []
            assert screen.complaints == []


async def test_search_and_the_abnormal_filter_choose_rows(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#shown", "34 of 34")
        await screen.page.fill("#search", "oxygen boiler1.at")
        await screen.shows("#shown", "1 of 34")
        assert await screen.page.locator("#values tbody tr:visible").count() == 1
        await screen.page.fill("#search", "")
        await screen.page.check("#abnormal")
        await screen.shows("#shown", "0 of 34")
        house.source.plant.fail("bad_quality", "TT101")
        await screen.shows("#shown", "1 of 34")
        await screen.shows("#values tbody tr", "boiler1.TT101")


@pytest.mark.slow
async def test_a_tag_that_appears_later_gets_its_row(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#shown", "34 of 34")
        house.gateway.context.tags.declare(Tag(name="new.comer", unit="kPa", description="Late"))
        house.source.also = [Sample("new.comer", 101.3, now_ns())]
        await screen.shows("#shown", "35 of 35")
        await screen.page.fill("#search", "comer")
        await screen.shows("[data-tag='new.comer']", "new.comer Late 101.3 kPa")


async def test_tags_that_a_reload_has_ended_leave_the_page(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("[data-tag='boiler1.FT101']", "good")
        await house.gateway.reload(house.gateway.config)  # the plant is not in its file
        left = [tag["tag"] for tag in await api(house, "/api/values")]
        await screen.shows("#shown", f"{len(left)} of {len(left)}")
        assert await screen.page.locator("[data-tag='boiler1.FT101']").count() == 0
        assert screen.complaints == []


async def test_a_row_out_of_sight_says_what_holds_to_whoever_searches_or_listens(
    chromium, tmp_path
):
    async with House(tmp_path, port=free_port(), interval=0.2, more_tags=100) as house:
        house.gateway.context.tags.declare(Tag(name="zone.last"))
        async with opened(chromium, house.url) as screen:
            row = "[data-tag='zone.last']"
            await screen.shows(row, "no value yet")
            assert await screen.page.evaluate(BELOW, row) > 200
            house.source.also = [Sample("zone.last", 1.0, now_ns())]
            await screen.shows(row, "good")
            house.source.also = [Sample("zone.last", 2.0, now_ns(), Quality.BAD)]
            await screen.shows(row, "bad")
            house.source.also = [Sample("zone.last", 3.5, now_ns(), Quality.BAD)]
            await screen.shows(row, "zone.last 3.500")


BELOW = """
    (row) => document.querySelector(row).getBoundingClientRect().top
        - document.querySelector(".scroll").getBoundingClientRect().bottom
"""


@pytest.mark.slow
async def test_a_loss_without_a_boiler_does_not_make_it_ask_again_and_again(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#shown", "34 of 34")
        house.source.also = [Sample("lone.loss_dry_gas", 5.0, now_ns())]
        await screen.shows("#shown", "35 of 35")
        asked = what_was_asked(screen)
        await asyncio.sleep(7)
        assert what_was_asked(screen) == asked


def what_was_asked(screen) -> int:
    """Requests, but for the stream: that is opened anew where a machine has stood still."""
    return len([url for url in screen.requests if "/api/stream" not in url])
