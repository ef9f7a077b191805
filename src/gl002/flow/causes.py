"""From values to actions: each recommendation, each hour of a tag, once.

The outbox takes from the store like any output, so whatever was accepted reaches it, and comes
again when the gateway is killed before its place is kept. What was seen already is remembered in
the docket, in the transaction that puts the new entries there:

    killed before the store has the value     it was never accepted; the advice is given again
    ... before the docket has the entry       the store hands the value over again
    ... before the store's place is kept      the same; the docket knows the value and its key
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gl002.config.actions import ActionSettings, advised
from gl002.docket import Docket, Draft
from gl002.errors import DataError
from gl002.model import Batch, Sample, TagTable, is_good, to_datetime
from gl002.security.audit import Audit
from gl002.sink import Sink
from gl002.wire.field_template import filled

__all__ = ["Cause", "CauseSink", "key_of"]

log = logging.getLogger("gl002.outbox")

_KEY = 26  # letters of 5 bits: 'gl002-' and these make the 32 that an external key may have
_RENEWED = ("waiting", "approved")


def key_of(*parts: str) -> str:
    """An external key: the same for the same parts, 32 letters, digits and '-'."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return f"gl002-{base64.b32encode(digest)[:_KEY].decode().lower()}"


class Cause(NamedTuple):
    """An entry of `actions:` on its connection.

    Attributes:
        connection: name.
        settings: of the entry.
        tags: tags whose values may cause it.
        name: the same over restarts and changes of its fields.
    """

    connection: str
    settings: ActionSettings
    tags: frozenset[str]
    name: str

    @classmethod
    def of(
        cls, connection: str, settings: ActionSettings, boilers: Sequence[str],
        headers: Sequence[str],
    ) -> Cause:  # fmt: skip
        """The cause, with the tags it listens to."""
        on = settings.on
        if on.advice is None:
            tags = frozenset({str(on.tag)})
        else:
            tags = frozenset(
                f"{name}.advice_{kind}" for name, kind in advised(on.advice, boilers, headers)
            )
        return cls(connection, settings, tags, key_of(connection, *settings.cause))


class _Found(NamedTuple):
    """One draft, and what is remembered with it."""

    draft: Draft
    marks: Mapping[str, Any]


