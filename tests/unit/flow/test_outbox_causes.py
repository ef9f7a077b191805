"""What makes an action: advice and hours, once each."""

from __future__ import annotations

import json

import pytest

from gl002.boiler.recommend.advice import Advised
from gl002.boiler.recommend.kinds import Amounts, Recommendation, Saving
from gl002.boiler.uncertainty import Estimate
from gl002.errors import BufferFull
from gl002.flow.advising import samples
from gl002.model import Quality, Sample, now_ns
from unit.flow.outbox_site import ADVICE, DAY, HOUR, ORDER, READING, Site, advice, site

fixtures = (site,)


def declined(time: int) -> Sample:
    no = {"boiler": "boiler1", "kind": "soot_blowing", "declined": "clean"}
    return Sample(ADVICE, json.dumps([no]), time)


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
