"""The two queues that wait for people, as the API shows them: the outbox and the proposals.

To see only. Who decides types a command where the gateway runs, under his own name: the audit
file then says who it was, which a session of the page could not.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Collection
from typing import Final, NamedTuple

from gl002.docket import Docket, Entry
from gl002.flow.gateway import Gateway
from gl002.flow.outbox import outbox_docket
from gl002.security.secrets import Redactor
from gl002.web.pulse import Pulse
from gl002.web.shapes import OutboxAnswer, OutboxEntry, ProposalEntry, ProposalsAnswer, iso
from gl002.writes.proposals import proposal_docket

MOST: Final = 100
"""Entries of one answer."""
USUAL: Final = 20
"""Entries of an answer that nobody has asked to be longer or shorter."""

_LONGEST: Final = 300  # characters of a text; the command line shows all of it
_COMMANDS: Final = {
    "outbox": {"waiting": "approve", "failed": "retry"},
    "proposals": {"waiting": "approve"},
}
"""Queue -> state in which a person must act -> what he would do."""


class Queues:
    """Reads both queues of one gateway, once a beat however many ask.

    Args:
        gateway: whose queues they are.
        pulse: its heartbeat. An answer is never older than the status of the same beat, so who
            asks because a count in the status has changed sees what changed it.
    """

    def __init__(self, gateway: Gateway, pulse: Pulse) -> None:
        config = gateway.config
        self._gateway = gateway
        self._file = shlex.quote(str(config.file.resolve()))
        writes = config.sections.writes
        self._outbox = _Queue(outbox_docket(config.state_dir), _COMMANDS["outbox"], pulse)
        self._proposals = _Queue(
            proposal_docket(config.state_dir, writes), _COMMANDS["proposals"], pulse
        )
        self._units = {point.id: point.unit for point in writes.points}
        self._proposing = writes.mode != "off" and bool(writes.proposals.allow)

    async def outbox(self, limit: int) -> OutboxAnswer:
        """Work orders and documents.

        Raises:
            DocketUnreadable: the file cannot be read now.
        """
        seen = await self._outbox.read()
        return OutboxAnswer(
            configured=self._gateway.outbox is not None,
            counts=seen.counts,
            person=seen.person,
            command=self._typed("outbox list"),
            entries=[self._action(entry) for entry in seen.entries[:limit]],
        )

    async def proposals(self, limit: int) -> ProposalsAnswer:
        """Writes to the plant that somebody outside asks for.

        Raises:
            DocketUnreadable: the file cannot be read now.
        """
        seen = await self._proposals.read()
        return ProposalsAnswer(
            configured=self._proposing,
            counts=seen.counts,
            person=seen.person,
            command=self._typed("proposals list"),
            entries=[self._proposal(entry) for entry in seen.entries[:limit]],
        )

    def _action(self, entry: Entry) -> OutboxEntry:
        body = entry.body
        return OutboxEntry(
            id=entry.id,
            state=entry.state,
            destination=_shown(body["destination"]),
            action=_shown(body["action"]),
            text=_shown(body.get("text", "")),
            dry_run=bool(body.get("dry_run")),
            made=iso(entry.made),
            since=iso(entry.since),
            expires=iso(entry.expires) if entry.expires else None,
            tries=entry.tries,
            actor=_shown(entry.actor),
            number=_shown(entry.number),
            detail=_shown(entry.detail),
            command=self._command("outbox", entry),
        )

    def _proposal(self, entry: Entry) -> ProposalEntry:
        body = entry.body
        return ProposalEntry(
            id=entry.id,
            state=entry.state,
            point=_shown(entry.subject),
            value=body["value"],
            unit=_shown(body["unit"] or self._units.get(entry.subject, "")),
            origin=_shown(body["origin"]),
            asker=_shown(body["asker"]),
            reason=_shown(body["reason"]),
            made=iso(entry.made),
            since=iso(entry.since),
            expires=iso(entry.expires) if entry.expires else None,
            actor=_shown(entry.actor),
            detail=_shown(entry.detail),
            command=self._command("proposals", entry),
        )

    def _command(self, queue: str, entry: Entry) -> str:
        verb = _COMMANDS[queue].get(entry.state)
        return self._typed(f"{queue} {verb} {entry.id}") if verb else ""

    def _typed(self, words: str) -> str:
        """A command, with the file: a number alone may mean that of another gateway."""
        return f"gl002 {words} -c {self._file}"


class _Seen(NamedTuple):
    """A queue at one beat."""

    counts: dict[str, int]
    person: int
    entries: list[Entry]


class _Queue:
    """One file, read by one at a time."""

    def __init__(self, docket: Docket, urgent: Collection[str], pulse: Pulse) -> None:
        self._docket = docket
        self._urgent = list(urgent)
        self._pulse = pulse
        self._turn = asyncio.Lock()
        self._beat = -1
        self._seen = _Seen({}, 0, [])

    async def read(self) -> _Seen:
        """What is there, at most a beat old."""
        async with self._turn:
            beat = self._pulse.number
            if self._beat != beat:
                self._seen = await asyncio.to_thread(self._look)
                self._beat = beat
            return self._seen

    def _look(self) -> _Seen:
        """Those that wait for a person first, so that no crowd of others hides them."""
        urgent = self._docket.list(self._urgent, limit=MOST, newest=True)
        newest = self._docket.list(limit=MOST, newest=True)
        known = {entry.id for entry in urgent}
        others = [e for e in newest if e.id not in known and e.state not in self._urgent]
        counts = self._docket.counts()
        person = sum(counts.get(state, 0) for state in self._urgent)
        return _Seen(counts, person, [*urgent[::-1], *others[::-1]][:MOST])


def _shown(text: object) -> str:
    """A text from outside, of a length for a screen, without secrets."""
    whole = Redactor.redact(str(text))
    return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…"