class CauseSink(Sink):
    """Puts an entry on the docket for each cause, once.

    Args:
        gateway: name of the gateway; stands in every key, so that two gateways that write to one
            business system do not take each other's documents for theirs.
        causes: what to look for.
        docket: where entries go.
        audit: one line for each entry, before it is there.
        tags: units of the values.
    """

    name = "outbox"

    def __init__(
        self,
        gateway: str,
        causes: Sequence[Cause],
        docket: Docket,
        audit: Audit,
        tags: TagTable,
    ) -> None:
        self._gateway = gateway
        self._causes = causes
        self._docket = docket
        self._audit = audit
        self._tags = tags
        self._marks: dict[str, Any] = {}
        self._audited: set[str] = set()

    async def prepare(self) -> None:
        """Remember what was seen before."""
        self._marks = await asyncio.to_thread(self._docket.marks)

    async def write(self, batch: Batch) -> None:
        """Take note of a batch; the same batch twice makes nothing twice."""
        for sample in batch:
            for cause in self._causes:
                if sample.tag in cause.tags and is_good(sample.quality):
                    await self._take(cause, sample)

    async def _take(self, cause: Cause, sample: Sample) -> None:
        by_tag = cause.settings.on.advice is None
        found = list((self._of_window if by_tag else self._of_advice)(cause, sample))
        for draft, _ in found:
            await self._announce(draft)
        if not found:
            return
        marks = {name: value for _, each in found for name, value in each.items()}
        drafts = [draft for draft, _ in found]
        new = await asyncio.to_thread(self._docket.add_marked, drafts, marks, renew=_RENEWED)
        self._marks.update(marks)
        self._audited.difference_update(draft.key for draft in drafts)
        for entry in new:
            log.log(
                logging.WARNING if entry.state == "failed" else logging.INFO,
                "outbox: %s (%d) is %s%s", entry.subject, entry.id, entry.state,
                f": {entry.detail}" if entry.detail else "",
            )  # fmt: skip

    async def _announce(self, draft: Draft) -> None:
        """On the audit file before it is on the docket: once, also where the docket is full.

        A batch that the docket does not take comes again; nothing after it comes before that, so
        that what is remembered here are the drafts of one value.
        """
        if draft.key in self._audited:
            return
        known = await asyncio.to_thread(self._docket.get, draft.key)
        if known is None or (known.state == "expired" and not known.tries):
            await self._audit.record(
                "action.queued", draft.subject, actor="outbox", key=draft.key,
                fields=draft.body["fields"], result=draft.state,
            )  # fmt: skip
            self._audited.add(draft.key)

    # ---- a good value in each window ----------------------------------------------------------

    def _of_window(self, cause: Cause, sample: Sample) -> Iterator[_Found]:
        """The first good value of a window; a window before one that was met is history."""
        settings = cause.settings
        width = round((settings.on.every or 0) * 1e9)
        window, mark = sample.time // width, f"{cause.name} {sample.tag}"
        if window <= self._marks.get(mark, -1):
            return
        unit = self._tags.unit(sample.tag)
        values = {
            "tag": sample.tag, "value": sample.value, "unit": unit, "time": _iso(sample.time),
            "text": f"{sample.tag} is {sample.value} {unit}".strip(),
        }  # fmt: skip
        expires = sample.time + round(settings.expires * 1e9)
        draft = self._draft(cause, f"{sample.tag} {width} {window}", values, expires)
        yield _Found(draft, {mark: window})

    # ---- a recommendation that is given anew --------------------------------------------------

    def _of_advice(self, cause: Cause, sample: Sample) -> Iterator[_Found]:
        """What is recommended: new, or still; what was looked at before is not looked at again."""
        pause = round(cause.settings.on.again_after * 1e9)
        for given in _recommendations(sample):
            id_ = given["id"]
            if not _is_meant(cause.settings.on.advice or "", given):
                continue
            mark = f"{cause.name} {id_}"
            began, last = self._marks.get(mark, (0, 0))
            if sample.time <= last:
                continue
            if not last or sample.time - last > pause:
                began = sample.time
            draft = self._draft(cause, f"{id_} {began}", _values(given, sample), _expiry(given))
            yield _Found(draft, {mark: (began, sample.time)})

    def _draft(
        self, cause: Cause, occasion: str, values: Mapping[str, Any], expires: int
    ) -> Draft:  # fmt: skip
        settings = cause.settings
        state, detail = ("waiting" if settings.approval else "approved"), ""
        try:
            fields = filled(settings.fields, values)
        except DataError as error:
            fields, state, detail = {}, "failed", str(error)
        return Draft(
            key=key_of(self._gateway, cause.connection, *settings.cause, occasion),
            subject=f"{cause.connection} {settings.action}",
            body={
                "destination": cause.connection, "action": settings.action, "fields": fields,
                "dry_run": settings.dry_run, "cause": cause.name, "text": values["text"],
            },
            expires=expires,
            state=state,
            actor="outbox",
            detail=detail,
        )  # fmt: skip


def _recommendations(sample: Sample) -> Iterator[Mapping[str, Any]]:
    """What an advice tag recommends; what it declines is left out."""
    try:
        content = json.loads(str(sample.value))
    except ValueError:
        return
    for each in content if isinstance(content, list) else ():
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            yield each


def _is_meant(pattern: str, given: Mapping[str, Any]) -> bool:
    """Whether a pattern that names an instrument means this one: 'boiler1.instrument.oxygen'."""
    return pattern.count(".instrument.") == 0 or given["id"] == pattern


def _expiry(given: Mapping[str, Any]) -> int:
    """When a recommendation must be found again; 0 where it does not say."""
    try:
        return round(datetime.fromisoformat(str(given.get("expires"))).timestamp() * 1e9)
    except ValueError:
        return 0


def _values(given: Mapping[str, Any], sample: Sample) -> dict[str, Any]:
    """What may be filled in: `gl002.config.actions.places_of`."""
    saving = given.get("saving") or {}
    fuel = (saving.get("fuel_pct") or {}).get("value")
    money = ((saving.get("per_year") or {}).get("money") or {}).get("value")
    reasons = "; ".join(str(reason) for reason in given.get("reasons") or ())
    title = str(given.get("title", ""))
    said = [title, reasons, "" if fuel is None else f"Saves {fuel:g} % of the fuel"]
    return {
        "id": given["id"], "boiler": given.get("boiler", ""), "kind": given.get("kind", ""),
        "title": title, "reasons": reasons, "text": ". ".join(filter(None, said)),
        "time": _iso(sample.time), "expires": str(given.get("expires", "")),
        "fuel_pct": fuel, "money_per_year": money, "confidence": saving.get("confidence"),
    }  # fmt: skip


def _iso(nanoseconds: int) -> str:
    return to_datetime(nanoseconds).isoformat()
