"""The HTTP interfaces of InfluxDB 1, 2 and 3: where each thing goes and how its answers look.

v2: https://docs.influxdata.com/influxdb/v2/api/v2/   v1: /write and /query
v3: /api/v3/write_lp
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from gl002.errors import RequestFailed, Unsupported
from gl002.model import to_datetime
from gl002.transport.http.answer import Answer
from gl002.transport.http.auth import Anonymous, Auth, Basic, Header
from gl002.transport.http.client import Request
from gl002.transport.influxdb.settings import InfluxDBConfig
from gl002.wire import annotated_csv, flux, influxql
from gl002.wire.flux import Parameter
from gl002.wire.influx_query import Question, Series, merged
from gl002.wire.line_protocol import Precision

Row = dict[str, Any]

_PACKED = "application/x-msgpack"
_NO_QUERY = "InfluxDB 3 is only written here"
_OF_THE_TABLE = {"result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement"}
_PARSE_ERROR = re.compile(
    r"unable to parse '(.*?)': ([^\n]*?)(?: dropped=\d+)?$", re.MULTILINE | re.DOTALL
)


class Interface(ABC):
    """One generation. Makes requests and reads answers; sends nothing itself."""

    missing: ClassVar[frozenset[int]] = frozenset()
    """Statuses of the greeting that say nothing against the server."""

    def __init__(self, config: InfluxDBConfig) -> None:
        self.config = config

    @abstractmethod
    def auth(self) -> Auth:
        """Who we are."""

    @abstractmethod
    def greeting(self) -> Request:
        """A cheap request that needs our credentials."""

    @abstractmethod
    def write(self, lines: Sequence[str], precision: Precision) -> Request:
        """Write points."""

    def ask(self, question: Question) -> Request:
        """Look for points."""
        raise Unsupported(_NO_QUERY, hint="read it with its own SQL clients")

    def found(self, answer: Answer, question: Question) -> list[Series]:
        """The points of an answer to `ask`."""
        raise Unsupported(_NO_QUERY)

    def ask_tags(self, measurement: str, tag: str, start: int) -> Request:
        """Look for the values of a tag, from a time on."""
        raise Unsupported(_NO_QUERY, hint="read it with its own SQL clients")

    def tags_found(self, answer: Answer) -> list[str]:
        """The values of an answer to `ask_tags`."""
        raise Unsupported(_NO_QUERY)

    def query(self, text: str, params: Mapping[str, Parameter]) -> Request:
        """A query of a person."""
        raise Unsupported(_NO_QUERY, hint="read it with its own SQL clients")

    def rows(self, answer: Answer) -> Iterator[Row]:
        """The rows of an answer to `query`; times are in UTC."""
        raise Unsupported(_NO_QUERY)

    def said(self, answer: Answer) -> str:
        """The server's words in a refusal; '' where there are none."""
        packed = answer.content_type == _PACKED
        decode = msgspec.msgpack.decode if packed else msgspec.json.decode
        try:
            body = decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        words = [body.get(key) for key in ("error", "message")] if isinstance(body, dict) else []
        return next((word for word in words if isinstance(word, str)), "")

    def refused(self, answer: Answer, lines: Sequence[str]) -> dict[int, str]:
        """Positions of the lines that a refusal names, with its reasons."""
        places = {line: place for place, line in enumerate(lines)}
        return {
            places[line]: reason.strip()
            for line, reason in _PARSE_ERROR.findall(self.said(answer))
            if line in places
        }


class V2(Interface):
    """InfluxDB 2 and Cloud; others take its writes, too."""

    missing = frozenset({400, 404, 405})  # a server that takes writes alone has no list of buckets

    def auth(self) -> Auth:
        """The token."""
        return Anonymous() if self.config.token is None else Header("Token", self.config.token)

    def greeting(self) -> Request:
        """One bucket that we may see."""
        return Request("GET", "api/v2/buckets", {"limit": "1", "name": self.config.bucket})

    def write(self, lines: Sequence[str], precision: Precision) -> Request:
        """POST /api/v2/write."""
        query = {"org": self.config.org, "bucket": self.config.bucket, "precision": precision}
        return _lines("api/v2/write", query, lines, compress=self.config.gzip)

    def ask(self, question: Question) -> Request:
        """In Flux."""
        return self.query(flux.points(self.config.bucket, question), {})

    def found(self, answer: Answer, question: Question) -> list[Series]:
        """Tables of single fields, put together."""
        return merged(_cells(annotated_csv.decode(answer.text())), question.limit)

    def ask_tags(self, measurement: str, tag: str, start: int) -> Request:
        """In Flux."""
        return self.query(flux.tag_values(self.config.bucket, measurement, tag, start), {})

    def tags_found(self, answer: Answer) -> list[str]:
        """The column '_value'."""
        tables = annotated_csv.decode(answer.text())
        return [str(row["_value"]) for table in tables for row in table.records()]

    def query(self, text: str, params: Mapping[str, Parameter]) -> Request:
        """POST /api/v2/query."""
        body: dict[str, Any] = {
            "query": text,
            "type": "flux",
            "dialect": {"annotations": ["datatype", "group", "default"], "header": True},
        }
        if params:
            body["extern"] = flux.parameters(params)
        headers = {"Content-Type": "application/json", "Accept": "application/csv"}
        encoded = msgspec.json.encode(body)
        return Request("POST", "api/v2/query", {"org": self.config.org}, headers, encoded)

    def rows(self, answer: Answer) -> Iterator[Row]:
        """Every record of every table."""
        for table in annotated_csv.decode(answer.text()):
            times = [column.name for column in table.columns if column.is_time]
            for record in table.records():
                moments = {n: to_datetime(record[n]) for n in times if record[n] is not None}
                yield {**record, **moments}


