"""Event frames of AF: what happened, from when to when, on which element."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from gl002.errors import DataError, RequestFailed
from gl002.model import to_datetime
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.wire.pi_batch import items_of
from gl002.wire.pi_time import raw

_PAGE = 1000
_OPEN_UNTIL = "9999-"  # the end of a frame that has not ended
_FIELDS = (
    "Items.Name;Items.Description;Items.Path;Items.TemplateName;Items.CategoryNames;"
    "Items.StartTime;Items.EndTime;Items.Severity;Items.IsAcknowledged"
)


class EventFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One event frame.

    Attributes:
        name: its name.
        path: its whole path.
        template: its template, '' where it has none.
        start: when it began, UTC.
        end: when it ended, UTC; None while it goes on.
        severity: 'None', 'Information', 'Warning', 'Minor', 'Major', 'Critical'.
        acknowledged: whether somebody has acknowledged it.
        description: its own words.
        categories: names of its categories.
    """

    name: str
    path: str
    template: str
    start: datetime
    end: datetime | None
    severity: str
    acknowledged: bool
    description: str
    categories: tuple[str, ...]


async def event_frames(
    api: PIWebAPI, start: str, end: str, *, element: str, template: str, most: int
) -> list[EventFrame]:
    """Event frames that overlap a time range, oldest first.

    Args:
        api: to ask.
        start: time parameter.
        end: time parameter.
        element: only those of this element; '' for all of the database.
        template: only those of this template; '' for all.
        most: frames at most.

    Raises:
        RequestFailed: there are more than `most`.
    """
    path = (await api.asset_path(element)).rstrip("\\")
    collection = "elements" if element else "assetdatabases"
    where = f"{collection}/{await api.asset_web_id(path)}/eventframes"
    fixed = [("startTime", start), ("endTime", end), ("searchMode", "Overlapped"),
             ("sortField", "StartTime"), ("selectedFields", _FIELDS)]  # fmt: skip
    if template:
        fixed.append(("templateName", template))
    found: list[EventFrame] = []
    while True:
        query = [*fixed, ("startIndex", str(len(found))), ("maxCount", str(_PAGE))]
        items = items_of(await api.get(where, query, "read event frames"))
        found += [_frame(item) for item in items]
        if len(found) > most:
            raise RequestFailed(
                f"{api.name}: more than {most} event frames", hint="ask for a shorter time"
            )
        if len(items) < _PAGE:
            return sorted(found, key=lambda frame: frame.start)


def _frame(item: object) -> EventFrame:
    if not isinstance(item, dict):
        raise RequestFailed("an answer of PI Web API has no event frame")
    return EventFrame(
        name=_text(item, "Name"), path=_text(item, "Path"), template=_text(item, "TemplateName"),
        start=_time(item, "StartTime"),
        end=None if _text(item, "EndTime").startswith(_OPEN_UNTIL) else _time(item, "EndTime"),
        severity=_text(item, "Severity"), acknowledged=bool(item.get("IsAcknowledged")),
        description=_text(item, "Description"),
        categories=tuple(str(name) for name in item.get("CategoryNames") or ()),
    )  # fmt: skip


def _text(item: Mapping[str, Any], key: str) -> str:
    return str(item.get(key) or "")


def _time(item: Mapping[str, Any], key: str) -> datetime:
    try:
        return to_datetime(raw(item.get(key)))
    except DataError as error:
        raise RequestFailed(f"an event frame has no {key}: {error}") from None
