"""InfluxDB 2 as its API describes it: ours, in front of the vendor's server of generation 1.

Tokens, organisation, bucket, limits and words of errors are ours; points are kept, checked for
their types and overwritten by the InfluxDB 1.6 of Debian. A script of Flux is read by InfluxData's
compiler and run by `flux_engine`.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from peers.flux_compiler import FluxCompiler
from peers.flux_engine import Engine, FluxTable, Point
from peers.influxdb import InfluxDB
from peers.web_server import Reply, Seen, WebServer

_CODES = {400: "invalid", 401: "unauthorized", 404: "not found", 413: "request too large",
          422: "unprocessable entity", 429: "too many requests", 503: "unavailable"}  # fmt: skip


class InfluxDB2:
    """A server with one organisation and one bucket.

    Attributes:
        refusals: replies that the next writes get instead of being done.
        largest: bytes of a write, unpacked.
    """

    token, org, bucket = "token-of-the-tests-4711", "gl002", "boiler_data"

    def __init__(self) -> None:
        self.storage = InfluxDB(auth=False)
        self.refusals: list[Reply] = []
        self.largest = 10_000_000
        self.web = WebServer(self._answer)

    @property
    def url(self) -> str:
        return self.web.url

    @property
    def config(self) -> dict[str, Any]:
        """Settings of a connector."""
        return {"url": self.url, "token": self.token, "org": self.org, "bucket": self.bucket}

    def start(self) -> None:
        self.storage.start()
        self.storage.query(f"CREATE DATABASE {self.bucket}")
        self._compiler = FluxCompiler().__enter__()
        self.web.start()

    def stop(self) -> None:
        self.web.stop()
        self._compiler.__exit__()
        self.storage.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- requests ---------------------------------------------------------------------------

    def _answer(self, seen: Seen) -> Reply:
        if seen.path == "/ping":
            return Reply(204, headers=_VERSION)
        if seen.headers.get("authorization") != f"Token {self.token}":
            return error(401, "unauthorized access")
        route = {
            "/api/v2/buckets": self._buckets,
            "/api/v2/write": self._write,
            "/api/v2/query": self._query,
        }.get(seen.path)
        return error(404, "path not found") if route is None else route(seen)

    def _buckets(self, seen: Seen) -> Reply:
        return Reply(200, json.dumps({"buckets": [{"name": self.bucket}]}).encode(), _VERSION)

    def _write(self, seen: Seen) -> Reply:
        return self._why_not(seen) or self._stored(seen)

    def _why_not(self, seen: Seen) -> Reply | None:
        """What is refused before the storage sees it."""
        if self.refusals:
            return self.refusals.pop(0)
        for name, ours in (("org", self.org), ("bucket", self.bucket)):
            given = seen.query.get(name, [""])[0]
            if given != ours:
                kind = "organization" if name == "org" else name
                return error(404, f'{kind} name "{given}" not found')
        if len(seen.body) > self.largest:
            return error(413, "cannot read data: points in batch is too large")
        return None

    def _stored(self, seen: Seen) -> Reply:
        precision = {"us": "u"}.get(p := seen.query.get("precision", ["ns"])[0], p)
        if precision not in {"ns", "u", "ms", "s"}:
            return error(400, "invalid precision; valid precision units are ns, us, ms, and s")
        query = urllib.parse.urlencode({"db": self.bucket, "precision": precision})
        request = urllib.request.Request(f"{self.storage.url}/write?{query}", data=seen.body)
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as refused:
            with refused:
                said = json.loads(refused.read())["error"]
            if "unable to parse" in said:
                return error(400, said.removeprefix("partial write: "))
            return error(422, f"failure writing points to database: {said}")
        return Reply(204)

    def _query(self, seen: Seen) -> Reply:
        asked = json.loads(seen.body)
        options = (
            {"type": "File", "package": None, **asked["extern"]} if "extern" in asked else None
        )
        before = "" if options is None else self._compiler.written(options)
        if not self._compiler.valid(before + asked["query"]):
            return error(400, "compilation failed: the script is no valid Flux")
        try:
            parsed = self._compiler.parsed(asked["query"])
            tables = Engine(self._points, _params(asked.get("extern"))).run(parsed)
        except LookupError as missing:
            return error(404, f"failed to initialize execute state: {missing}")
        return Reply(200, csv(tables).encode(), {"Content-Type": "text/csv; charset=utf-8"})

    def _points(self, bucket: str, start: int, stop: int) -> Sequence[Point]:
        """All of a bucket between two times; MessagePack keeps the types."""
        if bucket != self.bucket:
            raise LookupError(f'could not find bucket "{bucket}"')
        text = f"SELECT * FROM /.*/ WHERE time >= {start} AND time < {stop} GROUP BY *"
        query = urllib.parse.urlencode({"db": bucket, "epoch": "ns", "q": text})
        request = urllib.request.Request(
            f"{self.storage.url}/query?{query}", headers={"Accept": "application/x-msgpack"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = msgspec.msgpack.decode(answer.read())
        return [
            Point(
                series["name"],
                name,
                {k: v for k, v in series.get("tags", {}).items() if v != ""},
                row[0],
                value,
            )
            for series in found["results"][0].get("series", ())
            for row in series["values"]
            for name, value in zip(series["columns"][1:], row[1:], strict=True)
            if value is not None
        ]


_VERSION = {"X-Influxdb-Version": "v2-of-the-tests"}


def error(status: int, message: str, **headers: str) -> Reply:
    """A refusal in the form of the API."""
    body = json.dumps({"code": _CODES[status], "message": message}).encode()
    return Reply(status, body, {"Content-Type": "application/json", **headers})


def _params(extern: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The options that a request has set beside its query."""
    engine = Engine(lambda *_: (), {})
    assignments = [one["assignment"] for one in (extern or {"body": []})["body"]]
    return {one["id"]["name"]: engine._value(one["init"]) for one in assignments}


# ---- annotated CSV ------------------------------------------------------------------------------

_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def csv(tables: Sequence[FluxTable]) -> str:
    """Tables as the server writes them: one head for those that follow with the same columns."""
    text, before = "", None
    for number, table in enumerate(tables):
        kinds = {type(row["_value"]) for row in table.rows} - {type(None)}
        kind = _TYPES[kinds.pop()] if kinds else "double"
        timed = any("_time" in row for row in table.rows)
        columns = [("result", "string", False), ("table", "long", False)]
        if timed:
            columns += [(name, "dateTime:RFC3339", True) for name in ("_start", "_stop")]
            columns += [("_time", "dateTime:RFC3339", False)]
        columns += [("_value", kind, False)]
        columns += [(name, "string", True) for name in table.key]
        if columns != before:
            text += _head(columns)
        before = columns
        for row in table.rows:
            cells = ["", str(number)]
            if timed:
                cells += [_time(table.start), _time(table.stop), _time(row["_time"])]
            cells += [_cell(row["_value"]), *table.key.values()]
            text += _line(["", *cells])
    return text + "\r\n"


def _head(columns: Sequence[tuple[str, str, bool]]) -> str:
    return (
        "\r\n"
        + _line(["#datatype", *(kind for _, kind, _ in columns)])
        + _line(["#group", *(str(group).lower() for *_, group in columns)])
        + _line(["#default", "_result", *[""] * (len(columns) - 1)])
        + _line(["", *(name for name, *_ in columns)])
    )


def _line(cells: Sequence[str]) -> str:
    return ",".join(_quoted(cell) for cell in cells) + "\r\n"


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _time(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
