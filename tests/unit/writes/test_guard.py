"""The write guard, on a simulated boiler behind real Modbus TCP: what moves, and what must not."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import pytest

from gl002.config.sections import WritesSettings
from gl002.context import Context
from gl002.errors import WriteRefused
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from gl002.writes.guard import WriteGuard, WriteRequest

SETPOINT = "AIC301.SP"


@pytest.fixture
def site(tmp_path):
    """A guard for the oxygen setpoint of a boiler, and that boiler."""

    @asynccontextmanager
    async def made(mode: str = "approve", now=None, **limits: float):
        plant = Plant()
        context = Context(
            network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path
        )
        async with ModbusSimulator([plant]) as simulator:
            settings = {**simulator.config(), "timeout": 30, "retry_count": 0}
            connector = AsyncModbusConnector(settings, name="modbus", context=context)
            point = {
                "id": "o2",
                "connector": "modbus",
                "address": "boiler1.oxygen_setpoint",
                "unit": "%",
                "limits": {"min": 2, "max": 6, "max_step": 2.5, "min_interval": 60, **limits},
            }
            writes = WritesSettings.parse({"mode": mode, "points": [point]})
            clock = {} if now is None else {"now": now}
            guard = WriteGuard(writes, {"modbus": connector}, context, **clock)
            guard.plant, guard.simulator = plant, simulator
            guard.audit = lambda: (context.audit.close(), list(read(context.audit.path)))[1]
            try:
                yield guard
            finally:
                await connector.close()
                context.audit.close()

    return made


def setpoint(plant: Plant) -> float:
    return plant.signals()[SETPOINT].value


def failed(plan) -> list[str]:
    return [check.code for check in plan.checks if not check.ok]


async def test_a_confirmed_write_within_the_limits_moves_the_setpoint_and_is_read_back(site):
    async with site() as guard:
        before = setpoint(guard.plant)
        plan = await guard.check(WriteRequest("o2", 3.5, actor="ann", reason="trial"))
        assert plan.ok, failed(plan)
        assert setpoint(guard.plant) == before, "checking sends nothing"
        result = await guard.operate(plan, confirmed_by="ann")
        assert (result.outcome, result.after) == ("read_back_ok", 3.5)
        assert setpoint(guard.plant) == 3.5


async def test_every_write_stands_in_the_audit_file_before_and_after(site):
    async with site() as guard:
        plan = await guard.check(WriteRequest("o2", 3.5, actor="ann", reason="trial"))
        await guard.operate(plan, confirmed_by="bob")
        entries = [e for e in guard.audit() if e["action"].startswith("write")]
        assert [e["action"] for e in entries] == ["write.approved", "write", "write.result"]
        assert (entries[0]["actor"], entries[0]["reason"], entries[0]["after"]) == (
            "bob",
            "trial",
            3.5,
        )
        assert entries[2]["result"] == "ok"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (WriteRequest("other", 3.0), "POINT_NOT_LISTED"),
        (WriteRequest("o2", 1.9), "ABS_LIMIT"),
        (WriteRequest("o2", 6.1), "ABS_LIMIT"),
        (WriteRequest("o2", math.nan), "NOT_FINITE"),
        (WriteRequest("o2", math.inf), "NOT_FINITE"),
        (WriteRequest("o2", 3.0, unit="degC"), "UNIT"),
        (WriteRequest("o2", None), "RELINQUISH"),
        (WriteRequest("other", None), "POINT_NOT_LISTED"),
    ],
)
async def test_what_a_limit_forbids_never_reaches_the_plant(site, request_, code):
    async with site() as guard:
        before = setpoint(guard.plant)
        plan = await guard.check(request_)
        assert code in failed(plan)
        with pytest.raises(WriteRefused, match=code):
            await guard.operate(plan, confirmed_by="ann")
        assert setpoint(guard.plant) == before
        assert guard.audit()[-1]["action"] == "write.refused"


async def test_a_step_larger_than_allowed_is_refused_and_not_shortened(site):
    async with site(max_step=0.2) as guard:
        before = setpoint(guard.plant)
        plan = await guard.check(WriteRequest("o2", before + 0.5))
        assert failed(plan) == ["STEP_LIMIT"]
        plan = await guard.check(WriteRequest("o2", before + 0.1))
        assert plan.ok


async def test_a_value_in_another_unit_is_converted_before_it_is_judged(site):
    async with site() as guard:
        plan = await guard.check(WriteRequest("o2", 0.035, unit="fraction"))
        assert plan.value == pytest.approx(3.5)
        assert plan.ok


async def test_off_is_the_default_and_refuses(site):
    assert WritesSettings().mode == "off"
    async with site(mode="off") as guard:
        plan = await guard.check(WriteRequest("o2", 3.5))
        with pytest.raises(WriteRefused, match="MODE"):
            await guard.operate(plan, confirmed_by="ann")


async def test_a_dry_run_goes_all_the_way_and_sends_nothing(site):
    async with site(mode="dry_run") as guard:
        before = setpoint(guard.plant)
        result = await guard.operate(await guard.check(WriteRequest("o2", 3.5)), confirmed_by="ann")
        assert result.outcome == "dry_run"
        assert setpoint(guard.plant) == before


async def test_nobody_confirmed_nothing_happens(site):
    async with site() as guard:
        plan = await guard.check(WriteRequest("o2", 3.5, actor="ann"))
        with pytest.raises(WriteRefused, match="CONFIRMATION"):
            await guard.operate(plan, confirmed_by="")


async def test_two_writes_need_their_interval_even_over_a_restart(site):
    clock = [10**18]
    async with site(now=lambda: clock[0]) as guard:
        await guard.operate(await guard.check(WriteRequest("o2", 3.5)), confirmed_by="ann")
    async with site(now=lambda: clock[0]) as guard:
        clock[0] += 59 * 10**9
        assert failed(await guard.check(WriteRequest("o2", 3.6))) == ["MIN_INTERVAL"]
        clock[0] += 2 * 10**9
        assert (await guard.check(WriteRequest("o2", 3.6))).ok


async def test_conditions_are_checked_again_when_it_is_sent(site):
    async with site() as guard:
        plan = await guard.check(WriteRequest("o2", 3.5))
        guard.simulator.fail("exception")
        with pytest.raises(WriteRefused, match="PV_BAD"):
            await guard.operate(plan, confirmed_by="ann")


async def test_without_an_audit_file_nothing_is_written(site, tmp_path):
    async with site() as guard:
        before = setpoint(guard.plant)
        plan = await guard.check(WriteRequest("o2", 3.5))
        guard.audit()
        (tmp_path / "audit.jsonl").unlink()
        (tmp_path / "audit.jsonl").mkdir()
        with pytest.raises(WriteRefused, match="no audit, no write"):
            await guard.operate(plan, confirmed_by="ann")
        assert setpoint(guard.plant) == before


async def test_the_chain_of_the_audit_file_holds_after_all_this(site, tmp_path):
    async with site() as guard:
        await guard.operate(await guard.check(WriteRequest("o2", 3.5)), confirmed_by="ann")
    assert list(verify(tmp_path / "audit.jsonl")) == []
