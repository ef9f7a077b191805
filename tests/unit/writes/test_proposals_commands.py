"""Commands in JSON that become proposals for writes."""

from __future__ import annotations

import pytest

from gl002.errors import DataError
from gl002.proposal import Proposal
from unit.writes.proposals_site import site

fixtures = (site,)


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
