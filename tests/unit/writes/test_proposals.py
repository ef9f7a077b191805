"""Proposals for writes, on a simulated boiler: nothing moves without a person."""

from __future__ import annotations

import pytest

from gl002.errors import WriteRefused
from gl002.proposal import Closed
from unit.writes.proposals_site import MINUTE, proposal, site

fixtures = (site,)


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
