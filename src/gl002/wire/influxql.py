"""InfluxQL, the query language of InfluxDB 1: names and bound values, and its answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from gl002.errors import DataError, RequestFailed
from gl002.wire.influx_query import PointFound, Question, Series

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
_CANNOT = re.compile("[\0\ud800-\udfff]")
_CHANGES = re.compile(r"\b(into|drop|delete|create|alter|grant|revoke|kill|set)\b", re.IGNORECASE)


class Statement(NamedTuple):
    """Text and the values bound to it: '$v0' -> `values['v0']`."""

    text: str
    values: Mapping[str, Any]


class ResultSet(msgspec.Struct, frozen=True):
    """One series of an answer.

    Attributes:
        name: measurement.
        tags: those it is grouped by.
        columns: names, 'time' first.
        values: rows.
    """

    name: str = ""
    tags: Mapping[str, str] = {}
    columns: list[str] = []
    values: list[list[Any]] = []


class _Result(msgspec.Struct, frozen=True):
    series: list[ResultSet] = []
    error: str = ""
    partial: bool = False


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result] = []
    error: str = ""


def identifier(name: str) -> str:
    """A quoted name.

    Raises:
        DataError: no name can hold it.
    """
    if not name or _CANNOT.search(name):
        raise DataError(f"{name!r} is no name in InfluxQL")
    return f'"{"".join(_ESCAPES.get(c, c) for c in name)}"'


def points(question: Question, retention: str = "") -> Statement:
    """The statement that finds the points of a question."""
    values: dict[str, str] = {}
    where = [f"time >= {question.start}", f"time < {question.stop}"]
    for key, allowed in sorted(question.tags.items()):
        if not allowed:
            where.append("time < 0 AND time > 0")
            continue
        alternatives = []
        for value in allowed:
            bound = f"v{len(values)}"
            values[bound] = value
            alternatives.append(f"{identifier(key)} = ${bound}")
        where.append(f"({' OR '.join(alternatives)})")
    fields = ", ".join(map(identifier, question.fields)) or "*"
    order = f"LIMIT {question.limit}" if question.limit else "ORDER BY time DESC LIMIT 1"
    source = _source(question.measurement, retention)
    text = f"SELECT {fields} FROM {source} WHERE {' AND '.join(where)} GROUP BY * {order}"  # noqa: S608 (quoted names, bound values)
    return Statement(text, values)


def tag_values(measurement: str, tag: str, retention: str = "") -> Statement:
    """The statement that finds the values of a tag, in a column 'value'."""
    source = _source(measurement, retention)
    return Statement(f"SHOW TAG VALUES FROM {source} WITH KEY = {identifier(tag)}", {})


def check_reads_only(text: str) -> None:
    """Refuse text that may change something: InfluxDB 1 does that in a GET, too.

    Words are looked for in all of the text, as only the server knows which of it is a quoted name,
    a regular expression or a comment. Values bound as parameters are no part of it.

    Raises:
        RequestFailed: it has such a word.
    """
    word = _CHANGES.search(text)
    if word is not None:
        raise RequestFailed(
            f"a query only reads, and this one says {word[0].upper()}",
            hint="give a value with this word in it as a parameter: '$name', {'name': ...}",
        )


def _source(measurement: str, retention: str) -> str:
    name = identifier(measurement)
    return f"{identifier(retention)}.{name}" if retention else name


def decode(body: bytes, *, packed: bool) -> list[ResultSet]:
    """The series of an answer.

    Args:
        body: MessagePack, which tells an integer from a float, or JSON, which does not.
        packed: whether it is MessagePack.

    Raises:
        RequestFailed: the server says that the query failed.
        DataError: the answer is garbled.
    """
    decoder = msgspec.msgpack.decode if packed else msgspec.json.decode
    try:
        answer = decoder(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"an answer that cannot be read: {error}") from None
    failure = answer.error or next((r.error for r in answer.results if r.error), "")
    if failure:
        raise RequestFailed(f"the query failed: {failure}")
    if any(result.partial for result in answer.results):
        raise RequestFailed("the answer was cut by the server", hint="ask for less at once")
    return [series for result in answer.results for series in result.series]


def series(found: list[ResultSet], limit: int) -> Iterator[Series]:
    """What was found as points; the answer is limited for each series."""
    for result in found:
        names = result.columns[1:]
        points = [
            PointFound(
                int(time), {n: v for n, v in zip(names, cells, strict=True) if v is not None}
            )
            for time, *cells in result.values
        ]
        cut = points[-1].time if limit and len(points) >= limit else None
        yield Series({k: v for k, v in result.tags.items() if v != ""}, points, cut)
