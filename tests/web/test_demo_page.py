"""The page in front of the whole product: real OPC UA and Modbus TCP, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import Sequence

import pytest

from gl002.web.access import Access, read_access
from peers.process import Process
from web.browser import opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Demo(Process):
    """`gl002 demo`."""

    start_timeout = 90.0

    def command(self) -> Sequence[str]:
        return [
            sys.executable, "-m", "gl002", "demo", "--for", "150s", "--port", str(self.port),
            "--state-dir", str(self.folder),
        ]  # fmt: skip

    def ready(self) -> bool:
        return any(self.folder.rglob("api.json"))

    @property
    def access(self) -> Access:
        (file,) = self.folder.rglob("api.json")
        return read_access(file.parent)

    def get(self, path: str):
        request = urllib.request.Request(f"{self.access.url}{path}", headers=self.access.headers())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


async def test_the_demo_shows_its_boiler_from_two_protocols_as_the_api_tells_it(chromium):
    with Demo() as demo:
        async with opened(chromium, demo.access.browser_url()) as screen:
            await screen.shows(".boiler .now .figure", "%")
            await screen.shows("#inputs", "● up opc_ua")
            await screen.shows("#inputs", "● up modbus")
            await screen.shows("#outputs", "● up sqlite")
            await screen.shows("[data-tag='boiler1.steam_flow']", "● good modbus")
            assert " t/h " in await screen.text("[data-tag='boiler1.steam_flow']")
            await screen.shows("[data-tag='boiler1.oxygen']", "% ")
            told: set[str] = set()
            async with asyncio.timeout(60):
                # The page is a second behind: it shows what the API told a moment ago.
                while (shown := await screen.text(".boiler .now .figure")) not in told:
                    (boiler,) = await asyncio.to_thread(demo.get, "/api/losses")
                    told.add(f"{boiler['efficiency_hhv']['value']:.2f} %")
                    await asyncio.sleep(0.2)
            assert 75 < float(shown.removesuffix(" %")) < 95
            await asyncio.sleep(1)
            await screen.keep("demo")
            assert await screen.violations() == []
            assert screen.complaints == []
            assert [u for u in screen.requests if not u.startswith(f"{demo.access.url}/")] == []
