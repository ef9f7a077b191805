"""The outbox: dry runs, actions that lapse, and their lines in the audit file."""

from __future__ import annotations

import asyncio

import pytest

from gl002.config.actions import ActionSettings
from gl002.errors import WriteRefused
from gl002.model import Sample, now_ns
from unit.flow.outbox_site import DAY, HOUR, ORDER, READING, advice, site

fixtures = (site,)


async def test_a_dry_run_shows_what_would_be_sent_and_makes_nothing(site):
    async with site({**ORDER, "dry_run": True}) as s:
        await s.accepts(advice(now_ns()))
        await s.works(2)
        (entry,) = s.docket.list()
        assert entry.state == "rehearsed"
        assert '"asset": "BOILER-001"' in entry.detail
        assert s.desk.documents == []


async def test_what_was_approved_before_the_dry_run_was_turned_on_is_not_sent_either(site):
    async with site(ORDER) as s:
        await s.accepts(advice(now_ns()))
        s.actions = [ActionSettings.parse({**ORDER, "dry_run": True})]
        await s.restart()
        await s.works(2)
        assert (s.states, s.desk.documents) == (["rehearsed"], [])


async def test_advice_that_lapses_is_not_done_any_more(site):
    async with site({**ORDER, "approval": True}) as s:
        now = now_ns()
        await s.accepts(advice(now, valid=HOUR))
        await s.accepts(advice(now + 1, valid=2 * HOUR))
        s.clock = lambda: now + HOUR + HOUR // 2
        await s.works()
        assert s.states == ["waiting"], "it was given again meanwhile"
        s.clock = lambda: now + 3 * HOUR
        await s.works()
        assert s.states == ["expired"]
        s.clock = lambda: now + 4 * HOUR
        await s.accepts(advice(now + 4 * HOUR, title="Blow soot soon"))
        await s.works()
        assert s.states == ["waiting"], "and again, before anybody did it"
        assert s.audited() == ["action.queued", "action.expired", "action.queued"]
        s.approve()
        await s.works()
        assert [d["text"] for d in s.desk.documents] == ["Blow soot soon"]


async def test_what_lapses_with_an_unknown_outcome_is_looked_for_and_not_made(site):
    async with site(ORDER) as s:
        s.desk.at = lambda stage, key: stage != "stored"
        now = now_ns()
        await s.accepts(advice(now, valid=HOUR))
        await s.works()
        assert s.states == ["sending"]
        s.clock = lambda: now + 2 * HOUR
        await s.works()
        assert s.states == ["done"], "it was made: found by its key"
        s.desk.at = lambda stage, key: stage != "received"
        s.clock = now_ns
        await s.accepts(advice(now + 30 * DAY, valid=-29 * DAY - 23 * HOUR))
        await s.works()
        s.clock = lambda: now + 2 * HOUR
        await s.works()
        assert s.states == ["done", "expired"]
        assert len(s.desk.documents) == 1


async def test_what_a_person_retries_and_lapses_is_looked_for_too(site):
    """It had been tried: it may be there, and its number is wanted."""
    async with site({**ORDER, "retry_policy": {"max_attempts": 1}}) as s:
        s.desk.at = lambda stage, key: stage != "stored"
        now = now_ns()
        await s.accepts(advice(now, valid=HOUR))
        await s.works()
        assert (s.states, len(s.desk.documents)) == (["failed"], 1)
        s.docket.move(s.docket.get(1).key, ["failed"], "approved", actor="ann")
        s.clock = lambda: now + 2 * HOUR
        await s.works()
        assert (s.states, len(s.desk.documents)) == (["done"], 1)
        assert s.docket.get(1).number == s.desk.documents[0]["number"]


async def test_what_lapses_while_it_is_being_made_is_done(site):
    async with site(ORDER) as s:
        now, loop = now_ns(), asyncio.get_running_loop()

        def at(stage: str, _: str) -> None:
            if stage == "received":
                s.clock = lambda: now + 2 * HOUR
                asyncio.run_coroutine_threadsafe(s.outbox._look(), loop).result(30)

        s.desk.at = at
        await s.accepts(advice(now, valid=HOUR))
        await s.works()
        assert (s.states, len(s.desk.documents)) == (["done"], 1)


async def test_each_step_has_its_line_in_the_audit_file(site):
    async with site(ORDER) as s:
        s.desk.busy = 1
        await s.accepts(advice(now_ns()))
        await s.works_until("done")
        assert s.audited() == [
            "action.queued", "action.send", "action.result", "action.send", "action.done",
        ]  # fmt: skip


async def test_without_an_audit_file_nothing_is_queued_and_nothing_sent(site):
    async with site(ORDER) as s:
        await s.accepts(advice(now_ns()))
        s.audit.close()
        s.audit.path.unlink()
        s.audit.path.mkdir()
        await s.works(2)
        assert s.desk.documents == []
        assert (s.states, s.docket.get(1).tries) == (["approved"], 0)
        assert "no audit" in s.outbox.status().error
        with pytest.raises(WriteRefused, match="no audit"):
            await s.accepts(advice(now_ns() + 30 * DAY))
        s.audit.path.rmdir()
        await s.works_until("done")


async def test_at_the_end_what_is_under_way_is_finished_and_nothing_is_begun(site):
    async with site(ORDER, READING) as s:
        running = asyncio.create_task(s.outbox.run())
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        s.desk.at = lambda stage, _: loop.call_soon_threadsafe(begun.set) and None
        now = now_ns()
        await s.accepts(advice(now), Sample("boiler1.efficiency", 84.0, now))
        async with asyncio.timeout(30):
            await begun.wait()
            s.outbox.drain()
            await running
        assert s.states[0] == "done"
        assert len(s.desk.documents) == s.states.count("done")
