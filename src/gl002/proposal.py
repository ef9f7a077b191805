"""What a connector does with a message that asks for a write: it offers a proposal, no more.

    proposal = Proposal(
        id="boiler1/shadow//b1.o2_setpoint@1700000000", point="b1.o2_setpoint", value=3.1,
        origin=self.name, asker="thing boiler1",
    )
    answer = await self.context.proposals.offer(proposal)   # soon: is it kept, and if not, why
    await publish(answer.told())
    answer = await self.context.proposals.outcome(proposal)  # when a person has decided, or nobody

A cloud, a broker or a host can never write to a plant, nor approve what it asks for: a person
approves (`gl002 proposals`), and then the write passes `gl002.writes.guard` like any other. The
queue (`gl002.writes.proposals`) owns durability, expiry, de-duplication and audit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from gl002.errors import DataError

__all__ = ["PROPOSE", "Answer", "Closed", "Proposal", "ProposalState", "Proposals"]

PROPOSE = "propose_write"
"""What a command is called that proposes a write: a direct method, the operation of a job."""

ProposalState: TypeAlias = Literal[
    "refused",  # never kept: nothing waits for anybody
    "waiting",  # kept on disk, for a person to decide
    "writing",  # a person has approved it; it is on its way, or whoever sent it was ended
    "written",  # the point has the value
    "differs",  # sent, but the point has another value: many controllers clamp
    "unknown",  # sent, no answer; never repeated
    "rehearsed",  # approved while `writes.mode` is dry_run: checked, not sent
    "failed",  # approved, but a check or the other side refused it
    "rejected",  # a person said no
    "replaced",  # the same origin has asked for another value of the point, or for none
    "expired",  # nobody decided in time
]
OPEN: frozenset[ProposalState] = frozenset({"waiting", "writing"})
"""States that are not the last."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A write that somebody outside asks for.

    Attributes:
        id: of the wish, the same however often its message arrives: the message's own id, or topic,
            name and the time or version the other side gave this value. At most 200 characters.
            '' for a state that is wished for and told again and again: then the same value as in
            the newest proposal of this origin for this point is the same wish.
        point: id of a point under `writes.points`, as the message names it.
        value: as the message has it; only finite numbers are kept. None takes back what waits.
        unit: of the value; '' is the point's own.
        origin: name of the connection it came through: `self.name`.
        asker: who asks, as far as the message says; stands in the audit file.
        reason: why, in the words of the message.
        lifetime: seconds after which it is pointless; the configured time where absent or shorter.
    """

    id: str
    point: str
    value: Any
    origin: str
    unit: str = ""
    asker: str = ""
    reason: str = ""
    lifetime: float | None = None

    @classmethod
    def asked(cls, command: object, *, id: str, origin: str, asker: str) -> Proposal:  # noqa: A002
        """The proposal in a command: {'point', 'value', 'unit'?, 'reason'?, 'id'?, 'expires_s'?}.

        Args:
            command: JSON as it came.
            id: where the command has none of its own.
            origin: name of the connection it came through.
            asker: who asks.

        Raises:
            DataError: it asks for no value of a point.
        """
        asked = command if isinstance(command, Mapping) else {}
        if asked.get("point") is None or asked.get("value") is None:
            raise DataError("no 'point' and 'value' to propose", hint="{'point': ..., 'value': 3}")
        return cls(
            id=str(asked.get("id") or id),
            point=str(asked["point"]),
            value=asked["value"],
            unit=str(asked.get("unit") or ""),
            origin=origin,
            asker=asker,
            reason=str(asked.get("reason") or ""),
            lifetime=_seconds(asked.get("expires_s")),
        )


def _seconds(value: object) -> float | None:
    """A number of seconds; JSON has integers that no float can hold."""
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a proposal, to be told to whoever asked.

    Attributes:
        id: of the proposal.
        point: of the proposal.
        state: one of `ProposalState`.
        reason: a phrase for people: why it was refused, who decided, what the point has now.
    """

    id: str
    point: str
    state: ProposalState
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it was kept for a person to decide, whatever became of it then."""
        return self.state != "refused"

    @property
    def final(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state not in OPEN

    def told(self) -> dict[str, str]:
        """As plain JSON values, for the answer to a command or a reported state."""
        return {"id": self.id, "point": self.point, "state": self.state, "reason": self.reason}


class Proposals(Protocol):
    """Takes proposals: `context.proposals`."""

    def open_to(self, origin: str) -> bool:
        """Whether the configuration lets this connection propose anything at all.

        Where it does not, a connector need not listen for such messages; those that come all the
        same are offered, so that the refusal is on record.
        """

    def points(self, origin: str) -> frozenset[str]:
        """Points that this connection may propose a write for; to tell wishes from other values."""

    async def offer(self, proposal: Proposal) -> Answer:
        """Keep a proposal for a person; on disk and on the audit file when it returns.

        Offered again (the same id from the same origin), it changes nothing, and the answer says
        what has become of it so far.

        Raises:
            GL002Error: it could not be kept just now; do not acknowledge the message.
        """

    async def outcome(self, proposal: Proposal) -> Answer:
        """Wait until the proposal has its last state; it has one when its lifetime is over.

        Safe to cancel. After a restart offer it again first.
        """


class Closed:
    """Proposals where no gateway runs: each is refused."""

    def open_to(self, origin: str) -> bool:
        """To nobody."""
        return False

    def points(self, origin: str) -> frozenset[str]:
        """None."""
        return frozenset()

    async def offer(self, proposal: Proposal) -> Answer:
        """Refused."""
        reason = "no gateway takes proposals here"
        return Answer(id=proposal.id, point=proposal.point, state="refused", reason=reason)

    async def outcome(self, proposal: Proposal) -> Answer:
        """Refused."""
        return await self.offer(proposal)
