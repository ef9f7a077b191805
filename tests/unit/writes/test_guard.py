"""The write guard, on a simulated boiler behind real Modbus TCP: what moves, and what must not."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager

import pytest

from gl002.config.sections import PermissiveSettings, WritesSettings
from gl002.context import Context
from gl002.errors import ConfigError, WriteRefused
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import now_ns
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from gl002.writes.clock import Running
from gl002.writes.guard import WriteGuard, WriteRequest

SETPOINT = "AIC301.SP"


@pytest.fixture
def site(tmp_path):
    """A guard for the oxygen setpoint of a boiler, and that boiler."""

    @asynccontextmanager
    async def made(
        mode: str = "approve",
        now=None,
        running=None,
        address="boiler1.oxygen_setpoint",
        permissives=(),
        **limits: float,
    ):
        plant = Plant(noise=False, load=lambda time: 0.7 if time < 60 else 0.4)
        context = Context(
            network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path
        )
        async with ModbusSimulator([plant]) as simulator:
            settings = {**simulator.config(), "timeout": 30, "retry_count": 0}
            connector = AsyncModbusConnector(settings, name="modbus", context=context)
            point = {
                "id": "o2",
                "connector": "modbus",
                "address": address,
                "unit": "%",
                "limits": {"min": 2, "max": 6, "max_step": 2.5, "min_interval": 60, **limits},
                "permissives": list(permissives),
            }
            writes = WritesSettings.parse({"mode": mode, "points": [point]})
            clocks = {"now": now, "running": running}
            clock = {name: given for name, given in clocks.items() if given is not None}
            connections = {"modbus": connector, "burner": connector}
            guard = WriteGuard(writes, connections, context, **clock)
            guard.plant, guard.simulator = plant, simulator
            guard.colleague = lambda: WriteGuard(writes, connections, context, **clock)
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

    def running():
        return Running("one", clock[0] / 1e9)

    async with site(now=lambda: clock[0], running=running) as guard:
        await guard.operate(await guard.check(WriteRequest("o2", 3.5)), confirmed_by="ann")
    async with site(now=lambda: clock[0], running=running) as guard:
        clock[0] += 59 * 10**9
        assert failed(await guard.check(WriteRequest("o2", 3.6))) == ["MIN_INTERVAL"]
        clock[0] += 2 * 10**9
        assert (await guard.check(WriteRequest("o2", 3.6))).ok


@pytest.mark.parametrize("jump", [3600, -3600], ids=["forward", "back"])
async def test_setting_the_clock_makes_the_interval_neither_shorter_nor_longer(site, jump):
    wall, seconds = [10**18], [500.0]
    clocks = {"now": lambda: wall[0], "running": lambda: Running("one", seconds[0])}
    async with site(**clocks) as guard:
        await guard.operate(await guard.check(WriteRequest("o2", 3.5)), confirmed_by="ann")
        wall[0] += jump * 10**9
        assert failed(await guard.check(WriteRequest("o2", 3.6))) == ["MIN_INTERVAL"]
        seconds[0] += 61
        assert (await guard.check(WriteRequest("o2", 3.6))).ok


async def test_conditions_are_checked_again_when_it_is_sent(site):
    async with site() as guard:
        plan = await guard.check(WriteRequest("o2", 3.5))
        guard.simulator.fail("exception")
        with pytest.raises(WriteRefused, match="PV_BAD"):
            await guard.operate(plan, confirmed_by="ann")


FIRING = {"address": "boiler1.load", "min": 60, "max": 95}
"""Load in percent: 70 in the first minute of the plant, then 40."""


async def test_what_must_hold_in_the_plant_is_read_and_shown_with_the_other_checks(site):
    clean = {
        "connector": "burner", "address": "boiler1.carbon_monoxide", "min": 0, "max": 150,
    }  # fmt: skip
    async with site(permissives=[FIRING, clean]) as guard:
        plan = await guard.check(WriteRequest("o2", 3.5))
        assert plan.ok, failed(plan)
        said = [check.detail for check in plan.checks if check.code == "PERMISSIVE"]
        assert said[0] == "boiler1.load is 70, must be 60 to 95"
        assert said[1].endswith("must be 0 to 150")
        await guard.operate(plan, confirmed_by="ann")
        assert setpoint(guard.plant) == 3.5


@pytest.mark.parametrize(
    ("permissive", "said"),
    [
        ({**FIRING, "min": 80}, "boiler1.load is 70, must be 80 to 95"),
        ({"address": "boiler1.load", "max": 65}, "must be at most 65"),
        ({"address": "boiler1.load", "min": 75}, "must be at least 75"),
        ({"address": "boiler1.load", "equals": True}, "must be true"),
        ({"address": "boiler1.load", "equals": "run"}, "must be run"),
        ({"address": "boiler1.no_such", "equals": 1}, "boiler1.no_such"),
        ({**FIRING, "connector": "opc_ua"}, "there is no connection 'opc_ua'"),
    ],
)
async def test_while_the_plant_is_not_in_the_state_for_it_nothing_is_written(
    site, permissive, said
):
    async with site(permissives=[FIRING, permissive]) as guard:
        before = setpoint(guard.plant)
        plan = await guard.check(WriteRequest("o2", 3.5))
        assert failed(plan) == ["PERMISSIVE"]
        with pytest.raises(WriteRefused, match="PERMISSIVE") as caught:
            await guard.operate(plan, confirmed_by="ann")
        assert said in str(caught.value)
        assert setpoint(guard.plant) == before
        assert guard.audit()[-1]["action"] == "write.refused"


async def test_a_state_that_ends_between_the_check_and_the_confirmation_stops_the_write(site):
    async with site(permissives=[FIRING]) as guard:
        plan = await guard.check(WriteRequest("o2", 3.5, actor="ann"))
        assert plan.ok, failed(plan)
        guard.plant.step(1800)
        before = setpoint(guard.plant)
        with pytest.raises(WriteRefused, match=r"PERMISSIVE: boiler1\.load is 40"):
            await guard.operate(plan, confirmed_by="ann")
        assert setpoint(guard.plant) == before


async def test_a_state_that_nobody_has_measured_lately_allows_nothing(site):
    """The clock of the guard is ten minutes ahead of what the device has measured."""
    late = [{**FIRING, "max_age": 60}]
    async with site(now=lambda: now_ns() + 600 * 10**9, permissives=late) as guard:
        plan = await guard.check(WriteRequest("o2", 3.5))
        assert failed(plan) == ["PERMISSIVE"]
        said = next(check.detail for check in plan.checks if check.code == "PERMISSIVE")
        assert "measured 600 s ago, at most 60 s" in said
    async with site(now=lambda: now_ns() + 600 * 10**9, permissives=[FIRING]) as guard:
        assert (await guard.check(WriteRequest("o2", 3.5))).ok, "without a limit it does not count"


@pytest.mark.parametrize(
    ("permissive", "said"),
    [
        ({"address": "a"}, "give 'equals', 'min' or 'max'"),
        ({"address": "a", "equals": 1, "min": 0}, "'equals' or 'min' and 'max'"),
        ({"address": "a", "min": 2, "max": 1}, "min 2 is above max 1"),
    ],
)
def test_a_condition_that_says_nothing_or_contradicts_itself_is_refused(permissive, said):
    with pytest.raises(ConfigError, match=said):
        PermissiveSettings.parse(permissive)


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


@pytest.mark.parametrize("limits", [{"min_interval": 60}, {"min_interval": 0, "max_step": 0.2}])
async def test_of_two_writes_confirmed_at_the_same_time_the_second_is_judged_by_the_first(
    site, limits
):
    """Each was within the limits when it looked; both together are not."""
    async with site(**limits) as ann:
        bob, before = ann.colleague(), setpoint(ann.plant)
        plans = [
            await guard.check(WriteRequest("o2", before + change))
            for guard, change in ((ann, 0.15), (bob, -0.15))
        ]
        assert all(plan.ok for plan in plans)
        outcomes = await asyncio.gather(
            ann.operate(plans[0], confirmed_by="ann"),
            bob.operate(plans[1], confirmed_by="bob"),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, WriteRefused) for outcome in outcomes) == 1, outcomes
        assert [entry["action"] for entry in ann.audit()].count("write") == 1


@pytest.mark.parametrize("name", ["last_writes.json", "last_writes.new", "last_writes.lock"])
async def test_where_the_time_of_a_write_cannot_be_noted_nothing_is_written(site, tmp_path, name):
    """As on a full disk: the next write could not be kept apart from this one."""
    async with site() as guard:
        plan, before = await guard.check(WriteRequest("o2", 3.5)), setpoint(guard.plant)
        (tmp_path / name).mkdir()
        with pytest.raises(WriteRefused, match="last_writes"):
            await guard.operate(plan, confirmed_by="ann")
        assert setpoint(guard.plant) == before


@pytest.mark.parametrize("content", ["", "[1, 2]", "3", '{"o2": "yesterday"}', '{"o2": null}'])
async def test_a_damaged_memory_of_the_writes_refuses_and_says_what_to_do(site, tmp_path, content):
    async with site() as guard:
        (tmp_path / "last_writes.json").write_text(content)
        with pytest.raises(WriteRefused, match="remove it"):
            await guard.check(WriteRequest("o2", 3.5))


async def test_a_value_now_that_is_no_number_is_not_good_enough_to_write(site):
    """Many controllers answer NaN for a dead instrument, and say nothing else about it."""
    async with site(address="boiler1.steam_flow", max_step=None) as guard:
        assert (await guard.check(WriteRequest("o2", 3.5))).ok
        guard.plant.fail("bad_quality", "FT101")
        guard.plant.step(1.0)
        assert failed(await guard.check(WriteRequest("o2", 3.5))) == ["PV_BAD"]
