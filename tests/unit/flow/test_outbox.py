"""The outbox against a business system that makes whatever it is asked for, as often as asked."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gl002.boiler.recommend.advice import Advised
from gl002.boiler.recommend.kinds import Amounts, Recommendation, Saving
from gl002.boiler.uncertainty import Estimate
from gl002.config.actions import ActionSettings
from gl002.context import Context
from gl002.docket import Docket
from gl002.errors import BufferFull, Busy, WriteRefused
from gl002.flow.advising import samples
from gl002.flow.causes import Cause
from gl002.flow.outbox import ENDS, Outbox
from gl002.model import Quality, Sample, Tag, now_ns
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


def declined(time: int) -> Sample:
    no = {"boiler": "boiler1", "kind": "soot_blowing", "declined": "clean"}
    return Sample(ADVICE, json.dumps([no]), time)


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


# ---- what makes an action ---------------------------------------------------------------------


async def test_a_recommendation_becomes_one_order_however_often_it_is_given(site):
    async with site(ORDER) as s:
        now = now_ns()
        for n in range(5):
            await s.accepts(advice(now + n * HOUR))
        await s.works()
        assert s.states == ["done"]
        ((document, entry),) = zip(s.desk.documents, s.docket.list(), strict=True)
        assert (document["text"], document["priority"]) == ("Blow soot", 2)
        assert (document["number"], document["reference"]) == (entry.number, entry.key)
        assert len(entry.key) == 32


async def test_advice_as_the_gateway_gives_it_fills_every_place(site):
    """From the recommendation of the boiler's engine to the document, without a stand-in."""
    text = "{boiler} {kind:.4} {fuel_pct:.1f} {money_per_year:.0f}"
    wish = {**ORDER, "fields": {"asset": "BOILER-001", "text": text, "priority": 2}}
    async with site(wish, {**ORDER, "name": "second"}) as s:
        now = now_ns()
        much = Estimate(value=2.0)
        amounts = Amounts(fuel=much, money=Estimate(value=4100.0), co2=much)
        given = Recommendation(
            id="boiler1.soot_blowing", boiler="boiler1", kind="soot_blowing", title="Blow soot now",
            evidence=(now - HOUR, now), now={"stack_temperature": 190.0}, target={},
            saving=Saving(share=Estimate(value=0.012), per_hour=amounts, per_year=amounts),
            expires=now + DAY,
        )  # fmt: skip
        found = Advised(recommendations=(given,), declined=(), combined=None, projects=None)
        await s.accepts(*samples("boiler1", found, now))
        await s.works()
        assert [d["text"] for d in s.desk.documents] == [
            "boiler1 soot 1.2 4100", "Blow soot now",
        ]  # fmt: skip
        assert s.docket.get(1).expires == pytest.approx(now + DAY, abs=1e6)
        assert s.docket.get(1).body["text"] == "Blow soot now. Saves 1.2 % of the fuel"


async def test_an_order_waits_for_a_person_unless_the_configuration_says_otherwise(site):
    async with site({**ORDER, "approval": True}) as s:
        await s.accepts(advice(now_ns()))
        await s.works(3)
        assert s.states == ["waiting"]
        assert s.desk.documents == []
        assert s.outbox.status().waiting == 1
        s.approve()
        await s.works()
        assert s.states == ["done"]
        assert len(s.desk.documents) == 1


async def test_what_is_recommended_again_long_after_it_was_gone_is_another_order(site):
    async with site(ORDER) as s:
        now = now_ns()
        await s.accepts(advice(now), declined(now + HOUR), advice(now + 2 * HOUR))
        await s.works()
        assert len(s.desk.documents) == 1, "it flickers: that is no news"
        await s.accepts(declined(now + DAY), advice(now + 10 * DAY))
        await s.works()
        assert len(s.desk.documents) == 2
        assert len({d["reference"] for d in s.desk.documents}) == 2


