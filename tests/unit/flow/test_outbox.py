"""The outbox: each action is done once, whatever happens on the way."""

from __future__ import annotations

import pytest

from gl002.errors import Busy
from gl002.model import Sample, now_ns
from gl002.security.audit import read
from unit.flow.outbox_site import HOUR, ORDER, READING, advice, site

fixtures = (site,)


@pytest.mark.parametrize("stage", ["received", "stored"])
async def test_without_an_answer_the_document_is_looked_for_before_the_next_try(site, stage):
    async with site(ORDER) as s:
        cut = []

        def at(now: str, key: str) -> bool:
            ends = now == stage and not cut
            cut.extend([key] if ends else [])
            return not ends

        s.desk.at = at
        await s.accepts(advice(s.stop_clock()))
        await s.works()
        (entry,) = s.docket.list()
        assert (entry.state, entry.tries) == ("sending", 1)
        assert s.outbox.status().error
        s.clock = now_ns
        await s.works_until("done")
        assert s.desk.with_key(entry.key) == [s.docket.get(1).number]
        assert s.outbox.status().error == ""


async def test_killed_after_the_answer_the_document_is_found_there(site):
    """The answer was read and the docket was not written: the worst place there is."""
    async with site(ORDER) as s:
        await s.accepts(advice(now_ns()))
        (entry,) = s.docket.list()
        s.docket.move(entry.key, ["approved"], "sending", tried=True)
        connector, action = s.outbox._to_do(entry)
        receipt = await connector.perform(action)
        await s.restart()
        await s.works()
        after = s.docket.get(entry.key)
        assert (after.state, after.number, after.detail) == ("done", receipt.number, "found there")
        assert len(s.desk.documents) == 1


async def test_the_audit_tells_the_wait_that_the_other_side_has_asked_for(site, monkeypatch):
    async with site(ORDER) as s:
        busy = Busy("come back later")
        busy.retry_after = 120.0

        async def refuse(_):
            raise busy

        monkeypatch.setattr(s.connector, "perform", refuse)
        await s.accepts(advice(now_ns()))
        await s.works()
        s.audit.close()
        (told,) = [e for e in read(s.audit.path) if e["action"] == "action.result"]
        assert told["result"] == "again in 120 s: come back later"


async def test_a_system_that_is_busy_is_asked_again_with_growing_waits(site):
    async with site(ORDER) as s:
        s.desk.busy = 3
        await s.accepts(advice(now_ns()))
        await s.works_until("done")
        assert s.docket.get(1).tries == 4
        assert len(s.desk.documents) == 1


async def test_tries_that_are_used_up_need_a_person(site):
    async with site({**ORDER, "retry_policy": {"max_attempts": 2, "first": 0.01}}) as s:
        s.desk.busy = 100
        await s.accepts(advice(now_ns()))
        await s.works_until("failed")
        assert s.docket.get(1).tries == 2
        s.desk.busy = 0
        s.docket.move(s.docket.get(1).key, ["failed"], "approved", actor="ann")
        await s.works_until("done")


async def test_what_the_system_refuses_is_tried_once_and_says_its_words(site):
    wrong = {**ORDER, "fields": {**ORDER["fields"], "asset": "BOILER-9"}}
    async with site(wrong, READING) as s:
        now = now_ns()
        await s.accepts(advice(now), Sample("boiler1.efficiency", 84.0, now))
        await s.works(3)
        assert s.states == ["failed", "done"], "the others are not kept waiting"
        assert (s.docket.get(1).tries, "BOILER-9" in s.docket.get(1).detail) == (1, True)
        assert s.outbox.status().failed == 1


async def test_a_wrong_password_keeps_the_action_for_when_it_is_right(site):
    async with site(ORDER) as s:
        s.desk.token = "changed"
        await s.accepts(advice(now_ns()))
        await s.works()
        assert s.states == ["sending"]
        s.desk.token = "desk-token"
        await s.works_until("done")


async def test_what_is_dropped_between_two_tries_is_not_tried_again(site):
    async with site(ORDER) as s:
        s.desk.busy = 1
        now = s.stop_clock()
        await s.accepts(advice(now))
        await s.works()
        assert s.states == ["sending"]
        s.docket.move(s.docket.get(1).key, ["sending"], "dropped", actor="ann")
        s.clock = lambda: now + HOUR
        await s.works(2)
        assert (s.states, s.desk.documents) == (["dropped"], [])


async def test_what_is_dropped_while_it_is_made_is_shown_as_done(site):
    async with site(ORDER) as s:
        s.desk.at = lambda stage, key: (
            s.docket.move(key, ["sending"], "dropped") is None if stage == "stored" else None
        ) or None  # fmt: skip
        await s.accepts(advice(now_ns()))
        await s.works()
        assert (s.states, len(s.desk.documents)) == (["done"], 1)


async def test_an_action_that_is_configured_no_more_fails_and_says_so(site):
    async with site(ORDER) as s:
        await s.accepts(advice(now_ns()))
        s.outbox._connectors = {}
        await s.works()
        assert (s.states, "any more" in s.docket.get(1).detail) == (["failed"], True)


async def test_a_connection_that_does_no_actions_any_more_fails_its_entries_and_says_so(site):
    async with site(ORDER) as s:
        await s.accepts(advice(now_ns()))
        s.connector.actions = {}
        await s.works()
        assert (s.states, "any more" in s.docket.get(1).detail) == (["failed"], True)
