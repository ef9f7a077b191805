"""Writes that messages from outside ask for: kept until a person decides, or nobody has in time.

    waiting -> writing -> written | differs | unknown | failed | rehearsed
       |-----> rejected, replaced, expired

A proposal never becomes a write by itself: `approve` takes the name of a person, and then the
write passes the guard like any other, with the value the plant has then. A proposal that somebody
was sending when he was ended becomes `unknown`, and is not sent again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gl002.config.sections import PointSettings, WritesSettings
from gl002.docket import Docket, Draft, Entry
from gl002.errors import BufferFull, GL002Error
from gl002.model import now_ns
from gl002.proposal import OPEN, Answer, Proposal
from gl002.security.audit import Audit
from gl002.writes.guard import Plan, Result, WriteGuard, WriteRequest, checks_of_value

__all__ = ["ENDS", "ProposalQueue", "proposal_docket"]

log = logging.getLogger("gl002.writes")

ENDS: Final = (
    "written", "differs", "unknown", "failed", "rehearsed", "rejected", "replaced", "expired",
)  # fmt: skip
"""States in which nothing more happens."""
_LOOK: Final = 1.0  # seconds between two looks for what has lapsed
_SENDING: Final = 120_000_000_000  # ns after which whoever was writing is not any more
_LONGEST: Final = 200  # characters of an id, a name, a reason from outside
_QUIET: Final = 60_000_000_000  # ns in which the same refusal has one line in the audit file
_MOST_REFUSALS: Final = 1_000  # kinds of refusals remembered
_STATES: Final = {
    "read_back_ok": "written", "read_back_differs": "differs", "unknown": "unknown",
    "dry_run": "rehearsed",
}  # fmt: skip


def proposal_docket(state_dir: Path, settings: WritesSettings) -> Docket:
    """The file of the proposals of a gateway."""
    return Docket(state_dir / "proposals.sqlite", ends=ENDS, most=settings.proposals.most)


class ProposalQueue:
    """The proposals of one gateway; `context.proposals` of its connectors.

    Args:
        settings: `writes:` of the configuration.
        docket: the durable file.
        audit: a line for each proposal before it is kept, and for each end.
        now: the wall clock in nanoseconds; tests give their own.
    """

    def __init__(
        self,
        settings: WritesSettings,
        docket: Docket,
        audit: Audit,
        *,
        now: Callable[[], int] = now_ns,
    ) -> None:
        self._settings = settings
        self._points = {point.id: point for point in settings.points}
        self._docket = docket
        self._audit = audit
        self._now = now
        self._refusals: dict[tuple[str, ...], int] = {}
        self._turn = asyncio.Lock()
        self.waiting = 0

    # ---- for connectors -----------------------------------------------------------------------

    def open_to(self, origin: str) -> bool:
        """Whether the configuration lets this connection propose."""
        allowed = self._settings.proposals.allow
        return self._settings.mode != "off" and (
            origin in allowed or origin.partition(".")[0] in allowed
        )

    def points(self, origin: str) -> frozenset[str]:
        """The points that may be written, where this connection may propose."""
        return frozenset(self._points) if self.open_to(origin) else frozenset()

    async def offer(self, proposal: Proposal) -> Answer:
        """Keep a proposal for a person; see `gl002.proposal.Proposals.offer`."""
        async with self._turn:
            refused = self._refused(proposal)
            if refused:
                return await self._refuse(proposal, refused)
            if proposal.value is None:
                return await self._take_back(proposal)
            known = await self._known(proposal)
            if known is not None:
                return self._answer(proposal, known)
            return await self._keep(proposal)

    async def outcome(self, proposal: Proposal) -> Answer:
        """Wait until it has its last state; see `gl002.proposal.Proposals.outcome`."""
        while True:
            known = await self._known(proposal)
            if known is None:
                return await self.offer(proposal)
            if known.state in OPEN:
                known = await self._settled(known)
            if known.state not in OPEN:
                return self._answer(proposal, known)
            await asyncio.sleep(_LOOK)

    # ---- taking -------------------------------------------------------------------------------

    def _refused(self, proposal: Proposal) -> str:
        """Why it cannot be kept; '' where nothing speaks against it."""
        point, lifetime = self._points.get(proposal.point), proposal.lifetime
        origin, longest = proposal.origin, max(len(proposal.id), len(proposal.point))
        against = [
            (self._settings.mode == "off", "MODE: writes are off"),
            (not self.open_to(origin), f"ORIGIN: {origin} is not in writes.proposals.allow"),
            (point is None, "POINT_NOT_LISTED: there is no such point"),
            (longest > _LONGEST, f"ID: longer than {_LONGEST} characters"),
            (lifetime is not None and not lifetime > 0, "EXPIRED: its time was over when it came"),
        ]
        reason = next((text for holds, text in against if holds), "")
        if reason or point is None or proposal.value is None:
            return reason
        return _against_value(proposal, point)

    async def _refuse(self, proposal: Proposal, reason: str) -> Answer:
        """Answer no; on the audit file, but a flood of the same refusal once a minute only."""
        kind, now = (proposal.origin, proposal.point[:_LONGEST], reason.partition(":")[0]), now_ns()
        if now - self._refusals.get(kind, 0) > _QUIET:
            if len(self._refusals) >= _MOST_REFUSALS:
                self._refusals.clear()
            self._refusals[kind] = now
            log.warning("%s: proposal for '%s' refused: %s", proposal.origin, kind[1], reason)
            self._audit.note("write.proposal_refused", kind[1], **_on_file(proposal), result=reason)
        return Answer(id=proposal.id, point=proposal.point, state="refused", reason=reason)

    async def _keep(self, proposal: Proposal) -> Answer:
        settings, now = self._settings.proposals, self._now()
        seconds = min(settings.expires, proposal.lifetime or settings.expires)
        asker = f"{proposal.origin}: {proposal.asker}" if proposal.asker else proposal.origin
        draft = Draft(
            key=_key(proposal, now),
            subject=proposal.point,
            body={
                "id": proposal.id, "value": _float(proposal.value), "unit": proposal.unit,
                "origin": proposal.origin, "asker": proposal.asker[:_LONGEST],
                "reason": proposal.reason[:_LONGEST],
            },
            expires=now + round(seconds * 1e9),
            actor=asker[:_LONGEST],
        )  # fmt: skip
        await self._audit.record("write.proposed", proposal.point, **_on_file(proposal))
        older = [e for e in await self._of(proposal) if e.state == "waiting"]
        for each in older:
            await self._end(each, "waiting", "replaced", "another value is asked for")
        try:
            entry, _ = await asyncio.to_thread(self._docket.add, draft)
        except BufferFull:
            return await self._refuse(proposal, "FULL: too many proposals wait for a person")
        log.warning(
            "%s asks to write %s = %g: gl002 proposals show %d",
            proposal.origin, proposal.point, _float(proposal.value), entry.id,
        )  # fmt: skip
        return self._answer(proposal, entry)

    async def _take_back(self, proposal: Proposal) -> Answer:
        """The wish holds no more."""
        for each in await self._of(proposal):
            if each.state == "waiting":
                await self._end(each, "waiting", "replaced", "it was taken back")
        reason = "nothing is asked for any more"
        return Answer(id=proposal.id, point=proposal.point, state="replaced", reason=reason)

    async def _known(self, proposal: Proposal) -> Entry | None:
        """The entry of the same wish, None where it is a new one."""
        if proposal.id:
            return await asyncio.to_thread(self._docket.get, _key(proposal, 0))
        newest = (await self._of(proposal))[-1:]
        for entry in newest:
            same = (entry.body["value"], entry.body["unit"]) == (proposal.value, proposal.unit)
            if same and entry.state != "replaced":
                return entry
        return None

    async def _of(self, proposal: Proposal) -> list[Entry]:
        """What this origin has proposed for this point, oldest first."""
        most = self._settings.proposals.most
        entries = await asyncio.to_thread(
            self._docket.list, subject=proposal.point, newest=True, limit=most
        )
        return [
            entry
            for entry in entries
            if (entry.subject, entry.body["origin"]) == (proposal.point, proposal.origin)
        ]

    def _answer(self, proposal: Proposal, entry: Entry) -> Answer:
        state: Any = entry.state
        reason = entry.detail or ("a person must approve it" if state == "waiting" else "")
        return Answer(id=proposal.id, point=proposal.point, state=state, reason=reason)

    # ---- deciding -----------------------------------------------------------------------------

    async def plan(self, entry: Entry, guard: WriteGuard, *, reason: str = "") -> Plan:
        """What a proposal would do now, with the reason of whoever decides; sends nothing."""
        body = entry.body
        reason = ": ".join(filter(None, (f"proposal {entry.id}", body["reason"], reason)))
        return await guard.check(
            WriteRequest(entry.subject, body["value"], body["unit"], entry.actor, reason)
        )

    async def approve(
        self, entry: Entry, plan: Plan, guard: WriteGuard, *, person: str
    ) -> tuple[Entry, Result] | None:
        """Send it, once; None where it does not wait any more.

        Args:
            entry: of the proposal.
            plan: from `plan`; the guard checks everything again.
            guard: the one door to the plant.
            person: who has seen the plan and said yes.

        Raises:
            WriteRefused: a check fails now; the proposal has failed.
            ConnectorError: the other side refused, or nothing was sent; the proposal has failed.
        """
        entry = await self._settled(entry)
        claim = asyncio.create_task(
            self._moved(entry, "waiting", "writing", actor=person, detail="being written")
        )
        state, detail = "unknown", "whoever was writing it was interrupted; look at the plant"
        try:
            taken = await asyncio.shield(claim)
            if taken is None:
                return None
            result = await guard.operate(plan, confirmed_by=person)
            state, detail = _STATES[result.outcome], f"approved by {person}; {_became(result)}"
        except GL002Error as error:
            state, detail = "failed", str(error)
            raise
        finally:
            if await claim is not None:  # also where we were cancelled before we heard of it
                await self._moved(entry, "writing", state, detail=detail)
        return await self._settled(taken), result

    async def reject(self, entry: Entry, *, person: str, reason: str) -> bool:
        """A person says no; False where it does not wait any more."""
        detail = f"rejected by {person}{': ' if reason else ''}{reason}"
        return await self._end(entry, "waiting", "rejected", detail, person) is not None

    async def settle(self) -> None:
        """Let lapse what nobody has decided in time, and what nobody is writing any more."""
        for entry in await asyncio.to_thread(self._docket.list, list(OPEN), limit=1_000):
            await self._settled(entry)

    async def run(self) -> None:
        """Look for what has lapsed, until cancelled."""
        trouble = ""
        while True:
            try:
                await self.settle()
                self.waiting = (await asyncio.to_thread(self._docket.counts)).get("waiting", 0)
                trouble = ""
            except GL002Error as error:
                if str(error) != trouble:
                    log.warning("proposals: %s", error)
                trouble = str(error)
            await asyncio.sleep(_LOOK)

    async def _settled(self, entry: Entry) -> Entry:
        """The entry as it is now, at its end where its time is over."""
        fresh = await asyncio.to_thread(self._docket.get, entry.key) or entry
        if fresh.state == "waiting" and fresh.expires <= self._now():
            await self._end(fresh, "waiting", "expired", "nobody decided in time")
        elif fresh.state == "writing" and fresh.since + _SENDING <= self._now():
            await self._end(fresh, "writing", "unknown", "whoever was writing it was ended")
        else:
            return fresh
        return await asyncio.to_thread(self._docket.get, entry.key) or fresh

    async def _end(
        self, entry: Entry, before: str, state: str, detail: str, person: str = ""
    ) -> Entry | None:
        """Put it at an end that is no write; on the audit file when it really was its end."""
        moved = await self._moved(entry, before, state, actor=person or None, detail=detail)
        if moved is not None:
            await self._audit.record(
                f"write.{state}", entry.subject, actor=person or "gateway", of=entry.key,
                after=entry.body["value"], unit=entry.body["unit"], result=detail,
            )  # fmt: skip
        return moved

    async def _moved(self, entry: Entry, before: str, state: str, **more: Any) -> Entry | None:
        return await asyncio.to_thread(self._docket.move, entry.key, [before], state, **more)


def _became(result: Result) -> str:
    """What became of a write, in a few words."""
    if result.outcome != "unknown":
        return f"now {result.after}"
    seen = "cannot be read" if result.after is None else f"reads {result.after} now"
    return f"nobody knows whether it was written, it {seen}: {result.detail}"


def _key(proposal: Proposal, now: int) -> str:
    """Of the wish: its id from its origin; a state without an id is a new wish each time."""
    wish = proposal.id or f"{proposal.point} {now}"
    digest = hashlib.sha256(f"{proposal.origin}\x00{bool(proposal.id)}\x00{wish}".encode()).digest()
    return base64.b32encode(digest)[:26].decode().lower()


def _against_value(proposal: Proposal, point: PointSettings) -> str:
    """Why the point never takes this value, whatever it has now; '' where it may."""
    value = proposal.value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(_float(value)):
        return "NOT_FINITE: the value is no number"
    _, checks = checks_of_value(_float(value), proposal.unit, point)
    return "; ".join(f"{check.code}: {check.detail}" for check in checks if not check.ok)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer that no float can hold
        return math.inf


def _on_file(proposal: Proposal) -> dict[str, Any]:
    """What the audit file says of a proposal; no more of it than a person reads."""
    return {
        "actor": f"{proposal.origin}: {proposal.asker}"[:_LONGEST],
        "after": proposal.value if isinstance(proposal.value, int | float) else
        str(proposal.value)[:_LONGEST],
        "unit": proposal.unit[:_LONGEST], "reason": proposal.reason[:_LONGEST],
        "proposal": proposal.id[:_LONGEST],
    }  # fmt: skip
