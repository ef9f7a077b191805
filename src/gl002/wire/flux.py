r"""Flux, the query language of InfluxDB 2: literals that hold what they are given, and the queries
that the connector asks. Pure.

    >>> text('say "${who}"')
    '"say \\"\\${who}\\""'
"""  # noqa: D205 (one sentence)

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from gl002.errors import DataError
from gl002.model import to_ns
from gl002.wire.influx_query import Question

Parameter: TypeAlias = bool | int | float | str | datetime | timedelta

_SECOND = 1_000_000_000
_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_SURROGATES = range(0xD800, 0xE000)


def text(value: str) -> str:
    """A string literal (Flux specification, String literals); '${' begins no expression in it.

    Raises:
        DataError: half a surrogate pair, which no text in UTF-8 can hold.
    """
    if not value.isascii() and any(ord(character) in _SURROGATES for character in value):
        raise DataError(f"{value[:60]!r} has half a surrogate pair")
    escaped = value.translate(_ESCAPES).replace("${", "\\${")
    return f'"{escaped}"'


def time(nanoseconds: int) -> str:
    """A time literal, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, _SECOND)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def points(bucket: str, question: Question) -> str:
    """The query that finds the points of a question: a table for each field of each series."""
    lines = [
        f"from(bucket: {text(bucket)})",
        f"range(start: {time(question.start)}, stop: {time(question.stop)})",
        _filter("_measurement", [question.measurement]),
    ]
    lines += [_filter(key, values) for key, values in sorted(question.tags.items())]
    if question.fields:
        lines.append(_filter("_field", question.fields))
    lines.append(f"limit(n: {question.limit})" if question.limit else "last()")
    return "\n  |> ".join(lines)


def tag_values(bucket: str, measurement: str, tag: str, start: int) -> str:
    """The query that finds the values of a tag, in a column '_value'."""
    return (
        'import "influxdata/influxdb/schema"\n\n'
        f"schema.tagValues(bucket: {text(bucket)}, tag: {text(tag)}, start: {time(start)}, "
        f'predicate: (r) => r["_measurement"] == {text(measurement)})'
    )


def _filter(key: str, values: Sequence[str]) -> str:
    """Comparisons joined by 'or' are done by the storage; `contains` would read everything."""
    any_of = " or ".join(f"r[{text(key)}] == {text(value)}" for value in values) or "false"
    return f"filter(fn: (r) => {any_of})"


def parameters(values: Mapping[str, Parameter]) -> dict[str, Any]:
    """Parameters as the `extern` of a request: the server sets them as options, each under its
    own name, before it runs the query; no value is ever part of a query's text.

    Raises:
        DataError: a value that Flux has no literal for, or a name that is no identifier.
    """  # noqa: D205 (one sentence)
    return {
        "imports": [],
        "body": [
            {
                "type": "OptionStatement",
                "assignment": {
                    "type": "VariableAssignment",
                    "id": _identifier(name),
                    "init": _literal(name, value),
                },
            }
            for name, value in values.items()
        ],
    }


def _identifier(name: str) -> dict[str, str]:
    if not (name.isascii() and name.isidentifier()):
        raise DataError(f"the parameter {name!r} is no identifier")
    return {"type": "Identifier", "name": name}


def _literal(name: str, value: Parameter) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "BooleanLiteral", "value": value}
    if isinstance(value, int) and _SMALLEST <= value <= _LARGEST:
        return {"type": "IntegerLiteral", "value": str(value)}
    if isinstance(value, float) and math.isfinite(value):
        return {"type": "FloatLiteral", "value": value}
    if isinstance(value, str):
        text(value)  # or it cannot be sent
        return {"type": "StringLiteral", "value": value}
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return {"type": "DateTimeLiteral", "value": time(to_ns(moment))}
    if isinstance(value, timedelta):
        microseconds = value // timedelta(microseconds=1)
        length = {"magnitude": microseconds, "unit": "us"}
        return {"type": "DurationLiteral", "values": [length]}
    raise DataError(f"the parameter '{name}' is {value!r}: no value that Flux has")