async def test_a_batch_that_comes_again_after_a_crash_makes_nothing_twice(site):
    """Killed after the docket has it and before the store's place is kept, wherever that is."""
    async with site(ORDER, READING) as s:
        now = now_ns() // HOUR * HOUR
        efficiency = [Sample("boiler1.efficiency", 80.0 + n, now + n * HOUR) for n in range(3)]
        batch = [advice(now), *efficiency, declined(now + HOUR), advice(now + 10 * DAY)]
        for cut in range(1, len(batch) + 1):
            await s.accepts(*batch[:cut])
            await s.works()
            await s.restart()
        for start in range(len(batch)):
            await s.accepts(*batch[start:])
            await s.works()
            await s.restart()
        assert sorted(s.states) == ["done"] * 5
        assert len(s.desk.documents) == 5
        assert len({d["reference"] for d in s.desk.documents}) == 5


async def test_each_hour_of_a_tag_is_one_document_from_its_first_good_value(site):
    async with site(READING) as s:
        now = now_ns() // HOUR * HOUR
        await s.accepts(
            Sample("boiler1.efficiency", None, now, Quality.BAD_NO_COMMUNICATION),
            Sample("boiler1.efficiency", 84.5, now + 1),
            Sample("boiler1.efficiency", 85.0, now + 2),
            Sample("other", 1.0, now + 3),
            Sample("boiler1.efficiency", 86.0, now + HOUR),
            Sample("boiler1.efficiency", 83.0, now + 4),
        )
        await s.works()
        assert [d["value"] for d in s.desk.documents] == [84.5, 86.0]
        assert s.desk.documents[0]["unit"] == "%"


async def test_two_gateways_with_the_same_boiler_do_not_take_each_others_orders_for_theirs(
    site, tmp_path
):
    async with site(ORDER) as s:
        other = tmp_path / "other"
        other.mkdir()
        second = Site(other, s.desk, ORDER, gateway="house2")
        moment = now_ns()
        for each in (s, second):
            await each.accepts(advice(moment))
            await each.works()
        await second.close()
        assert len(s.desk.documents) == 2


async def test_instruments_are_told_apart_and_one_may_be_meant_alone(site):
    every = {**ORDER, "on": {"advice": "boiler1.instrument"}}
    one = {**ORDER, "on": {"advice": "boiler1.instrument.oxygen"}, "name": "oxygen"}
    async with site(every, one) as s:
        given = [
            {"id": f"boiler1.instrument.{role}", "boiler": "boiler1", "kind": "instrument",
             "title": f"Check {role}"}
            for role in ("oxygen", "load")
        ]  # fmt: skip
        await s.accepts(Sample("boiler1.advice_instrument", json.dumps(given), now_ns()))
        await s.works()
        texts = sorted(d["text"] for d in s.desk.documents)
        assert texts == ["Check load", "Check oxygen", "Check oxygen"]


@pytest.mark.parametrize("value", ["", "none", "{}", "[1, {}]", '[{"id": 4}]', "[[]]", None, 7])
async def test_what_is_no_advice_makes_nothing_and_harms_nothing(site, value):
    async with site(ORDER) as s:
        await s.accepts(Sample(ADVICE, value, now_ns()))
        assert s.docket.list() == []


async def test_a_value_that_does_not_fit_its_field_is_a_failed_action_that_says_why(site):
    wrong = {**ORDER, "fields": {**ORDER["fields"], "text": "{title:.1f}"}}
    async with site(wrong) as s:
        await s.accepts(advice(now_ns()))
        (entry,) = s.docket.list()
        assert (entry.state, "Blow soot" in entry.detail) == ("failed", True)


async def test_a_docket_that_is_full_is_one_line_of_audit_however_often_it_is_tried(site):
    """The store hands the batch over again and again until a person has decided."""
    async with site({**ORDER, "approval": True}) as s:
        s.docket._most = 0
        given = advice(now_ns())
        for _ in range(3):
            with pytest.raises(BufferFull):
                await s.accepts(given)
        s.docket._most = 10
        await s.accepts(given)
        assert s.states == ["waiting"]
        assert s.audited() == ["action.queued"]


# ---- once -------------------------------------------------------------------------------------


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


# ---- dry run, expiry, audit -------------------------------------------------------------------


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
