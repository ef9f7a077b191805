"""Proposals for writes, on a simulated boiler: nothing moves without a person, nothing twice."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from gl002.config.sections import WritesSettings
from gl002.context import Context
from gl002.errors import DataError, WriteRefused
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import now_ns
from gl002.proposal import Closed, Proposal
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


async def test_a_proposal_waits_and_moves_nothing(site):
    async with site() as s:
        before = s.setpoint
        answer = await s.queue.offer(proposal())
        assert (answer.state, answer.accepted, answer.final) == ("waiting", True, False)
        await s.queue.settle()
        assert s.setpoint == before
        assert s.states == ["waiting"]
        assert answer.told() == {
            "id": "m1", "point": "o2", "state": "waiting", "reason": "a person must approve it",
        }  # fmt: skip


async def test_an_approved_proposal_goes_through_the_guard_and_says_who_asked_and_who_said_yes(
    site,
):
    async with site() as s:
        await s.queue.offer(proposal(reason="excess air"))
        entry, result = await s.approves()
        assert (entry.state, result.outcome) == ("written", "read_back_ok")
        assert s.setpoint == pytest.approx(3.1)
        answer = await s.queue.offer(proposal())
        assert (answer.state, "ann" in answer.reason) == ("written", True)
        audited = s.audited()
        assert audited[:2] == [("write.proposed", "aws: thing"), ("write.approved", "ann")]
        assert [action for action, _ in audited[2:]] == ["write", "write.result"]


async def test_the_same_message_again_is_the_same_proposal_also_after_a_restart(site):
    async with site() as s:
        for _ in range(3):
            await s.queue.offer(proposal())
            s.restart()
        assert s.states == ["waiting"]
        await s.approves()
        assert (await s.queue.offer(proposal())).state == "written"
        assert await s.approves() is None, "written once"
        assert s.states == ["written"]
        other = await s.queue.offer(proposal(origin="mqtt.plant"))
        assert other.state == "waiting", "an id belongs to its origin"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"origin": "azure"}, "ORIGIN"),
        ({"origin": "mqtt"}, "ORIGIN"),
        ({"origin": "mqtt.other"}, "ORIGIN"),
        ({"point": "burner"}, "POINT_NOT_LISTED"),
        ({"value": 6.5}, "ABS_LIMIT"),
        ({"value": 3.0, "unit": "degC"}, "UNIT"),
        ({"value": float("nan")}, "NOT_FINITE"),
        ({"value": 10**400}, "NOT_FINITE"),
        ({"value": True}, "NOT_FINITE"),
        ({"value": "3.1"}, "NOT_FINITE"),
        ({"value": [3.1]}, "NOT_FINITE"),
        ({"value": {"x": 1}}, "NOT_FINITE"),
        ({"id": "x" * 300}, "ID"),
        ({"lifetime": 0.0}, "EXPIRED"),
        ({"lifetime": -5.0}, "EXPIRED"),
        ({"lifetime": float("nan")}, "EXPIRED"),
    ],
)
async def test_what_may_never_be_written_is_refused_at_once_and_not_kept(site, changes, code):
    async with site() as s:
        answer = await s.queue.offer(proposal(**changes))
        assert (answer.state, answer.accepted) == ("refused", False)
        assert answer.reason.startswith(code)
        assert s.docket.list() == []
        assert [action for action, _ in s.audited()] == ["write.proposal_refused"]


async def test_while_writes_are_off_or_nobody_is_allowed_nothing_is_open(site):
    async with site(mode="off") as s:
        assert not s.queue.open_to("aws")
        assert (await s.queue.offer(proposal())).reason.startswith("MODE")
    async with site(allow=()) as s:
        assert (s.queue.open_to("aws"), s.queue.points("aws")) == (False, frozenset())
    async with site() as s:
        assert s.queue.points("aws.second") == s.queue.points("mqtt.plant") == {"o2"}


async def test_a_flood_of_refusals_has_one_line_a_minute_in_the_audit_file(site):
    async with site() as s:
        for n in range(50):
            await s.queue.offer(proposal(id=str(n), point="burner"))
        await s.queue.offer(proposal(value=99.0))
        assert len(s.audited()) == 2


async def test_a_newer_wish_takes_the_place_of_the_older_of_the_same_origin(site):
    async with site() as s:
        await s.queue.offer(proposal(3.1, id="a"))
        await s.queue.offer(proposal(3.2, id="b", origin="mqtt.plant"))
        await s.queue.offer(proposal(3.3, id="c"))
        assert s.states == ["replaced", "waiting", "waiting"]
        assert (await s.queue.offer(proposal(3.1, id="a"))).state == "replaced"


async def test_what_nobody_decides_on_expires_and_cannot_be_approved(site):
    async with site(expires=600) as s:
        await s.queue.offer(proposal())
        before = s.setpoint
        s.clock = 11 * MINUTE
        assert await s.approves() is None
        assert s.states == ["expired"]
        assert s.setpoint == before
        assert (await s.queue.outcome(proposal())).state == "expired"


async def test_a_shorter_life_of_the_message_holds_and_a_longer_one_does_not(site):
    async with site(expires=600) as s:
        await s.queue.offer(proposal(id="short", lifetime=60.0))
        await s.queue.offer(proposal(id="long", lifetime=86_400.0, origin="mqtt.plant"))
        lives = [round((e.expires - e.made) / 1e9) for e in s.docket.list()]
        assert lives == [60, 600]


async def test_too_many_are_refused(site):
    async with site(most=1, allow=["aws", "azure"]) as s:
        await s.queue.offer(proposal())
        answer = await s.queue.offer(proposal(origin="azure"))
        assert answer.reason.startswith("FULL")
        assert (await s.queue.offer(proposal(3.2, id="b"))).state == "waiting", "it replaces one"


async def test_a_person_says_no_once(site):
    async with site() as s:
        await s.queue.offer(proposal())
        entry = s.docket.get(1)
        assert await s.queue.reject(entry, person="ann", reason="tuning")
        assert not await s.queue.reject(entry, person="bob", reason="")
        assert await s.approves() is None
        answer = await s.queue.outcome(proposal())
        assert (answer.state, answer.reason) == ("rejected", "rejected by ann: tuning")
        assert s.audited()[-1] == ("write.rejected", "ann")


async def test_two_who_approve_at_the_same_time_write_once(site):
    async with site() as s:
        await s.queue.offer(proposal())
        outcomes = await asyncio.gather(*(s.approves() for _ in range(5)))
        assert len([one for one in outcomes if one is not None]) == 1
        assert [action for action, _ in s.audited()].count("write") == 1


async def test_a_write_that_the_guard_refuses_at_the_last_moment_has_failed(site):
    async with site() as s:
        await s.queue.offer(proposal(5.9))
        with pytest.raises(WriteRefused, match="STEP_LIMIT"):
            await s.approves()
        assert s.states == ["failed"]
        assert (await s.queue.outcome(proposal(5.9))).reason.count("STEP_LIMIT") == 1


async def test_in_a_dry_run_an_approved_proposal_is_checked_and_not_sent(site):
    async with site(mode="dry_run") as s:
        before = s.setpoint
        await s.queue.offer(proposal())
        entry, _ = await s.approves()
        assert (entry.state, s.setpoint) == ("rehearsed", before)


async def test_what_was_being_written_when_the_program_was_killed_is_unknown_and_not_sent_again(
    site,
):
    async with site() as s:
        await s.queue.offer(proposal())
        s.docket.move(s.docket.get(1).key, ["waiting"], "writing", actor="ann")
        s.restart()
        before = s.setpoint
        assert await s.approves() is None
        await s.queue.settle()
        assert s.states == ["writing"], "somebody may be at it"
        s.clock = 3 * MINUTE
        await s.queue.settle()
        assert s.states == ["unknown"]
        assert (await s.queue.offer(proposal())).state == "unknown"
        assert s.setpoint == before


async def test_a_write_whose_connection_is_lost_before_its_answer_is_unknown_and_said_so(site):
    async with site() as s:
        await s.queue.offer(proposal())
        entry = s.docket.get(1)
        before = s.link.reply_bytes
        plan = await s.queue.plan(entry, s.guard)
        # What is read before is read again; then comes the answer to the write, and not all of it.
        s.link.cut_after(s.link.reply_bytes - before + 1)
        settled, result = await s.queue.approve(entry, plan, s.guard, person="ann")
        assert s.setpoint == pytest.approx(plan.value)
        assert (result.outcome, s.states) == ("unknown", ["unknown"])
        assert result.detail.startswith("modbus: write boiler1.oxygen_setpoint")
        assert "nobody knows whether it was written" in settled.detail


async def test_an_approval_that_is_interrupted_while_it_writes_is_unknown_and_waits_no_more(site):
    async with site() as s:
        await s.queue.offer(proposal())
        entry = s.docket.get(1)
        plan = await s.queue.plan(entry, s.guard)
        s.link.blackhole()
        approving = asyncio.ensure_future(s.queue.approve(entry, plan, s.guard, person="ann"))
        async with asyncio.timeout(30):
            while s.states != ["writing"]:
                await asyncio.sleep(0.01)
        approving.cancel()
        await asyncio.wait([approving])
        assert s.states == ["unknown"]
        assert await s.queue.approve(entry, plan, s.guard, person="ann") is None


async def test_an_approval_that_is_interrupted_while_it_is_noted_down_is_unknown_too(
    site, monkeypatch
):
    """'writing' is on disk, and who has put it there has not heard of it yet."""
    async with site() as s:
        await s.queue.offer(proposal())
        entry = s.docket.get(1)
        plan = await s.queue.plan(entry, s.guard)
        before, noted, heard = s.setpoint, s.docket.move, threading.Event()

        def move(*arguments, **more):
            try:
                return noted(*arguments, **more)
            finally:
                heard.wait(30)

        monkeypatch.setattr(s.docket, "move", move)
        approving = asyncio.ensure_future(s.queue.approve(entry, plan, s.guard, person="ann"))
        async with asyncio.timeout(30):
            while s.states != ["writing"]:
                await asyncio.sleep(0.01)
        approving.cancel()
        await asyncio.sleep(0)
        heard.set()
        await asyncio.wait([approving])
        assert s.states == ["unknown"]
        assert approving.cancelled()
        assert s.setpoint == before


async def test_who_waits_for_the_outcome_learns_it(site):
    async with site() as s:
        await s.queue.offer(proposal())
        waiting = asyncio.ensure_future(s.queue.outcome(proposal()))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await s.approves()
        async with asyncio.timeout(30):
            assert (await waiting).state == "written"


# ---- a state that is wished for ---------------------------------------------------------------


async def test_a_state_that_is_told_again_is_the_same_wish_whatever_was_decided(site):
    async with site() as s:
        for decided in ("waiting", "rejected"):
            for _ in range(2):
                assert (await s.queue.offer(proposal(id=""))).state == decided
                s.restart()
            await s.queue.reject(s.docket.get(1), person="ann", reason="")
        assert (await s.queue.offer(proposal(3.2, id=""))).state == "waiting"
        assert (await s.queue.offer(proposal(3.1, id=""))).state == "waiting", "it was another"
        assert s.states == ["rejected", "replaced", "waiting"]


async def test_a_wish_that_is_taken_back_waits_no_more_and_may_come_again(site):
    async with site() as s:
        await s.queue.offer(proposal(id=""))
        assert (await s.queue.offer(proposal(None, id=""))).state == "replaced"
        assert s.states == ["replaced"]
        assert (await s.queue.offer(proposal(id=""))).state == "waiting"
        assert s.states == ["replaced", "waiting"]


async def test_without_an_audit_file_no_proposal_is_kept(site):
    async with site() as s:
        s.context.audit.path.mkdir()
        with pytest.raises(WriteRefused, match="no audit"):
            await s.queue.offer(proposal())
        assert s.docket.list() == []
        s.context.audit.path.rmdir()


async def test_a_script_takes_no_proposals(tmp_path):
    closed = Closed()
    assert (await closed.offer(proposal())).state == "refused"
    assert (await closed.outcome(proposal())).final
    assert (closed.open_to("aws"), closed.points("aws")) == (False, frozenset())


# ---- commands ---------------------------------------------------------------------------------


def test_a_command_in_json_is_a_proposal():
    command = {"point": "o2", "value": 3, "unit": "%", "reason": "trial", "expires_s": 60}
    asked = Proposal.asked(command, id="m7", origin="aws", asker="job m7")
    assert asked == Proposal(
        id="m7", point="o2", value=3, unit="%", origin="aws", asker="job m7", reason="trial",
        lifetime=60.0,
    )  # fmt: skip
    assert Proposal.asked({**command, "id": "own"}, id="m7", origin="aws", asker="").id == "own"


@pytest.mark.parametrize(
    "command", [None, 7, "o2=3", [], {}, {"point": "o2"}, {"value": 3}, {"point": None, "value": 3}]
)
def test_a_command_that_asks_for_no_value_of_a_point_is_none(command):
    with pytest.raises(DataError, match="'point' and 'value'"):
        Proposal.asked(command, id="m7", origin="aws", asker="")


@pytest.mark.parametrize(("seconds", "state"), [(10**400, "waiting"), (-(10**400), "refused")])
async def test_a_lifetime_that_no_float_can_hold_is_for_ever_or_over(site, seconds, state):
    """In Pub/Sub such a message came again and again, and nothing behind it."""
    async with site() as s:
        command = {"point": "o2", "value": 3.1, "expires_s": seconds}
        asked = Proposal.asked(command, id="m", origin="aws", asker="")
        assert (await s.queue.offer(asked)).state == state
        s.clock = 601 * 1_000_000_000  # the configured time holds
        assert (await s.queue.outcome(asked)).final


async def test_whatever_stands_in_a_command_only_numbers_are_kept(site):
    async with site() as s:
        odd = {"point": {"a": 1}, "value": [1], "unit": 7, "reason": ["x"] * 1000, "id": {"b": 2}}
        answer = await s.queue.offer(Proposal.asked(odd, id="m", origin="aws", asker="x" * 9000))
        assert answer.state == "refused"
        odd |= {"point": "o2", "value": 3.0, "unit": "%", "id": "m8"}
        assert await s.queue.offer(Proposal.asked(odd, id="m", origin="aws", asker="x" * 9000))
        entry = s.docket.get(1)
        assert max(len(entry.body["reason"]), len(entry.body["asker"]), len(entry.actor)) <= 200
