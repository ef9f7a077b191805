"""Runs the few functions of Flux that the connector and the guide use, over points in memory.

Ours, as no program that runs Flux can be had here. What a script says is not read by us: the
syntax tree comes from InfluxData's compiler. What the functions do is written after their
reference; tests of it use InfluxData's client.
"""

# ruff: noqa: N802 (methods are named as the nodes of the syntax tree and the functions of Flux)

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
          "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}  # fmt: skip


class Point(NamedTuple):
    """One field of one point."""

    measurement: str
    field: str
    tags: Mapping[str, str]
    time: int
    value: Any


@dataclass
class FluxTable:
    """Rows with the same group key."""

    key: Mapping[str, str]
    rows: list[dict[str, Any]]
    start: int = 0
    stop: int = 0


@dataclass
class Stream:
    """What flows through a pipe."""

    bucket: str = ""
    tables: list[FluxTable] = field(default_factory=list)


class Engine:
    """Runs one script.

    Args:
        points: gives the points of a bucket between two times; raises LookupError where there is
            no such bucket.
        params: names that are set beside the script.
    """

    def __init__(
        self, points: Callable[[str, int, int], Sequence[Point]], params: Mapping[str, Any]
    ) -> None:
        self._points = points
        self._names = dict(params)

    def run(self, parsed: Mapping[str, Any]) -> list[FluxTable]:
        """The tables of the last expression."""
        tables: list[FluxTable] = []
        for statement in parsed["body"]:
            if statement["type"] == "ExpressionStatement":
                tables = self._value(statement["expression"]).tables
            elif statement["type"] == "VariableAssignment":
                self._names[statement["id"]["name"]] = self._value(statement["init"])
            else:
                raise ValueError(f"not run here: {statement['type']}")
        return tables

    # ---- values -----------------------------------------------------------------------------

    def _value(self, node: Mapping[str, Any], scope: Mapping[str, Any] | None = None) -> Any:
        return getattr(self, f"_{node['type']}")(node, scope or self._names)

    def _StringLiteral(self, node, scope):
        return node["value"]

    _BooleanLiteral = _FloatLiteral = _StringLiteral

    def _IntegerLiteral(self, node, scope):
        return int(node["value"])

    def _DateTimeLiteral(self, node, scope):
        return _nanoseconds(node["value"])

    def _DurationLiteral(self, node, scope):
        return Duration(sum(v["magnitude"] * _UNITS[v["unit"]] for v in node["values"]))

    def _ParenExpression(self, node, scope):
        return self._value(node["expression"], scope)

    def _UnaryExpression(self, node, scope):
        value = self._value(node["argument"], scope)
        return Duration(-value) if isinstance(value, Duration) else -value

    def _Identifier(self, node, scope):
        return scope[node["name"]] if node["name"] in scope else node["name"]

    def _MemberExpression(self, node, scope):
        holder, member = self._value(node["object"], scope), node["property"]
        name = member["name"] if member["type"] == "Identifier" else member["value"]
        return holder.get(name) if isinstance(holder, Mapping) else f"{holder}.{name}"

    def _BinaryExpression(self, node, scope):
        left, right = (self._value(node[side], scope) for side in ("left", "right"))
        return {"==": left == right, "!=": left != right}[node["operator"]]

    def _LogicalExpression(self, node, scope):
        left = self._value(node["left"], scope)
        if node["operator"] == "or":
            return left or self._value(node["right"], scope)
        return left and self._value(node["right"], scope)

    def _FunctionExpression(self, node, scope):
        (parameter,) = [one["key"]["name"] for one in node["params"]]
        return lambda record: self._value(node["body"], {**scope, parameter: record})

    def _PipeExpression(self, node, scope):
        return self._called(node["call"], scope, self._value(node["argument"], scope))

    def _CallExpression(self, node, scope):
        return self._called(node, scope, None)

    def _called(self, node, scope, piped):
        name = self._value(node["callee"], scope).replace(".", "_")
        given = {
            one["key"]["name"]: self._value(one["value"], scope)
            for record in node.get("arguments", ())
            for one in record["properties"]
        }
        function = getattr(self, f"_call_{name}")
        return function(**given) if piped is None else function(piped, **given)

    # ---- functions --------------------------------------------------------------------------

    def _call_from(self, bucket):
        return Stream(bucket)

    def _call_now(self):
        return time.time_ns()

    def _call_range(self, stream, start, stop=None):
        begin, end = _moment(start), time.time_ns() if stop is None else _moment(stop)
        found: dict[tuple, FluxTable] = {}
        for point in sorted(self._points(stream.bucket, begin, end), key=lambda p: p.time):
            names = {"_field": point.field, "_measurement": point.measurement}
            key = names | dict(sorted(point.tags.items()))
            table = found.setdefault(tuple(key.items()), FluxTable(key, [], begin, end))
            table.rows.append({"_time": point.time, "_value": point.value})
        return Stream(tables=[found[key] for key in sorted(found)])

    def _call_filter(self, stream, fn):
        for table in stream.tables:
            table.rows = [row for row in table.rows if fn({**table.key, **row})]
        return Stream(tables=[table for table in stream.tables if table.rows])

    def _call_limit(self, stream, n):
        for table in stream.tables:
            table.rows = table.rows[:n]
        return stream

    def _call_last(self, stream):
        for table in stream.tables:
            table.rows = table.rows[-1:]
        return stream

    def _call_yield(self, stream, name="_result"):
        return stream

    def _call_aggregateWindow(self, stream, every, fn):
        """With createEmpty: a window without values is a row without a value."""
        assert fn == "mean", "only the mean is computed here"
        for table in stream.tables:
            rows, begin = [], table.start // every * every
            while begin < table.stop:
                values = [r["_value"] for r in table.rows if begin <= r["_time"] < begin + every]
                mean = sum(values) / len(values) if values else None
                rows.append({"_time": min(begin + every, table.stop), "_value": mean})
                begin += every
            table.rows = rows
        return stream

    def _call_schema_tagValues(self, bucket, tag, predicate, start):
        values = {
            point.tags[tag]
            for point in self._points(bucket, _moment(start), time.time_ns())
            if tag in point.tags
            and predicate({"_measurement": point.measurement, "_field": point.field, **point.tags})
        }
        return Stream(tables=[FluxTable({}, [{"_value": value} for value in sorted(values)])])


class Duration(int):
    """Nanoseconds."""


def _nanoseconds(text: str) -> int:
    """'2025-01-01T00:00:00.000000001Z'; any other zone would be a surprise."""
    whole, _, fraction = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    seconds = round(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))


def _moment(value: int) -> int:
    """A time; a duration is counted from now, a plain integer is seconds."""
    if isinstance(value, Duration):
        return time.time_ns() + value
    return value
