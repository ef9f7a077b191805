"""The endpoints of PI Web API that a gateway meets.

Source: PI Web API Reference (docs.aveva.com/bundle/pi-web-api-reference), the pages of the
controllers System, DataServer, Point, Stream, StreamSet, Attribute, Element, AssetServer,
AssetDatabase, Batch, and the topics Error Handling, Value Types, Update Option, Boundary Type.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from peers.pi import archive, assets, times, web_ids
from peers.pi.answers import (
    Answer,
    Request,
    errors,
    of_streams,
    point_content,
    selected,
    server_content,
    stream,
)
from peers.pi.archive import Archive, Refused
from peers.pi.omf import Omf
from peers.pi.streams import Streams

_PROPERTIES = {
    "Name", "Descriptor", "PointClass", "PointType", "DigitalSetName", "EngineeringUnits", "Step",
    "Future", "DisplayDigits", "Span", "Zero",
}  # fmt: skip
_REFERENCE = re.compile(r"\$\.([^.]+)\.(Content|Headers)\.([A-Za-z.\[\]0-9]+)")
_MOST_POINTS = 1000

Handler = Callable[[Request], Answer]

log = logging.getLogger("pi")


class Api:
    """Answers requests; knows no HTTP.

    Args:
        base: the archive.
        most: MaxReturnedItemsPerCall.
        read_only: DisableWrites.
    """

    def __init__(self, base: Archive, *, most: int = 150_000, read_only: bool = False) -> None:
        self.base = base
        self._read_only = read_only
        streams = Streams(base, most)
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (method, re.compile(pattern + r"/?", re.IGNORECASE), handler)
            for method, pattern, handler in (
                ("GET", "", lambda _: Answer(200, {"Links": {}})),
                ("GET", "system", self._system),
                ("GET", "dataservers", self._data_servers),
                ("GET", "dataservers/([^/]+)/points", self._points),
                ("POST", "dataservers/([^/]+)/points", self._create_point),
                ("GET", "points", self._point_by_path),
                ("GET", "points/multiple", self._points_multiple),
                ("GET", "points/([^/]+)", self._point),
                ("GET", "assetservers", lambda _: _items([assets.as_server()])),
                ("GET", "assetservers/[^/]+/assetdatabases", self._databases),
                ("GET", "assetdatabases", self._database),
                ("GET", "assetdatabases/[^/]+/elements", self._root_elements),
                ("GET", "assetdatabases/[^/]+/eventframes", self._frames),
                ("GET", "elements", self._element_by_path),
                ("GET", "elements/([^/]+)/elements", self._elements),
                ("GET", "elements/([^/]+)/attributes", self._attributes),
                ("GET", "elements/([^/]+)/eventframes", self._frames),
                ("GET", "attributes", self._attribute_by_path),
                ("GET", "attributes/([^/]+)", self._attribute),
                ("POST", "batch", self._batch),
                ("POST", "omf", Omf(base).handle),
                *streams.routes(),
            )
        ]  # fmt: skip

    def handle(self, request: Request) -> Answer:
        """The answer to one request; each leaves a line in the log."""
        log.info("%s %s", request.method, request.path)
        if self._read_only and request.method != "GET" and request.path != "batch":
            return errors(403, "PI Web API is in read-only mode.")
        methods = set()
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                request.parts = tuple(unquote(part) for part in match.groups())
                return self._answer(handler, request)
            if match is not None:
                methods.add(method)
        if methods:
            words = f"The requested resource does not support http method '{request.method}'."
            return Answer(405, {"Message": words})
        return errors(404, f"The requested resource '{request.path}' was not found.")

    def _answer(self, handler: Handler, request: Request) -> Answer:
        try:
            answer = handler(request)
        except Refused as error:
            return errors(error.status, str(error))
        except times.BadTime as error:
            return errors(400, str(error))
        answer.content = selected(answer.content, request.one("selectedFields"))
        return answer

    # ---- servers and points -----------------------------------------------------------------

    def _system(self, _: Request) -> Answer:
        return Answer(
            200, {"ProductTitle": "PI Web API 2023 SP1", "ProductVersion": "1.19.0.0", "Links": {}}
        )

    def _data_servers(self, request: Request) -> Answer:
        path, name = request.one("path"), request.one("name")
        if not path and not name:
            return _items([server_content()])
        wanted = (name or path.removeprefix("\\\\")).upper()
        if wanted not in {archive.SERVER, f"PISERVERS[{archive.SERVER}]"}:
            raise Refused(f"The specified data server '{wanted}' was not found.", 404)
        return Answer(200, server_content())

    def _server(self, web_id: str) -> None:
        try:
            parsed = web_ids.parse(web_id)
        except web_ids.BadWebId as error:
            raise Refused(str(error)) from None
        if (
            parsed.marker != "DS"
            or (parsed.ids[:1] or (archive.SERVER_ID,))[0] != archive.SERVER_ID
        ):
            raise Refused("The specified data server was not found.", 404)

    def _points(self, request: Request) -> Answer:
        self._server(request.parts[0])
        count = int(request.one("maxCount", str(_MOST_POINTS)))
        start = int(request.one("startIndex", "0"))
        points = self.base.points(request.one("nameFilter", "*"), start, count)
        return _items([point_content(point) for point in points])

    def _create_point(self, request: Request) -> Answer:
        self._server(request.parts[0])
        body = request.body
        if not isinstance(body, dict) or not isinstance(body.get("Name"), str):
            raise Refused("The Name property is required.")
        unknown = sorted(set(body) - _PROPERTIES)
        if unknown:
            raise Refused(f"Properties [{', '.join(unknown)}] are not allowed.")
        point = self.base.create(
            body["Name"], body.get("PointType", "Float32"),
            digital_set=body.get("DigitalSetName", ""), descriptor=body.get("Descriptor", ""),
            unit=body.get("EngineeringUnits", ""), cls=body.get("PointClass", "classic"),
            step=bool(body.get("Step")), future=bool(body.get("Future")),
        )  # fmt: skip
        return Answer(201, None, {"Location": f"/piwebapi/points/{point_content(point)['WebId']}"})

    def _named(self, path: str) -> dict[str, Any]:
        server, _, name = path.removeprefix("\\\\").partition("\\")
        if not path.startswith("\\\\") or not name:
            raise Refused(f"The specified path '{path}' is not valid.")
        point = self.base.point(name) if server.upper() == archive.SERVER else None
        if point is None:
            raise Refused(f"PI Point not found '{name}'.", 404)
        return point_content(point)

    def _point_by_path(self, request: Request) -> Answer:
        return Answer(200, self._named(request.one("path")))

    def _point(self, request: Request) -> Answer:
        found = stream(self.base, request.parts[0])
        if found.point is None:
            raise Refused("The specified WebID is not that of a point.")
        return Answer(200, point_content(found.point))

    def _points_multiple(self, request: Request) -> Answer:
        items, failed = [], False
        for path in request.many("path"):
            item: dict[str, Any] = {"Identifier": path, "IdentifierType": "Path"}
            try:
                item["Object"] = self._named(path)
            except Refused as error:
                item["Exception"], failed = {"Errors": [str(error)]}, True
            items.append(item)
        return Answer(207 if failed else 200, {"Items": items, "Links": {}})

    # ---- assets -----------------------------------------------------------------------------

    def _databases(self, _: Request) -> Answer:
        return _items([assets.as_database()])

    def _database(self, request: Request) -> Answer:
        if request.one("path").upper() != f"\\\\{assets.SERVER}\\{assets.DATABASE}".upper():
            raise Refused("The specified database was not found.", 404)
        return Answer(200, assets.as_database())

    def _root_elements(self, _: Request) -> Answer:
        return _items([assets.as_element(element, element.name) for element in assets.ROOT])

    def _rest(self, request: Request) -> str:
        try:
            parsed = web_ids.parse(request.parts[0])
        except web_ids.BadWebId as error:
            raise Refused(str(error)) from None
        path = parsed.path.split("\\", 2)
        if len(path) != 3 or assets.find(path[2]) is None:
            raise Refused("Unknown or invalid AF element or attribute.", 404)
        return assets.spelled(path[2])

    def _by_path(self, request: Request, *, attribute: bool) -> tuple[Any, str]:
        path = request.one("path")
        rest = assets.below(path) if path.count("\\") >= 4 else ""
        found = assets.find(rest) if rest and path.upper().startswith(
            f"\\\\{assets.SERVER}\\{assets.DATABASE}\\".upper()) else None  # fmt: skip
        if found is None or (found[1] is None) == attribute:
            raise Refused(f"The specified path '{path}' was not found.", 404)
        return found[1] or found[0], assets.spelled(rest)

    def _element_by_path(self, request: Request) -> Answer:
        return Answer(200, assets.as_element(*self._by_path(request, attribute=False)))

    def _attribute_by_path(self, request: Request) -> Answer:
        return Answer(200, assets.as_attribute(*self._by_path(request, attribute=True)))

    def _attribute(self, request: Request) -> Answer:
        rest = self._rest(request)
        found = assets.find(rest)
        assert found is not None
        if found[1] is None:
            raise Refused("Unknown or invalid AF attribute.", 404)
        return Answer(200, assets.as_attribute(found[1], rest))

    def _elements(self, request: Request) -> Answer:
        rest = self._rest(request)
        found = assets.find(rest)
        assert found is not None
        return _items([assets.as_element(e, f"{rest}\\{e.name}") for e in found[0].children])

    def _attributes(self, request: Request) -> Answer:
        rest = self._rest(request)
        found = assets.find(rest)
        assert found is not None
        return _items([assets.as_attribute(a, f"{rest}|{a.name}") for a in found[0].attributes])

    def _frames(self, request: Request) -> Answer:
        start = times.ticks(request.one("startTime", "*-8h"))
        end = times.ticks(request.one("endTime", "*"))
        element = ""
        if request.path.lower().startswith("elements/"):
            element = self._rest(request)
        found = assets.frames(start, end, element, request.one("templateName"))
        index = int(request.one("startIndex", "0"))
        return _items(found[index : index + int(request.one("maxCount", "1000"))])

    # ---- batch ------------------------------------------------------------------------------

    def _batch(self, request: Request) -> Answer:
        if not isinstance(request.body, dict) or not request.body:
            raise Refused("The batch request is malformed.")
        done: dict[str, Answer] = {}
        waiting = dict(request.body)
        while waiting:
            ready = [k for k, r in waiting.items() if set(r.get("ParentIds") or ()) <= set(done)]
            if not ready:
                raise Refused("The batch request has parents that are missing or circular.")
            for key in ready:
                done[key] = self._subrequest(waiting.pop(key), done)
        content = {
            key: {"Status": a.status, "Headers": a.headers, "Content": a.content}
            for key, a in done.items()
        }
        return Answer(207, content)

    def _subrequest(self, wanted: dict[str, Any], done: dict[str, Answer]) -> Answer:
        if set(wanted) - {"Method", "Resource", "Content", "Headers", "ParentIds", "Parameters"}:
            return errors(400, "The batch request is malformed.")
        parents = [done[key] for key in wanted.get("ParentIds") or ()]
        if any(parent.status >= 400 for parent in parents):
            return errors(424, "A parent request failed.")
        resource, content = wanted.get("Resource", ""), wanted.get("Content")
        for number, reference in enumerate(wanted.get("Parameters") or ()):
            value = _looked_up(reference, done)
            resource = resource.replace(f"{{{number}}}", value)
        parts = urlsplit(resource)
        path = parts.path.partition("/piwebapi/")[2] or parts.path.removeprefix("/")
        body = json.loads(content) if isinstance(content, str) else None
        query = parse_qsl(parts.query, keep_blank_values=True)
        return self.handle(Request(wanted.get("Method", "GET"), path, query, body))


def _looked_up(reference: str, done: dict[str, Answer]) -> str:
    match = _REFERENCE.fullmatch(reference)
    if match is None or match[1] not in done:
        raise Refused(f"The JSONPath '{reference}' selects nothing.")
    answer = done[match[1]]
    here: Any = answer.content if match[2] == "Content" else answer.headers
    for name in match[3].split("."):
        here = here.get(name) if isinstance(here, dict) else None
    if here is None:
        raise Refused(f"The JSONPath '{reference}' selects nothing.")
    return str(here)


def _items(items: list[dict[str, Any]]) -> Answer:
    return Answer(200, {"Links": {}, "Items": items})


__all__ = ["Api", "of_streams"]
