"""What the handlers of the API share: requests, answers, streams, paging, selected fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from peers.pi import archive, assets, times, web_ids
from peers.pi.archive import Archive, Event, Point, Refused


@dataclass
class Request:
    """One request, from the wire or from within a batch."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: Any = None
    parts: tuple[str, ...] = ()  # what the route's pattern caught
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0  # bytes of the body as it was sent

    def one(self, name: str, default: str = "") -> str:
        found = [value for key, value in self.query if key.lower() == name.lower()]
        return found[-1] if found else default

    def many(self, name: str) -> list[str]:
        return [value for key, value in self.query if key.lower() == name.lower()]


@dataclass
class Answer:
    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Stream(NamedTuple):
    """What a WebID of a stream means: a point, or a static value of AF."""

    web_id: str
    name: str
    path: str
    unit: str
    point: Point | None
    static: Any = None
    formula: bool = False


def errors(status: int, *messages: str) -> Answer:
    return Answer(status, {"Errors": list(messages)})


def selected(content: Any, fields: str) -> Any:
    """`content` with only the fields of 'Items.Value;Items.Timestamp'."""
    if not fields:
        return content
    return _selected(content, [f.strip().split(".") for f in fields.split(";") if f.strip()])


def _selected(content: Any, paths: list[list[str]]) -> Any:
    if isinstance(content, list):
        return [_selected(item, paths) for item in content]
    if not isinstance(content, dict):
        return content
    kept = {}
    for name in {path[0] for path in paths if path}:
        if name in content:
            rest = [path[1:] for path in paths if path[0] == name]
            whole = any(not path for path in rest)
            kept[name] = content[name] if whole else _selected(content[name], rest)
    return kept


def timed(event: Event, unit: str) -> dict[str, Any]:
    return {
        "Timestamp": times.text(event.tick), "Value": event.value, "UnitsAbbreviation": unit,
        "Good": event.good, "Questionable": event.questionable,
        "Substituted": event.substituted, "Annotated": False,
    }  # fmt: skip


def stream(base: Archive, web_id: str) -> Stream:
    """The stream of a WebID.

    Raises:
        Refused: 400 where it is malformed, 404 where there is nothing of that name.
    """
    try:
        parsed = web_ids.parse(web_id)
    except web_ids.BadWebId as error:
        raise Refused(str(error)) from None
    if parsed.marker == "DP":
        return _of_point(base, web_id, parsed)
    if parsed.marker == "Ab":
        return _of_attribute(base, web_id, parsed)
    raise Refused("The specified WebID is not that of a stream.")


def _of_point(base: Archive, web_id: str, parsed: web_ids.WebId) -> Stream:
    server, _, name = parsed.path.partition("\\")
    if parsed.ids:
        found = base.by_id(parsed.ids[1]) if parsed.ids[0] == archive.SERVER_ID else None
    else:
        found = base.point(name) if server == archive.SERVER else None
    if found is None:
        raise Refused(f"PI Point not found '{name or parsed.ids}'.", 404)
    return Stream(web_id, found.name, found.path, "", found)


def _of_attribute(base: Archive, web_id: str, parsed: web_ids.WebId) -> Stream:
    path = parsed.path.split("\\", 2)
    found = None
    if len(path) == 3 and path[:2] == [assets.SERVER, assets.DATABASE.upper()]:
        found = assets.find(path[2])
    if found is None or found[1] is None:
        raise Refused("Unknown or invalid AF attribute.", 404)
    attribute = found[1]
    point = base.point(attribute.point) if attribute.point else None
    if attribute.point and point is None:
        raise Refused(f"PI Point not found '{attribute.point}'.", 404)
    full = "\\\\" + parsed.path
    return Stream(
        web_id, attribute.name, full, attribute.unit, point, attribute.value, attribute.formula
    )


def of_streams(streams: Sequence[Stream], of_each: Any) -> Answer:
    """The answer of a stream set: something of each stream."""
    items = [
        {"WebId": s.web_id, "Name": s.name, "Path": s.path, "Links": {}, **of_each(s)}
        for s in streams
    ]
    return Answer(200, {"Links": {}, "Items": items})


def point_content(point: Point) -> dict[str, Any]:
    return {
        "WebId": web_ids.point(archive.SERVER_ID, point.id, point.path), "Id": point.id,
        "Name": point.name, "Path": point.path, "Descriptor": point.descriptor,
        "PointClass": point.cls, "PointType": point.type, "DigitalSetName": point.digital_set,
        "EngineeringUnits": point.unit, "Span": 100.0, "Zero": 0.0, "Step": bool(point.step),
        "Future": bool(point.future), "DisplayDigits": -5, "Links": {},
    }  # fmt: skip


def server_content() -> dict[str, Any]:
    return {
        "WebId": web_ids.server("DS", archive.SERVER_ID, archive.SERVER),
        "Id": str(archive.SERVER_ID), "Name": archive.SERVER,
        "Path": f"\\\\PIServers[{archive.SERVER}]",
        "IsConnected": True, "ServerVersion": "3.4.445.688", "ServerTime": times.text(times.now()),
        "Links": {},
    }  # fmt: skip
