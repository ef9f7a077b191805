"""Charts as SVG: lines with bands, points, stacked bars; paths and text only, no script, no style.

The subset is what browsers and PDF writers draw alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 720
HEIGHT: Final = 260
COLOURS: Final = ("#1f5f99", "#c25b12", "#3c7d3c", "#8a4f9e", "#8c8c8c", "#b0413e", "#6d6a2f")
"""Told apart by people who see colours differently, too; and each series is named in words."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 30, 44
_TICKS: Final = 5


class Line(NamedTuple):
    """A series of points joined by a line; gaps where a value is None.

    Attributes:
        name: for the legend.
        x, y: of the points.
        low, high: ends of a band around the line; empty for none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


class Points(NamedTuple):
    """Points that are not joined."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Bars(NamedTuple):
    """One part of stacked bars."""

    name: str
    y: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        label: what it counts, with its unit.
        low, high: its ends.
        names: position -> text in place of numbers.
    """

    label: str
    low: float
    high: float
    names: dict[float, str] = field(default_factory=dict)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Positions and texts."""
        if self.names:
            yield from self.names.items()
            return
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        for number in range(first, math.floor(self.high / step + 1e-9) + 1):
            yield number * step, f"{number * step:.6g}"


def axis(label: str, values: Sequence[float | None], *, room: float = 0.08) -> Axis:
    """An axis over values, with some room at its ends."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room *= (high - low) or abs(high) or 1.0
    return Axis(label=label, low=low - room, high=high + room)


def chart(
    title: str, x: Axis, y: Axis, *, lines: Sequence[Line] = (), points: Sequence[Points] = ()
) -> str:
    """Lines with their bands, and points."""
    place = _Frame(x, y)
    drawn = [_band(place, line, COLOURS[i]) for i, line in enumerate(lines) if line.low]
    drawn += [
        f'<path d="{_path(place, line.x, line.y)}" fill="none" stroke="{COLOURS[i]}" '
        f'stroke-width="2" />'
        for i, line in enumerate(lines)
    ]
    for i, each in enumerate(points, start=len(lines)):
        drawn.append(_dots(place, each, COLOURS[i]))
    names = [line.name for line in lines] + [each.name for each in points]
    return _document(title, place, drawn, names)


def bars(title: str, x: Axis, y: Axis, parts: Sequence[Bars]) -> str:
    """Stacked bars at 0, 1, 2 ... of `x`."""
    place = _Frame(x, y)
    drawn = []
    sums = [0.0] * max((len(part.y) for part in parts), default=0)
    for i, part in enumerate(parts):
        for n, value in enumerate(part.y):
            left, right = place.x(n - 0.38), place.x(n + 0.38)
            top, bottom = place.y(sums[n] + value), place.y(sums[n])
            sums[n] += value
            if bottom - top > 0.05:  # noqa: PLR2004 - thinner than any ink
                drawn.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                    f'height="{bottom - top:.1f}" fill="{COLOURS[i]}" />'
                )
    return _document(title, place, drawn, [part.name for part in parts])


class _Frame:
    """Where values are on the drawing."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.across, self.up = x, y

    def x(self, value: float) -> float:
        share = (value - self.across.low) / ((self.across.high - self.across.low) or 1.0)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.up.low) / ((self.up.high - self.up.low) or 1.0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _document(title: str, place: _Frame, drawn: Sequence[str], names: Sequence[str]) -> str:
    parts = [*_axes(place), *drawn, *_legend(names)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _axes(place: _Frame) -> Iterator[str]:
    left, right, bottom = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value, said in place.up.ticks():
        y = place.y(value)
        yield f'<path d="M{left} {y:.1f}L{right} {y:.1f}" stroke="#dddddd" stroke-width="1" />'
        yield _text(left - 6, y + 4, said, "end")
    for value, said in place.across.ticks():
        yield _text(place.x(value), bottom + 16, said, "middle")
    yield f'<path d="M{left} {bottom}L{right} {bottom}" stroke="#555555" stroke-width="1" />'
    yield _text((left + right) / 2, HEIGHT - 8, place.across.label, "middle")
    yield _text(4, 14, place.up.label, "start")


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = WIDTH - _RIGHT - sum(len(name) * 6.4 + 26 for name in names)
    for colour, name in zip(COLOURS, names, strict=False):
        yield f'<rect x="{x:.1f}" y="5" width="12" height="10" fill="{colour}" />'
        yield _text(x + 16, 14, name, "start")
        x += len(name) * 6.4 + 26


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" font-family="Helvetica, Arial, sans-serif" '
        f'fill="#333333" text-anchor="{anchor}">{escape(said)}</text>'
    )


def _path(place: _Frame, xs: Sequence[float], ys: Sequence[float | None]) -> str:
    drawn, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if y is None or not math.isfinite(y):
            pen = "M"
            continue
        drawn.append(f"{pen}{place.x(x):.1f} {place.y(y):.1f}")
        pen = "L"
    return "".join(drawn) or "M0 0"


def _band(place: _Frame, line: Line, colour: str) -> str:
    known = [
        (x, low, high)
        for x, low, high in zip(line.x, line.low, line.high, strict=True)
        if low is not None and high is not None
    ]
    if not known:
        return ""
    upper = [f"{place.x(x):.1f} {place.y(high):.1f}" for x, _, high in known]
    lower = [f"{place.x(x):.1f} {place.y(low):.1f}" for x, low, _ in reversed(known)]
    outline = "L".join([*upper, *lower])
    return f'<path d="M{outline}Z" fill="{colour}" fill-opacity="0.18" stroke="none" />'


def _dots(place: _Frame, each: Points, colour: str) -> str:
    drawn = "".join(
        f"M{place.x(x) - 1:.1f} {place.y(y):.1f}L{place.x(x) + 1:.1f} {place.y(y):.1f}"
        for x, y in zip(each.x, each.y, strict=True)
        if math.isfinite(x) and math.isfinite(y)
    )
    return f'<path d="{drawn or "M0 0"}" stroke="{colour}" stroke-width="2" fill="none" />'


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if not rough > 0:
        return 1.0
    power = math.pow(10, math.floor(math.log10(rough)))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