class V1(Interface):
    """InfluxDB 1."""

    def auth(self) -> Auth:
        """User and password; or a token, which InfluxDB 2 takes here, too."""
        c = self.config
        if c.token is not None:
            return Header("Token", c.token)
        return Basic(c.username, c.password) if c.password is not None else Anonymous()

    def greeting(self) -> Request:
        """The databases that we may see."""
        return Request("GET", "query", {"q": "SHOW DATABASES"})

    def write(self, lines: Sequence[str], precision: Precision) -> Request:
        """POST /write."""
        query = {"db": self.config.db, "precision": {"us": "u"}.get(precision, precision)}
        if self.config.retention_policy:
            query["rp"] = self.config.retention_policy
        return _lines("write", query, lines, compress=self.config.gzip)

    def ask(self, question: Question) -> Request:
        """In InfluxQL."""
        return self._statement(influxql.points(question, self.config.retention_policy))

    def found(self, answer: Answer, question: Question) -> list[Series]:
        """Series as they came."""
        return list(influxql.series(self._decoded(answer), question.limit))

    def ask_tags(self, measurement: str, tag: str, start: int) -> Request:
        """In InfluxQL, which knows no time here."""
        return self._statement(influxql.tag_values(measurement, tag, self.config.retention_policy))

    def tags_found(self, answer: Answer) -> list[str]:
        """The column 'value'."""
        return [str(row[-1]) for series in self._decoded(answer) for row in series.values]

    def query(self, text: str, params: Mapping[str, Parameter]) -> Request:
        """GET /query, of text that only reads."""
        influxql.check_reads_only(text)
        return self._statement(influxql.Statement(text, params))

    def _statement(self, statement: influxql.Statement) -> Request:
        text, params = statement
        query = {"q": text, "db": self.config.db, "epoch": "ns"}
        if self.config.retention_policy:
            query["rp"] = self.config.retention_policy
        if params:
            query["params"] = msgspec.json.encode(params).decode()
        return Request("GET", "query", query, {"Accept": _PACKED})

    def rows(self, answer: Answer) -> Iterator[Row]:
        """Every row of every series, with the tags it is grouped by."""
        for series in self._decoded(answer):
            for values in series.values:
                row = {**series.tags, **dict(zip(series.columns, values, strict=True))}
                if isinstance(row.get("time"), int):
                    row["time"] = to_datetime(row["time"])
                yield {"measurement": series.name, **row}

    def _decoded(self, answer: Answer) -> list[influxql.ResultSet]:
        return influxql.decode(answer.body, packed=answer.content_type == _PACKED)


class _Refused(msgspec.Struct):
    """One line that InfluxDB 3 refuses."""

    error_message: str = ""
    line_number: int = 0


class _Refusal(msgspec.Struct):
    data: list[_Refused] | None = None


class V3(Interface):
    """InfluxDB 3: writes."""

    def auth(self) -> Auth:
        """The token."""
        return Anonymous() if self.config.token is None else Header("Bearer", self.config.token)

    def greeting(self) -> Request:
        """Its version."""
        return Request("GET", "ping")

    def write(self, lines: Sequence[str], precision: Precision) -> Request:
        """POST /api/v3/write_lp; lines that are refused keep no others out."""
        names = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}
        query = {"db": self.config.db, "precision": names[precision], "accept_partial": "true"}
        return _lines("api/v3/write_lp", query, lines, compress=self.config.gzip)

    def refused(self, answer: Answer, lines: Sequence[str]) -> dict[int, str]:
        """It counts lines from 1."""
        try:
            refusal: _Refusal = answer.json(_Refusal)
        except RequestFailed:
            return {}
        return {
            one.line_number - 1: one.error_message
            for one in refusal.data or ()
            if 0 < one.line_number <= len(lines)
        }


def interface(config: InfluxDBConfig) -> Interface:
    """The one that the configuration names."""
    return _INTERFACES[config.api](config)


_INTERFACES: Mapping[str, type[Interface]] = {"v1": V1, "v2": V2, "v3": V3}


def _lines(path: str, query: Mapping[str, str], lines: Sequence[str], *, compress: bool) -> Request:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Request("POST", path, query, headers, "\n".join(lines).encode(), compress)


def _cells(
    tables: Sequence[annotated_csv.Table],
) -> Iterator[tuple[Mapping[str, str], int, str, Any]]:
    """Tags, time, field and value of every row."""
    for table in tables:
        texts = any(c.name == "_value" and c.type == "string" for c in table.columns)
        absent = "" if texts else None  # the format has no other way to say an empty text
        for record in table.records():
            tags = {
                name: value
                for name, value in record.items()
                if name not in _OF_THE_TABLE and isinstance(value, str)
            }
            try:
                value = record["_value"]
                yield tags, record["_time"], record["_field"], absent if value is None else value
            except KeyError as error:
                raise RequestFailed(f"the answer has no column {error}") from None
