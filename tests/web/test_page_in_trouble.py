"""The dashboard says so when it cannot show what is: links cut, values bad, late or failing."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from gl002.testing.link import Link
from gl002.testing.stalls import Stalls
from peers.process import free_port
from web.browser import opened
from web.house import House
from web.page_parts import EFFICIENCY


@pytest.mark.parametrize("fault", ["cut", pytest.param("drop_replies", marks=pytest.mark.slow)])
async def test_it_says_within_five_seconds_that_the_link_is_cut_and_recovers(
    chromium, house, fault
):
    with Link(house.port) as link:
        url = f"http://127.0.0.1:{link.port}/?token={house.token}"
        async with opened(chromium, url) as screen:
            await screen.shows(EFFICIENCY, "%")
            await screen.hides("#cut")
            late, began = await screen.stalled(), time.monotonic()
            with Stalls() as stalls:
                getattr(link, fault)()
                await screen.shows("#cut", "No connection to the gateway since")
                took = time.monotonic() - began
            still = stalls.total + await screen.stalled() - late
            assert took - still < 5, f"{took:.1f} s, {still:.1f} s of it the machine's"
            assert await screen.text("#link") == "■ cut"
            assert "Everything below is old" in await screen.text("#cut")
            assert (await screen.page.title()).startswith("■ not connected")
            assert "cut" in await screen.page.evaluate("document.body.className")
            await screen.keep(f"link-{fault}")
            link.restore()
            await screen.says("#link", "● connected")
            await screen.hides("#cut")


@pytest.mark.slow
async def test_a_restarted_gateway_is_found_again_with_the_same_session(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#link", "connected")
        await house.stop_serving()
        await screen.shows("#cut", "No connection")
        await house.serve_again()
        await screen.says("#link", "● connected")


async def test_a_bad_efficiency_is_no_number_and_tells_its_reason(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows(EFFICIENCY, "%")
        house.source.plant.fail("bad_quality", "AT301")
        await screen.shows(".boiler .note", "■ Efficiency is bad: oxygen is bad")
        assert await screen.text(EFFICIENCY) == "\N{EN DASH}"
        assert not await screen.page.is_visible(".sankey")
        assert await screen.text(".losses") == "No heat balance while there is no efficiency."
        await screen.shows("[data-tag='boiler1.AT301']", "■ bad")
        await screen.shows("#counts", "bad")
        await screen.keep("bad-efficiency")


@pytest.mark.slow
async def test_old_inputs_make_it_uncertain_and_late_tags_are_hatched(chromium, tmp_path):
    async with (
        House(tmp_path, port=free_port(), max_age=2.0) as house,
        opened(chromium, house.url) as screen,
    ):
        await screen.shows(EFFICIENCY, "%")
        await asyncio.sleep(2)
        house.source.silent = True
        await screen.shows(".boiler .note", "▲ Efficiency is uncertain: oxygen stale")
        assert (await screen.text(EFFICIENCY)).endswith("%")
        await screen.shows("tr.stale[data-tag='boiler1.AT301']", "late")
        hatched = "getComputedStyle(document.querySelector('tr.stale td')).backgroundImage"
        assert "repeating-linear-gradient" in await screen.page.evaluate(hatched)
        await screen.shows("#counts", "late")
        await screen.keep("uncertain-and-late")


@pytest.mark.slow
async def test_an_output_that_fails_shows_error_queue_and_the_time_to_the_next_try(
    chromium, tmp_path
):
    async with (
        House(tmp_path, port=free_port(), failing_output=True) as house,
        opened(chromium, house.url) as screen,
    ):
        await screen.shows("#outputs", "▲ retrying timescale.main")
        await screen.shows("#outputs .why", "10.20.0.9:5432: connection refused (is it on?)")
        await screen.shows("#outputs .why", "Next try in")
        await screen.shows("#inputs", "● up opc_ua.primary")
        queued = r"^[1-9][\d,]* values queued"
        assert re.match(queued, await screen.text("#store"))
        await screen.keep("failing-output")
