"""What the connector asks of InfluxDB, in the words of neither of its languages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gl002.wire.line_protocol import EARLIEST, LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Points of one measurement, series by series.

    Attributes:
        measurement: its name.
        tags: key of a tag -> the values it may have.
        fields: only these; all where empty.
        start: first time, nanoseconds UTC.
        stop: time behind the last.
        limit: most points of each series, the oldest; 0 for the newest point alone.
    """

    measurement: str
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fields: Sequence[str] = ()
    start: int = EARLIEST
    stop: int = LATEST
    limit: int = 0


class PointFound(NamedTuple):
    """One point: its time in nanoseconds UTC, and its fields by name."""

    time: int
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Series:
    """The points of one combination of tags, oldest first.

    Attributes:
        tags: key -> value.
        points: what was found.
        full_until: where the limit cut the answer, the last time that is sure to be complete;
            None where nothing was cut.
    """

    tags: Mapping[str, str]
    points: list[PointFound]
    full_until: int | None = None


def merged(cells: Iterable[tuple[Mapping[str, str], int, str, Any]], limit: int) -> list[Series]:
    """Single fields as points. An answer that is limited is limited for each field by itself.

    Args:
        cells: tags of the series, time, name of the field, its value.
        limit: most values of one field; 0 for none.
    """
    found: dict[tuple[tuple[str, str], ...], dict[int, dict[str, Any]]] = {}
    last: dict[tuple[tuple[tuple[str, str], ...], str], tuple[int, int]] = {}
    for tags, time, name, value in cells:
        series = tuple(sorted(tags.items()))
        found.setdefault(series, {}).setdefault(time, {})[name] = value
        count, latest = last.get((series, name), (0, time))
        last[series, name] = count + 1, max(latest, time)
    cut: dict[tuple[tuple[str, str], ...], int] = {}
    for (series, _), (count, latest) in last.items():
        if limit and count >= limit:
            cut[series] = min(latest, cut.get(series, latest))
    return [
        Series(
            dict(series),
            [
                PointFound(time, fields)
                for time, fields in sorted(points.items())
                if series not in cut or time <= cut[series]
            ],
            cut.get(series),
        )
        for series, points in found.items()
    ]
