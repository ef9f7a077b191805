"""An edge node of Sparkplug B: what it publishes, in which order, under which numbers.

Source: Eclipse Sparkplug Specification 3.0.0, chapters 5 (Operational Behavior) and 6 (Payloads).

Samples become metrics: of 'boiler1.steam_flow' the first part is the device, the rest the name of
the metric; a tag without a dot is a metric of the node itself. What is published first, and again
whenever a metric is new or has another type, is a birth: every metric with its name, type, alias,
unit, range and last value. After that the alias stands for the name.

A device is dead when none of its tags is heard of any more: its source is lost. It is born again
with the first that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gl002.errors import DataError
from gl002.model import Quality, Sample, TagTable, Value, severity
from gl002.wire.mqtt_topic import level, readable
from gl002.wire.sparkplug import DataType, Metric, Payload, Property, encode
from gl002.wire.sparkplug_topic import Place

REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
SEQUENCE = 256  # messages and births are numbered 0 to 255 (sections 6.4.5 and 5.4)
_MOST_METRICS = 1000  # of one data message
_QUALITIES = {"good": 192, "uncertain": 500, "bad": 0}  # GOOD, STALE, BAD (table 6-8)
_LOST = {Quality.BAD_NO_COMMUNICATION, Quality.BAD_NOT_CONNECTED}
_NUMBERS = {DataType.INT64, DataType.DOUBLE}


class Outgoing(NamedTuple):
    """A message to publish with QoS 0, not retained."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class _Point:
    """One metric: what its birth says, and its last value."""

    name: str
    device: str
    alias: int
    datatype: DataType
    unit: str
    limits: tuple[float | None, float | None]
    last: Sample
    newest: int = 0  # time of the newest value sent that was not historical


