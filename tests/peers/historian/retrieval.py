"""What each retrieval mode gives of stored values (AVEVA Historian Retrieval Guide).

Values hold until the next one (stair-step), except in Interpolated and where 'Linear' is asked for.
Each row is (time in microseconds, number, text, Quality, QualityDetail, OPCQuality, extra).
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from peers.historian.archive import Point

GOOD = 192


class Row(NamedTuple):
    time: int
    number: float | None
    text: str | None
    quality: int
    detail: int
    opc: int
    extra: dict[str, Any]


class Range(NamedTuple):
    """What is asked for: from start to end, cut into cycles."""

    start: int
    end: int
    with_start: bool
    with_end: bool
    cycles: int | None
    resolution: int | None  # microseconds

    def boundaries(self) -> list[int]:
        """Where cyclic values are taken."""
        if self.resolution is not None:
            step, count = self.resolution, (self.end - self.start) // self.resolution + 1
            times = [self.start + i * step for i in range(count)]
        else:
            count = 100 if self.cycles is None else self.cycles or 100_000
            gaps = count - 1 if self.with_start and self.with_end else count
            span = self.end - self.start
            times = [self.start + span * i // max(gaps, 1) for i in range(count)]
            if not self.with_start:
                times = [self.start + span * (i + 1) // count for i in range(count)]
        return [t for t in times if t < self.end or (self.with_end and t == self.end)]

    def spans(self) -> list[tuple[int, int]]:
        """The cycles themselves."""
        step = self.resolution
        if step is None:
            count = 100 if self.cycles is None else self.cycles
            cuts = [self.start + (self.end - self.start) * i // count for i in range(count + 1)]
        else:
            cuts = [*range(self.start, self.end, step), self.end]
        return list(itertools.pairwise(cuts))


def _row(p: Point, time: int | None = None, quality: int | None = None) -> Row:
    good = 0 if p.quality >= 192 else 16 if p.quality >= 64 else 1
    shown = p.number if p.quality >= 64 else None
    text = p.text if p.quality >= 64 else None
    return Row(
        p.time if time is None else time, shown, text, good if quality is None else quality,
        p.detail, p.quality, {},
    )  # fmt: skip


def _nothing(time: int) -> Row:
    return Row(time, None, None, 1, 65536, 0, {})


def _at(points: Sequence[Point], time: int) -> Point | None:
    place = bisect_right(points, time, key=lambda p: p.time)
    return points[place - 1] if place else None


def _inside(points: Sequence[Point], r: Range) -> list[Point]:
    return [
        p for p in points
        if (p.time > r.start or (r.with_start and p.time == r.start))
        and (p.time < r.end or (r.with_end and p.time == r.end))
    ]  # fmt: skip


def full(points: Sequence[Point], r: Range) -> Iterator[Row]:
    inside = _inside(points, r)
    if r.with_start and not (inside and inside[0].time == r.start):
        before = _at(points, r.start)
        yield _nothing(r.start) if before is None else _row(before, r.start, 133)
    yield from map(_row, inside)


def delta(points: Sequence[Point], r: Range) -> Iterator[Row]:
    last: tuple[Any, ...] | None = None
    for row in full(points, r):
        what = (row.number, row.text, row.opc)
        if what != last:
            yield row
        last = what


def cyclic(points: Sequence[Point], r: Range) -> Iterator[Row]:
    for time in r.boundaries():
        p = _at(points, time)
        yield _nothing(time) if p is None else _row(p, time)


def interpolated(points: Sequence[Point], r: Range) -> Iterator[Row]:
    for time in r.boundaries():
        p = _at(points, time)
        after = next((q for q in points if q.time > time), None)
        if p is None:
            yield _nothing(time)
        elif None in (p.number, after and after.number) or after is None or p.time == time:
            yield _row(p, time)
        else:
            share = (time - p.time) / (after.time - p.time)
            yield _row(p, time)._replace(number=p.number + (after.number - p.number) * share)


def _pieces(points: Sequence[Point], start: int, end: int) -> list[tuple[int, Point]]:
    """How long each value held within a cycle, those that are usable."""
    marks = [p for p in points if start < p.time < end]
    first = _at(points, start)
    held = ([first._replace(time=start)] if first is not None else []) + marks
    ends = [p.time for p in held[1:]] + [end] * bool(held)
    return [(e - p.time, p) for p, e in zip(held, ends, strict=True)
            if p.number is not None and p.quality >= 64]  # fmt: skip


Sum = Callable[[list[tuple[int, Point]], int], float]


def _weighted(pieces: list[tuple[int, Point]], _: int) -> float:
    total = sum(t for t, _p in pieces)
    return (
        sum(t * (p.number or 0) for t, p in pieces) / total if total else pieces[0][1].number or 0
    )


def _integral(pieces: list[tuple[int, Point]], _: int) -> float:
    return sum(t / 1e6 * (p.number or 0) for t, p in pieces)


def _slope(pieces: list[tuple[int, Point]], span: int) -> float:
    return ((pieces[-1][1].number or 0) - (pieces[0][1].number or 0)) / (span / 1e6)


def _counter(pieces: list[tuple[int, Point]], _: int) -> float:
    values = [p.number or 0 for _t, p in pieces]
    return sum(max(0.0, b - a) for a, b in itertools.pairwise(values))


def _good(pieces: list[tuple[int, Point]], span: int) -> tuple[int, float]:
    share = 100 * sum(t for t, p in pieces if p.quality >= 192) / max(span, 1)
    qualities = {p.quality for _t, p in pieces}
    covered = sum(t for t, _p in pieces) >= span
    return (qualities.pop() if len(qualities) == 1 and covered else 64), share


def summed(how: Sum) -> Callable[[Sequence[Point], Range], Iterator[Row]]:
    def rows(points: Sequence[Point], r: Range) -> Iterator[Row]:
        for start, end in r.spans():
            pieces = _pieces(points, start, end)
            if not pieces:
                yield _nothing(start)
                continue
            opc, share = _good(pieces, end - start)
            value = how(pieces, end - start)
            yield Row(start, value, None, 0 if opc >= 192 else 16, opc, opc, {"PercentGood": share})

    return rows


def extreme(pick: Callable[..., Any]) -> Callable[[Sequence[Point], Range], Iterator[Row]]:
    def rows(points: Sequence[Point], r: Range) -> Iterator[Row]:
        for start, end in r.spans():
            pieces = _pieces(points, start, end)
            if not pieces:
                yield _nothing(start)
            else:
                yield _row(pick((p for _t, p in pieces), key=lambda p: p.number))

    return rows


def best_fit(points: Sequence[Point], r: Range) -> Iterator[Row]:
    for start, end in r.spans():
        held = [p for _t, p in _pieces(points, start, end)]
        if not held:
            yield _nothing(start)
            continue
        chosen = {held[0], held[-1], min(held, key=lambda p: p.number or 0),
                  max(held, key=lambda p: p.number or 0)}  # fmt: skip
        yield from (_row(p) for p in sorted(chosen))


def states(points: Sequence[Point], r: Range, calc: str) -> Iterator[Row]:
    """ValueState: of each state in each cycle, how long it was."""
    for start, end in r.spans():
        times: dict[Any, list[int]] = {}
        marks = [p for p in points if start < p.time < end]
        first = _at(points, start)
        held = ([first._replace(time=start)] if first is not None else []) + marks
        ends = [p.time for p in held[1:]] + [end] * bool(held)
        for p, e in zip(held, ends, strict=True):
            times.setdefault(p.number if p.text is None else p.text, []).append(e - p.time)
        for state, spans in times.items():
            total = sum(spans)
            wanted = {
                "total": total / 1000, "minimum": min(spans) / 1000, "maximum": max(spans) / 1000,
                "average": total / len(spans) / 1000, "percent": 100 * total / (end - start),
            }  # fmt: skip
            text = str(state)
            yield Row(start, None, text, 0, GOOD, GOOD,
                      {"StateTime": wanted[calc], "PercentGood": 100.0})  # fmt: skip


MODES: dict[str, Callable[[Sequence[Point], Range], Iterator[Row]]] = {
    "full": full, "delta": delta, "cyclic": cyclic, "interpolated": interpolated,
    "bestfit": best_fit, "average": summed(_weighted), "avg": summed(_weighted),
    "integral": summed(_integral), "slope": summed(_slope), "counter": summed(_counter),
    "min": extreme(min), "minimum": extreme(min), "max": extreme(max), "maximum": extreme(max),
}  # fmt: skip


def summary(points: Sequence[Point], r: Range) -> Iterator[dict[str, Any]]:
    """Rows of AnalogSummaryHistory."""
    for start, end in r.spans():
        pieces = _pieces(points, start, end)
        inside = [p for p in points if start <= p.time < end and p.number is not None]
        opc, share = _good(pieces, end - start) if pieces else (0, 0.0)
        values = [p.number or 0.0 for _t, p in pieces]
        mean = _weighted(pieces, 0) if pieces else None
        span = sum(t for t, _p in pieces) or 1
        spread = (
            (sum(t * ((p.number or 0) - mean) ** 2 for t, p in pieces) / span) ** 0.5
            if mean is not None else None
        )  # fmt: skip
        yield {
            "StartDateTime": start, "EndDateTime": end, "OPCQuality": opc, "PercentGood": share,
            "First": values[0] if values else None, "Last": values[-1] if values else None,
            "Minimum": min(values, default=None), "Maximum": max(values, default=None),
            "Average": mean, "StdDev": spread,
            "Integral": _integral(pieces, 0) if pieces else None, "ValueCount": len(inside),
        }  # fmt: skip
