"""An outbox, and a business system that makes whatever it is asked for, as often as asked."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gl002.config.actions import ActionSettings
from gl002.context import Context
from gl002.docket import Docket
from gl002.flow.causes import Cause
from gl002.flow.outbox import ENDS, Outbox
from gl002.model import Sample, Tag, now_ns
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from peers.order_desk import OrderDesk
from peers.order_desk_connector import AsyncDeskConnector

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
ADVICE = "boiler1.advice_soot_blowing"
ORDER = {
    "destination": "order_desk", "action": "create_order", "on": {"advice": "boiler1.soot_blowing"},
    "fields": {"asset": "BOILER-001", "text": "{title:.40}", "priority": 2}, "approval": False,
    "retry_policy": {"max_attempts": None, "first": 0.05, "most": 0.2},
}  # fmt: skip
READING = {
    "destination": "order_desk", "action": "create_reading", "approval": False,
    "on": {"tag": "boiler1.efficiency", "every": "1h"},
    "fields": {"point": "EFF_1", "value": "{value}", "unit": "{unit}", "time": "{time}"},
}  # fmt: skip


def advice(time: int, *, title: str = "Blow soot", valid: int = DAY, **changes) -> Sample:
    expires = datetime.fromtimestamp((time + valid) / 1e9, UTC).isoformat()
    given = {
        "id": "boiler1.soot_blowing", "boiler": "boiler1", "kind": "soot_blowing", "title": title,
        "reasons": ["stack 30 K above clean"], "expires": expires,
        "saving": {"fuel_pct": {"value": 1.2}, "per_year": {"money": {"value": 4100.0}}},
        **changes,
    }  # fmt: skip
    return Sample(ADVICE, json.dumps([given]), time)


class Site:
    """An outbox, its desk, and what is restarted after a crash."""

    def __init__(self, folder, desk: OrderDesk, *actions, gateway: str = "house") -> None:
        self.folder, self.desk, self.gateway = folder, desk, gateway
        self.actions = [ActionSettings.parse(action) for action in actions]
        self.clock = now_ns
        self._start()

    def _start(self) -> None:
        self.audit = Audit(self.folder / "audit.jsonl")
        context = Context(network=Network(), audit=self.audit, state_dir=self.folder)
        context.tags.declare(Tag(name="boiler1.efficiency", unit="%", source="boiler"))
        url = f"http://127.0.0.1:{self.desk.port}"
        settings = {"url": url, "timeout": 30, "retry_policy": {"max_attempts": 1}}
        self.connector = AsyncDeskConnector(settings, context=context)
        self.docket = Docket(self.folder / "outbox.sqlite", ends=ENDS)
        causes = [Cause.of("order_desk", each, ["boiler1"], []) for each in self.actions]
        self.outbox = Outbox(
            causes, {"order_desk": self.connector}, self.docket, self.audit,
            now=lambda: self.clock(),  # noqa: PLW0108 (tests change the clock)
        )  # fmt: skip
        self.sink = self.outbox.sink(self.gateway, context.tags)

    async def restart(self) -> None:
        """As after a crash: nothing is kept but what is on disk."""
        await self.close()
        self._start()

    async def close(self) -> None:
        await self.connector.close()
        self.audit.close()

    async def accepts(self, *samples: Sample) -> None:
        await self.sink.prepare()
        await self.sink.write(list(samples))

    async def works(self, rounds: int = 1) -> None:
        """Some looks at what is due, each until it is done."""
        for _ in range(rounds):
            await self.outbox._look()
            if self.outbox._busy:
                await asyncio.wait(self.outbox._busy.values())
        await self.outbox._look()

    async def works_until(self, *states: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            await self.works()
            if self.states == list(states):
                return
            assert time.monotonic() < deadline, self.docket.list()
            await asyncio.sleep(0.02)

    def stop_clock(self) -> int:
        """From now on no wait between two tries is over; the time that it shows."""
        now = now_ns()
        self.clock = lambda: now
        return now

    @property
    def states(self) -> list[str]:
        return [entry.state for entry in self.docket.list()]

    def approve(self) -> None:
        (entry,) = self.docket.list(["waiting"])
        self.docket.move(entry.key, ["waiting"], "approved", actor="ann")

    def audited(self) -> list[str]:
        self.audit.close()
        assert not list(verify(self.audit.path))
        entries = read(self.audit.path)
        return [e["action"] for e in entries if e["action"].startswith("action.")]


@pytest.fixture
def site(tmp_path):
    @asynccontextmanager
    async def made(*actions, **how):
        with OrderDesk() as desk:
            site = Site(tmp_path, desk, *actions, **how)
            try:
                yield site
            finally:
                await site.close()

    return made
