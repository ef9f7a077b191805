"""The outbox: work orders and documents wait here until they are done, each exactly once.

    waiting -> approved -> sending -> done
       |          |           |-----> failed      a person must act: gl002 outbox retry, or drop
       |          |-----------|-----> rehearsed   dry run: what would have been sent
       |----------|-----------|-----> expired, dropped

An entry is `sending` on disk before anything is sent. Whatever then happens (no answer, `kill -9`,
a power cut) the other side is asked for a document with the entry's key before the next try.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gl002.action import Action, Receipt
from gl002.config.actions import OUTBOX, ActionSettings
from gl002.config.blocks import ActionRetrySettings
from gl002.config.flow import OutputSettings
from gl002.connector import Connector
from gl002.docket import Docket, Entry
from gl002.errors import ConnectFailed, DataError, GL002Error, RequestFailed
from gl002.flow.causes import Cause, CauseSink
from gl002.model import TagTable, now_ns
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit

__all__ = ["ENDS", "Outbox", "OutboxStatus", "outbox_docket"]

log = logging.getLogger("gl002.outbox")

ENDS: Final = ("done", "rehearsed", "dropped", "expired")
"""States in which nothing more happens."""
_LOOK: Final = 1.0  # seconds between two looks at what is due
_TURN: Final = 100  # entries of one look
_LAPSED: Final = "what caused it does not hold any more"
_BEGUN: Final = ("approved", "sending")


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of the outbox for people and metrics.

    Attributes:
        waiting: for a person to approve.
        approved: for their turn.
        sending: begun; what became of the last try is not known or did not succeed yet.
        failed: a person must act.
        done: so far, dry runs not included.
        error: the latest trouble of what is being sent, '' where there is none.
    """

    waiting: int
    approved: int
    sending: int
    failed: int
    done: int
    error: str


def outbox_docket(state_dir: Any) -> Docket:
    """The file of the outbox of a gateway."""
    return Docket(state_dir / "outbox.sqlite", ends=ENDS)