@dataclass(slots=True)
class EdgeNode:
    """The numbers and metrics of one edge node. Pure: topics and bytes come out.

    Attributes:
        group: group id.
        node: edge node id.
        tags: units of the tags.
        types_in_data: the type of a metric goes with its value too, not only with its birth.
    """

    group: str
    node: str
    tags: TagTable
    types_in_data: bool = True
    _points: dict[str, _Point] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)  # devices
    _spelled: dict[tuple[str, str], str] = field(default_factory=dict)  # lower case -> as it is
    _sequence: int = 0
    _born: int = 0  # nanoseconds UTC

    def death(self, bd_seq: int, now: int) -> Outgoing:
        """NDEATH: the will of a connection, and what is published before leaving (5.5).

        It has no sequence number; `bd_seq` tells which birth it ends.
        """
        payload = Payload(metrics=[_bd_seq(bd_seq, now)], time=now)
        return Outgoing(Place(self.group, "NDEATH", self.node).topic, encode(payload))

    def birth(self, bd_seq: int, now: int) -> Iterator[Outgoing]:
        """NBIRTH, then a DBIRTH for each device: numbers begin with 0 again (5.4)."""
        self._sequence, self._born = 0, now
        control = Metric(name=REBIRTH, value=False, datatype=DataType.BOOLEAN, time=now)
        metrics = [_bd_seq(bd_seq, now), control, *self._metrics("")]
        yield self._message("NBIRTH", "", metrics, now)
        for device in dict.fromkeys(p.device for p in self._points.values() if p.device):
            if device not in self._dead:
                yield self._message("DBIRTH", device, self._metrics(device), now)

    def tag_of(self, device: str, metric: Metric) -> str:
        """The tag that a metric of a command means: by its alias, or by its name.

        One that no birth has told of has the name a tag of that device would have.
        """
        for tag, point in self._points.items():
            named = metric.name == point.name if metric.name else metric.alias == point.alias
            if named and device == point.device:
                return tag
        name = metric.name.replace("/", ".") or f"alias {metric.alias}"
        return f"{device}.{name}" if device else name

    def publish(
        self, batch: Sequence[Sample], bd_seq: int, now: int, refused: dict[int, str]
    ) -> Iterator[Outgoing]:
        """The messages that deliver a batch: births of what is new, then its values in order.

        Args:
            batch: samples, oldest first per tag.
            bd_seq: of this connection.
            now: nanoseconds UTC.
            refused: gets the index of each sample that no metric can hold, with the reason.
        """
        new: set[str] = set()
        waiting: list[Sample] = []
        touched: set[str] = set()
        for i, sample in enumerate(batch):
            if self._changes_type(sample):  # what is before it goes out under the old one
                yield from self._deliver(waiting, new, bd_seq, now)
                new, waiting = set(), []
            try:
                new |= self._learn(sample)
            except DataError as error:
                refused[i] = str(error)
                continue
            device = self._points[sample.tag].device
            if device in self._dead and sample.quality in _LOST:
                new.discard(device)  # nobody need hear again that it is lost
                continue
            if device in self._dead:
                self._dead.remove(device)
                new.add(device)
            waiting.append(sample)
            touched.add(device)
        yield from self._deliver(waiting, new, bd_seq, now)
        yield from self._deaths(touched, now)

    def _deaths(self, devices: set[str], now: int) -> Iterator[Outgoing]:
        """DDEATH of each of these devices that has nothing left to be heard of."""
        for device in sorted(devices - {""}):
            points = [point for point in self._points.values() if point.device == device]
            if all(point.last.quality in _LOST for point in points):
                self._dead.add(device)
                yield self._message("DDEATH", device, [], now)

    def _deliver(
        self, samples: Sequence[Sample], new: set[str], bd_seq: int, now: int
    ) -> Iterator[Outgoing]:
        if "" in new:  # a new metric of the node is told by a new birth of everything (5.4)
            yield from self.birth(bd_seq, now)
        else:
            for device in sorted(new):
                yield self._message("DBIRTH", device, self._metrics(device), now)
        yield from self._data(samples, now)

    def _changes_type(self, sample: Sample) -> bool:
        point = self._points.get(sample.tag)
        return point is not None and _fitting(sample.value, point.datatype) != point.datatype

    def _learn(self, sample: Sample) -> set[str]:
        """Take a sample for the last value of its metric; the device that must be born for it."""
        point = self._points.get(sample.tag)
        unit, limits = self.tags.unit(sample.tag), self._limits(sample.tag)
        if point is None:
            device, name = _placed(sample.tag)
            self._tell_apart(sample.tag, device, name)
            datatype = _type_of(sample.value) or DataType.DOUBLE
            alias = len(self._points) + 1
            self._points[sample.tag] = _Point(name, device, alias, datatype, unit, limits, sample)
            return {device}
        datatype = _fitting(sample.value, point.datatype)
        before = point.datatype, point.unit, point.limits
        changed = before != (datatype, unit, limits)
        point.datatype, point.unit, point.limits, point.last = datatype, unit, limits, sample
        return {point.device} if changed else set()

    def _tell_apart(self, tag: str, device: str, name: str) -> None:
        """Take no name that differs from another only in case: hosts mix them up (section 5.2).

        Raises:
            DataError: it does; names the other.
        """
        for where, spelled in (("", device), (f"/{device}", name)):
            known = self._spelled.get((where, spelled.lower()), spelled)
            if known != spelled:
                raise DataError(
                    f"'{tag}': '{spelled}' differs from '{known}' only in case, and a host may "
                    "take both for one: give one of the tags another name"
                )
        self._spelled["", device.lower()] = device
        self._spelled[f"/{device}", name.lower()] = name

    def _metrics(self, device: str) -> list[Metric]:
        """As a birth tells them: names, types, aliases and units (6.4.10)."""
        return [
            self._metric(point, point.last, name=point.name, historical=False)
            for point in self._points.values()
            if point.device == device
        ]

    def _data(self, samples: Sequence[Sample], now: int) -> Iterator[Outgoing]:
        """NDATA and DDATA: in order of the samples, as many in one message as belong together."""
        device, metrics = "", list[Metric]()
        for sample in samples:
            point = self._points[sample.tag]
            if metrics and (point.device != device or len(metrics) >= _MOST_METRICS):
                yield self._message("DDATA" if device else "NDATA", device, metrics, now)
                metrics = []
            device = point.device
            historical = sample.time < max(self._born, point.newest)
            if not historical:
                point.newest = sample.time
            metrics.append(self._metric(point, sample, historical=historical))
        if metrics:
            yield self._message("DDATA" if device else "NDATA", device, metrics, now)

    def _message(self, kind: str, device: str, metrics: list[Metric], now: int) -> Outgoing:
        payload = Payload(metrics=_in_time(metrics), time=now, seq=self._sequence)
        self._sequence = (self._sequence + 1) % SEQUENCE
        types = self.types_in_data or kind.endswith("BIRTH")
        return Outgoing(
            Place(self.group, kind, self.node, device).topic, encode(payload, types=types)
        )

    def _limits(self, name: str) -> tuple[float | None, float | None]:
        tag = self.tags.get(name)
        return (tag.low, tag.high) if tag is not None else (None, None)

    @staticmethod
    def _told(point: _Point) -> dict[str, Property]:
        """What a birth says of a metric beside its value: unit and range, where they are known."""
        limits = zip(("engLow", "engHigh"), point.limits, strict=True)
        told = {key: Property(float(at), DataType.DOUBLE) for key, at in limits if at is not None}
        return told | ({"engUnit": Property(point.unit, DataType.STRING)} if point.unit else {})

    def _metric(self, point: _Point, sample: Sample, *, name: str = "", historical: bool) -> Metric:
        value, worth = sample.value, _QUALITIES[severity(sample.quality)]
        if isinstance(value, float) and not math.isfinite(value):
            value, worth = None, _QUALITIES["bad"]
        if point.datatype == DataType.DOUBLE and value is not None:
            value = float(value)
        properties = {}
        if name or worth != _QUALITIES["good"]:
            properties["Quality"] = Property(worth, DataType.INT32)
        if name:
            properties |= self._told(point)
        return Metric(
            name=name,
            alias=point.alias,
            value=value,
            datatype=point.datatype,
            time=sample.time,
            is_historical=historical,
            properties=properties,
        )


def _bd_seq(number: int, now: int) -> Metric:
    return Metric(name=BD_SEQ, value=number, datatype=DataType.INT64, time=now)


def _in_time(metrics: list[Metric]) -> list[Metric]:
    """What is historical as it came, then the others by their times (section 6.4.10)."""
    return sorted(metrics, key=lambda m: -1 if m.is_historical or m.time is None else m.time)


def _placed(tag: str) -> tuple[str, str]:
    """Device and metric of a tag.

    Raises:
        DataError: the device's name is too long for a level of a topic.
    """
    device, dot, rest = tag.partition(".")
    if not dot:
        return "", readable(tag)
    return level(device), readable(rest.replace(".", "/"))


def _type_of(value: Value) -> DataType | None:
    for python_type, datatype in (
        (bool, DataType.BOOLEAN), (int, DataType.INT64), (float, DataType.DOUBLE),
        (str, DataType.STRING),
    ):  # fmt: skip
        if isinstance(value, python_type):
            return datatype
    return None


def _fitting(value: Value, before: DataType) -> DataType:
    """The type a metric has from now on; whole numbers fit into one that had others."""
    now = _type_of(value) or before
    return DataType.DOUBLE if {now, before} == _NUMBERS else now
