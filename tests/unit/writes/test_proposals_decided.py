"""Proposals that a person decides on: written once or never, and the outcome is told."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gl002.errors import WriteRefused
from unit.writes.proposals_site import MINUTE, proposal, site

fixtures = (site,)


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