class Outbox:
    """Does what is due, one action at a time for each connection.

    Args:
        causes: the section `actions:`.
        connectors: by name.
        docket: the durable file.
        audit: a line before each try and one with its outcome.
        now: the wall clock in nanoseconds; tests give their own.
    """

    def __init__(
        self,
        causes: Sequence[Cause],
        connectors: Mapping[str, Connector[Any]],
        docket: Docket,
        audit: Audit,
        *,
        now: Callable[[], int] = now_ns,
    ) -> None:
        self._causes = {cause.name: cause for cause in causes}
        self._connectors = connectors
        self._docket = docket
        self._audit = audit
        self._now = now
        self._counts: dict[str, int] = {}
        self._troubles: dict[str, str] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._draining = asyncio.Event()
        self._told_waiting = 0

    def sink(self, gateway: str, tags: TagTable) -> CauseSink:
        """What puts new entries here."""
        causes = list(self._causes.values())
        return CauseSink(gateway, causes, self._docket, self._audit, tags)

    def intake(self) -> OutputSettings:
        """The outbox as an output of the store."""
        tags = sorted({tag for cause in self._causes.values() for tag in cause.tags})
        literal = [tag.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]") for tag in tags]
        return OutputSettings.parse({"destination": OUTBOX, "tags": literal, "interval": 0.2})

    # ---- running ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what is due until cancelled, or until nothing is under way after `drain`."""
        try:
            while not self._draining.is_set():
                try:
                    await self._look()
                except GL002Error as error:  # of the docket or the audit file
                    self._trouble_at("", error)
                else:
                    self._troubles.pop("", None)
                try:
                    async with asyncio.timeout(_LOOK):
                        await self._draining.wait()
                except TimeoutError:
                    continue
            if self._busy:
                await asyncio.wait(self._busy.values())
        finally:
            for task in self._busy.values():
                task.cancel()
            if self._busy:
                await asyncio.wait(self._busy.values())

    def drain(self) -> None:
        """Begin nothing more; end when what is under way has its outcome."""
        self._draining.set()

    async def _look(self) -> None:
        """Give each connection that has nothing to do its next entries."""
        now = self._now()
        for lapsed in await self._listed(("waiting", "approved"), expired_by=now):
            if not lapsed.tries:  # else it may have been made: it is looked for in its turn
                await self._end(lapsed, "expired", detail=_LAPSED, before=("waiting", "approved"))
        able = {name for name, connector in self._connectors.items() if connector.actions}
        for name in able - self._busy.keys():
            self._begin(name, await self._listed(_BEGUN, subject=name, due_by=now))
        for entry in await self._listed(_BEGUN, due_by=now):
            if _destination(entry) not in able:
                await self._after(entry, _gone(entry), None)
        self._counts = await asyncio.to_thread(self._docket.counts)
        self._tell()

    def _begin(self, name: str, entries: Sequence[Entry]) -> None:
        if not entries:
            return

        def done(task: asyncio.Task[None]) -> None:
            del self._busy[name]
            if not task.cancelled() and (fault := task.exception()) is not None:
                log.error("outbox: a fault in the gateway", exc_info=fault)

        task = asyncio.create_task(self._do_all(name, entries), name=f"gl002-outbox-{name}")
        self._busy[name] = task
        task.add_done_callback(done)

    async def _listed(self, states: Sequence[str], **wanted: Any) -> list[Entry]:
        return await asyncio.to_thread(self._docket.list, states, limit=_TURN, **wanted)

    def _tell(self) -> None:
        """Say that somebody is waited for, when there are more than before."""
        waiting = self._counts.get("waiting", 0)
        if waiting > self._told_waiting:
            log.warning("outbox: waiting for a person: %d, see gl002 outbox list", waiting)
        self._told_waiting = waiting

    async def _do_all(self, name: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self._draining.is_set():
                return
            try:
                await self._do(entry)
            except GL002Error as error:  # of the docket or the audit file: nothing was sent
                self._trouble_at(name, error)
                return

    def _trouble_at(self, name: str, error: GL002Error) -> None:
        """Remember what is wrong; one line when it is news."""
        if self._troubles.get(name) != str(error):
            log.warning("outbox: %s", error)
        self._troubles[name] = str(error)

    # ---- one entry ----------------------------------------------------------------------------

    async def _do(self, entry: Entry) -> None:
        cause = self._causes.get(str(entry.body.get("cause")))
        dry = bool(entry.body.get("dry_run")) or (cause is not None and cause.settings.dry_run)
        await self._audit.record(
            "action.rehearse" if dry else "action.send", entry.subject, actor="outbox",
            key=entry.key, of=entry.tries + 1,
        )  # fmt: skip
        taken = await self._moved(entry, _BEGUN, "sending", tried=True)
        if taken is None:
            return  # a person has dropped it meanwhile
        try:
            if dry:
                await self._rehearse(taken)
            else:
                await self._send(taken)
        except GL002Error as error:
            await self._after(taken, error, cause)
        except Exception as error:
            log.exception("outbox: %s (%d): a fault in the connector", entry.subject, entry.id)
            await self._after(taken, ConnectFailed(f"{type(error).__name__}: {error}"), cause)
        else:
            self._troubles.pop(_destination(entry), None)

    async def _rehearse(self, entry: Entry) -> None:
        connector, action = self._to_do(entry)
        text = await connector.rehearse(action)
        await self._end(entry, "rehearsed", detail=f"dry run: {text}")

    async def _send(self, entry: Entry) -> None:
        """Look for the document, and make it where there is none."""
        connector, action = self._to_do(entry)
        receipt = await connector.find(action)
        if receipt is None and 0 < entry.expires <= self._now():
            await self._end(entry, "expired", detail=_LAPSED)
            return
        if receipt is None:
            receipt = await connector.perform(action)
        await self._end(entry, "done", number=receipt.number, detail=_said(receipt))

    def _to_do(self, entry: Entry) -> tuple[Connector[Any], Action]:
        what = str(entry.body["action"])
        connector = self._connectors[_destination(entry)]
        if what not in connector.actions:
            raise _gone(entry)
        return connector, Action(key=entry.key, name=what, fields=entry.body["fields"])

    async def _after(self, entry: Entry, error: GL002Error, cause: Cause | None) -> None:
        """A try failed: again later, or a person must act."""
        delay = self._delay(entry, error, cause)
        self._troubles[_destination(entry)] = str(error)
        if delay is None:
            await self._end(entry, "failed", detail=str(error))
            return
        delay = max(delay, error.retry_after)
        due = self._now() + round(delay * 1e9)
        log.info("outbox: %s (%d): again in %.0f s: %s", entry.subject, entry.id, delay, error)
        self._audit.note("action.result", entry.subject, actor="outbox", key=entry.key,
                         result=f"again in {delay:.0f} s: {error}")  # fmt: skip
        await self._moved(entry, ("sending",), "sending", detail=str(error), due=due)

    def _delay(self, entry: Entry, error: GL002Error, cause: Cause | None) -> float | None:
        """Seconds to the next try; None where only a person can help."""
        settings: ActionSettings | None = None if cause is None else cause.settings
        policy = (settings.retry_policy if settings else ActionRetrySettings()).policy()
        if isinstance(error, DataError):
            return None
        if not RetryPolicy.worth_it(error):  # wrong password, not allowed: nothing was sent
            return policy.most if isinstance(error, ConnectFailed) else None
        return next(itertools.islice(policy.delays(), entry.tries - 1, None), None)

    async def _end(
        self, entry: Entry, state: str, *, number: str = "", detail: str = "",
        before: Sequence[str] = ("waiting", "approved", "sending"),
    ) -> None:  # fmt: skip
        """The outcome: on the audit file, then on the docket.

        What was made is done, whatever somebody has decided meanwhile.
        """
        await self._audit.record(
            f"action.{state}", entry.subject, actor="outbox", key=entry.key, number=number or None,
            result=detail or state,
        )  # fmt: skip
        known = before if state != "done" else (*before, "failed", "dropped", "expired")
        await self._moved(entry, known, state, number=number or None, detail=detail)
        level = logging.WARNING if state in {"failed", "expired"} else logging.INFO
        log.log(level, "outbox: %s (%d) %s %s: %s", entry.subject, entry.id, state, number, detail)

    async def _moved(self, entry: Entry, before: Sequence[str], after: str, **more: Any) -> (
        Entry | None
    ):  # fmt: skip
        return await asyncio.to_thread(self._docket.move, entry.key, before, after, **more)

    def status(self) -> OutboxStatus:
        """The state at the last look."""
        count = self._counts.get
        return OutboxStatus(
            waiting=count("waiting", 0),
            approved=count("approved", 0),
            sending=count("sending", 0),
            failed=count("failed", 0),
            done=count("done", 0),
            error="; ".join(self._troubles.values()),
        )


def _said(receipt: Receipt) -> str:
    """The words of the other side, and whether an earlier try had made it."""
    return "; ".join(filter(None, (receipt.detail, "found there" if receipt.already else "")))


def _destination(entry: Entry) -> str:
    return str(entry.body["destination"])


def _gone(entry: Entry) -> GL002Error:
    return RequestFailed(
        f"nothing configured here does '{entry.subject}' any more",
        hint="configure it and 'gl002 outbox retry', or 'gl002 outbox drop'",
    )
