"""A simulated boiler, a guard before it, and the proposals that wait there."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from gl002.config.sections import WritesSettings
from gl002.context import Context
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import now_ns
from gl002.proposal import Proposal
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from gl002.testing.link import Link
from gl002.writes.guard import WriteGuard
from gl002.writes.proposals import ProposalQueue, proposal_docket

SETPOINT = "AIC301.SP"
MINUTE = 60_000_000_000


class Site:
    """A queue and a guard in front of a boiler, as in a gateway."""

    def __init__(self, folder, settings, connector, *, context, plant, link) -> None:
        self.link = link
        self.folder, self.settings, self.context, self.plant = folder, settings, context, plant
        self.connectors = {"modbus": connector}
        self.clock = 0
        self.restart()

    def restart(self) -> None:
        """Nothing is kept but what is on disk."""
        self.docket = proposal_docket(self.folder, self.settings)
        self.queue = ProposalQueue(
            self.settings, self.docket, self.context.audit, now=lambda: now_ns() + self.clock
        )
        self.guard = WriteGuard(self.settings, self.connectors, self.context)

    @property
    def setpoint(self) -> float:
        return self.plant.signals()[SETPOINT].value

    @property
    def states(self) -> list[str]:
        return [entry.state for entry in self.docket.list()]

    async def approves(self, number: int = 1):
        entry = self.docket.get(number)
        plan = await self.queue.plan(entry, self.guard)
        return await self.queue.approve(entry, plan, self.guard, person="ann")

    def audited(self) -> list[tuple[str, str]]:
        self.context.audit.close()
        assert not list(verify(self.context.audit.path))
        entries = read(self.context.audit.path)
        return [(e["action"], e["actor"]) for e in entries if e["action"].startswith("write")]


@pytest.fixture
def site(tmp_path):
    @asynccontextmanager
    async def made(mode: str = "approve", allow=("aws", "mqtt.plant"), **proposals):
        context = Context(
            network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path
        )
        plant = Plant()
        async with ModbusSimulator([plant]) as simulator:
            link = Link(simulator.port)
            link.start()
            there = simulator.config()
            there["connection"]["port"] = link.port
            connector = AsyncModbusConnector(
                {**there, "timeout": 60, "retry_count": 0}, name="modbus", context=context
            )
            point = {
                "id": "o2", "connector": "modbus", "address": "boiler1.oxygen_setpoint",
                "unit": "%", "limits": {"min": 2, "max": 6, "max_step": 2.5, "min_interval": 0},
            }  # fmt: skip
            settings = WritesSettings.parse(
                {"mode": mode, "points": [point], "proposals": {"allow": list(allow), **proposals}}
            )
            try:
                yield Site(tmp_path, settings, connector, context=context, plant=plant, link=link)
            finally:
                await connector.close()
                link.stop()
                context.audit.close()

    return made


def proposal(value=3.1, **changes) -> Proposal:
    return Proposal(
        **{"id": "m1", "point": "o2", "value": value, "origin": "aws", "asker": "thing", **changes}
    )
