"""The controllers Stream and StreamSet: values in, values out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from peers.pi import times
from peers.pi.answers import Answer, Request, Stream, errors, of_streams, stream, timed
from peers.pi.archive import Archive, Event, Point, Refused, system_state

_OPTIONS = {"Replace", "Insert", "NoReplace", "ReplaceOnly", "InsertNoCompression", "Remove"}
_BUFFER = {"DoNotBuffer", "BufferIfPossible", "Buffer"}
_SUMMARIES = {"Total", "Average", "Minimum", "Maximum", "Range", "StdDev", "Count", "PercentGood"}
_BODY = {"Timestamp", "Value", "UnitsAbbreviation", "Good", "Questionable", "Substituted",
         "Annotated", "Errors"}  # fmt: skip
_DAY = "*-1d"

Read = Callable[[Stream, Request], Any]


class Streams:
    """Reads and writes streams.

    Args:
        base: the archive.
        most: MaxReturnedItemsPerCall.
    """

    def __init__(self, base: Archive, most: int) -> None:
        self._base = base
        self._most = most

    def routes(self) -> list[tuple[str, str, Callable[[Request], Answer]]]:
        routes: list[tuple[str, str, Callable[[Request], Answer]]] = []
        for name, read in (
            ("recorded", self._recorded), ("interpolated", self._interpolated),
            ("plot", self._plot), ("summary", self._summary),
        ):  # fmt: skip
            routes += [
                ("GET", f"streams/([^/]+)/{name}", self._of_one(read)),
                ("GET", f"streamsets/{name}", self._of_many(read)),
            ]
        return [
            *routes,
            ("GET", "streams/([^/]+)/value", self._value_of_one),
            ("GET", "streamsets/value", self._values),
            ("POST", "streams/([^/]+)/value", self._write_one),
            ("POST", "streams/([^/]+)/recorded", self._write_many),
            ("POST", "streamsets/recorded", self._write_sets),
        ]

    def _of_one(self, read: Read) -> Callable[[Request], Answer]:
        def answer(request: Request) -> Answer:
            return Answer(200, read(stream(self._base, request.parts[0]), request))

        return answer

    def _of_many(self, read: Read) -> Callable[[Request], Answer]:
        def answer(request: Request) -> Answer:
            streams = self._streams(request)
            return of_streams(streams, lambda s: read(s, request))

        return answer

    def _streams(self, request: Request) -> list[Stream]:
        web_ids = request.many("webId")
        if not web_ids:
            raise Refused("The parameter 'webId' is required.")
        return [stream(self._base, web_id) for web_id in web_ids]

    # ---- reading ----------------------------------------------------------------------------

    def _value(self, of: Stream, time: str) -> dict[str, Any]:
        if of.point is None:
            return timed(Event(times.now() if of.formula else 0, of.static), of.unit)
        if not time:
            return timed(self._base.snapshot(of.point), of.unit)
        return timed(self._base.interpolated(of.point, times.ticks(time)), of.unit)

    def _value_of_one(self, request: Request) -> Answer:
        return Answer(200, self._value(stream(self._base, request.parts[0]), request.one("time")))

    def _values(self, request: Request) -> Answer:
        time = request.one("time")
        return of_streams(self._streams(request), lambda s: {"Value": self._value(s, time)})

    def _range(self, request: Request) -> tuple[int, int]:
        return times.ticks(request.one("startTime", _DAY)), times.ticks(request.one("endTime", "*"))

    def _point(self, of: Stream) -> Point:
        if of.point is None:
            raise Refused("The data reference does not support this operation.", 409)
        return of.point

    def _recorded(self, of: Stream, request: Request) -> dict[str, Any]:
        start, end = self._range(request)
        count = int(request.one("maxCount", "1000"))
        if count > self._most:
            raise Refused(
                f"Parameter 'maxCount' is greater than the maximum allowed ({self._most})."
            )
        if count <= 0:
            raise Refused("Parameter 'maxCount' must be positive.")
        if request.one("boundaryType", "Inside") not in {"Inside", "Outside", "Interpolated"}:
            raise Refused("Parameter 'boundaryType' is not valid.")
        events = self._base.recorded(self._point(of), start, end, count)
        return _listed(events, of.unit)

    def _grid(self, request: Request, interval: str) -> list[int]:
        start, end = self._range(request)
        step = times.span(interval)
        count = abs(end - start) // step + 1
        if count > self._most:
            raise Refused(
                f"The number of intervals is greater than the maximum allowed ({self._most})."
            )
        return [start + (step if end >= start else -step) * i for i in range(count)]

    def _interpolated(self, of: Stream, request: Request) -> dict[str, Any]:
        point = self._point(of)
        grid = self._grid(request, request.one("interval", "1h"))
        return _listed([self._base.interpolated(point, tick) for tick in grid], of.unit)

    def _plot(self, of: Stream, request: Request) -> dict[str, Any]:
        """First, last, lowest, highest and one bad value of each interval."""
        point = self._point(of)
        start, end = self._range(request)
        count = int(request.one("intervals", "24"))
        if not 0 < count <= self._most:
            raise Refused("Parameter 'intervals' is not valid.")
        kept: dict[tuple[int, int], Event] = {}
        events = self._base.recorded(point, start, end, 10**9)
        for number in range(count):
            low = start + (end - start) * number // count
            high = start + (end - start) * (number + 1) // count
            inside = [e for e in events if low <= e.tick < high or e.tick == end == high]
            good = [e for e in inside if e.good]
            bad = [e for e in inside if not e.good]
            chosen = inside[:1] + inside[-1:] + bad[:1]
            if good and point.numeric:
                chosen += [min(good, key=lambda e: e.value), max(good, key=lambda e: e.value)]
            kept.update({(e.tick, id(e)): e for e in chosen})
        return _listed([kept[key] for key in sorted(kept)], of.unit)

    def _summary(self, of: Stream, request: Request) -> dict[str, Any]:
        point = self._point(of)
        start, end = self._range(request)
        wanted = request.many("summaryType") or ["Total"]
        wanted = sorted(_SUMMARIES) if wanted == ["All"] else wanted
        unknown = set(wanted) - _SUMMARIES
        if unknown:
            raise Refused(f"The summary type '{unknown.pop()}' is not valid.")
        if not point.numeric and set(wanted) != {"Count"}:
            raise Refused("Count is the only summary type supported on non-numeric streams.")
        if request.one("calculationBasis", "TimeWeighted") not in {"TimeWeighted", "EventWeighted"}:
            raise Refused("Parameter 'calculationBasis' is not valid.")
        duration = request.one("summaryDuration")
        step = times.span(duration) if duration else end - start
        items = []
        at = start
        while at < end:
            until = min(at + step, end)
            values = _summed(self._base, point, at, until, request.one("calculationBasis"))
            items += [
                {"Type": kind, "Value": timed(Event(at, values[kind]), of.unit)} for kind in wanted
            ]
            at = until
        return {"Links": {}, "Items": items}

    # ---- writing ----------------------------------------------------------------------------

    def _option(self, request: Request) -> str:
        option = request.one("updateOption", "Replace")
        if option not in _OPTIONS:
            raise Refused(f"The value '{option}' is not valid for AFUpdateOption.")
        if request.one("bufferOption", "BufferIfPossible") not in _BUFFER:
            raise Refused("The value is not valid for AFBufferOption.")
        return option

    def _write(self, of: Stream, given: Any, option: str) -> None:
        if not isinstance(given, dict) or "Value" not in given or set(given) - _BODY:
            raise Refused("The value is malformed.")
        point = self._point(of)
        stamp = given.get("Timestamp")
        tick = times.ticks(stamp) if isinstance(stamp, str) else times.now()
        event = Event(tick, given["Value"], bool(given.get("Questionable")))
        self._base.update(point, event, option)

    def _write_one(self, request: Request) -> Answer:
        of, option = stream(self._base, request.parts[0]), self._option(request)
        self._write(of, request.body, option)
        return Answer(204)

    def _statuses(self, of: Stream | Refused, values: Any, option: str) -> list[dict[str, Any]]:
        statuses: list[dict[str, Any]] = []
        for value in values if isinstance(values, list) else [values]:
            try:
                if isinstance(of, Refused):
                    raise of
                self._write(of, value, option)
                statuses.append({"Substatus": 204, "Message": ""})
            except (Refused, times.BadTime) as error:
                status = error.status if isinstance(error, Refused) else 400
                statuses.append({"Substatus": status, "Message": str(error)})
        return statuses

    def _write_many(self, request: Request) -> Answer:
        of, option = stream(self._base, request.parts[0]), self._option(request)
        self._base.begin()
        statuses = self._statuses(of, request.body, option)
        self._base.commit()
        if all(s["Substatus"] == 204 for s in statuses):
            return Answer(204)
        return Answer(207, {"Links": {}, "Items": statuses})

    def _write_sets(self, request: Request) -> Answer:
        option = self._option(request)
        if not isinstance(request.body, list):
            return errors(400, "The request body is malformed.")
        sets = []
        self._base.begin()
        for one in request.body:
            try:
                of: Stream | Refused = stream(self._base, str(one.get("WebId")))
            except Refused as error:
                of = error
            sets.append({"Links": {}, "Items": self._statuses(of, one.get("Items"), option)})
        self._base.commit()
        if all(s["Substatus"] == 204 for items in sets for s in items["Items"]):
            return Answer(204)
        return Answer(207, {"Links": {}, "Items": sets})


def _listed(events: list[Event], unit: str) -> dict[str, Any]:
    items = [timed(event, unit) for event in events]
    return {"Links": {}, "Items": items, "UnitsAbbreviation": unit}


def _summed(base: Archive, point: Point, start: int, end: int, basis: str) -> dict[str, Any]:
    """The summaries of a range. Time-weighted is trapezoidal over the recorded values."""
    inner = [e for e in base.recorded(point, start, end, 10**9) if start < e.tick < end]
    events = [base.interpolated(point, start), *inner, base.interpolated(point, end)]
    good = [e for e in events if e.good]
    if not good or not point.numeric:
        nothing = system_state(249)
        return dict.fromkeys(_SUMMARIES, nothing) | {"Count": len(inner), "PercentGood": 0.0}
    if basis == "EventWeighted":
        weights = [(e.value, 1.0) for e in good[:-1]]
    else:
        weights = [
            ((a.value if point.step else (a.value + b.value) / 2), float(b.tick - a.tick))
            for a, b in itertools.pairwise(events)
            if a.good and b.good
        ]
    total = sum(w for _, w in weights) or 1.0
    mean = sum(v * w for v, w in weights) / total
    deviation = math.sqrt(sum(w * (v - mean) ** 2 for v, w in weights) / total)
    low, high = min(e.value for e in good), max(e.value for e in good)
    seconds = (end - start) / times.TICKS
    return {
        "Average": mean, "Minimum": low, "Maximum": high, "Range": high - low,
        "StdDev": deviation, "Total": mean * seconds / 86400,
        "Count": float(len(inner)) if basis == "EventWeighted" else seconds,
        "PercentGood": 100.0 * len(good) / len(events),
    }  # fmt: skip
