"""Values by name: which property of which object of which device a tag means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gl002.config.problems import near
from gl002.errors import ConfigError, DataError
from gl002.model import Quality, Sample, Tag, Value, is_bad, now_ns
from gl002.transport.bacnet.device import Answer, Device, first
from gl002.transport.bacnet.devices import ObjectSettings
from gl002.transport.bacnet.failures import quality_of as quality_of_refusal
from gl002.transport.bacnet.settings import BacnetInput
from gl002.transport.bacnet.station import Refusal
from gl002.wire import bacnet as b
from gl002.wire.bacnet import Date, Datum, Item, ObjectId, Time
from gl002.wire.bacnet_names import (
    ANALOG,
    BINARY,
    MULTI_STATE,
    fault_of,
    has_fault,
    object_name,
    parse_object,
    parse_property,
    property_name,
    quality_of,
)
from gl002.wire.bacnet_services import PRESENT_VALUE, STATUS_FLAGS, Ask
from gl002.wire.bacnet_units import from_bacnet

_RELIABILITY, _UNITS = 103, 117
_NUMBERED = frozenset({b.ENUMERATED, b.UNSIGNED})
_TYPES = {  # object type -> application tags that its present value may have (12.2 and on)
    **dict.fromkeys(ANALOG, frozenset({b.REAL, b.DOUBLE})),
    **dict.fromkeys(BINARY, _NUMBERED | {b.BOOLEAN}),
    **dict.fromkeys(MULTI_STATE, _NUMBERED),
    40: frozenset({b.TEXT}), 45: frozenset({b.SIGNED}), 46: frozenset({b.DOUBLE}),
    48: frozenset({b.UNSIGNED}),
}  # fmt: skip
_WITH_UNITS = ANALOG | {12, 23, 24, 45, 46, 48}


class Point(NamedTuple):
    """One value under the name its samples get.

    Attributes:
        tag: that name.
        device: whose it is.
        ask: what to read.
        scale, offset: what becomes of a number.
        unit: as configured, '' for what the device says.
        description: in the user's words.
        cov: whether the device is to report its changes.
        trend_log: the trend log that records it, where configured.
    """

    tag: str
    device: Device
    ask: Ask
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    description: str = ""
    cov: bool = False
    trend_log: ObjectId | None = None

    @property
    def address(self) -> str:
        """'device 1001 analog-input,1', for people."""
        name = property_name(self.ask.property)
        shown = "" if self.ask.property == PRESENT_VALUE else f" {name}"
        return f"device {self.device.id.instance} {object_name(self.ask.object)}{shown}"

    def as_tag(self, source: str, unit: str = "") -> Tag:
        """As the tag table has it."""
        return Tag(
            name=self.tag,
            unit=self.unit or unit,
            source=source,
            address=self.address,
            description=self.description,
        )

    # ---- values -----------------------------------------------------------------------------

    def value_of(self, items: Sequence[Item]) -> Value:
        """The value, scaled.

        Raises:
            DataError: it is no single value.
        """
        value = single(items)
        if self.ask.property == PRESENT_VALUE and isinstance(items[0], Datum):
            if items[0].tag not in _TYPES.get(self.ask.object.type, {items[0].tag}):
                raise DataError(f"a {b.TYPE_NAMES[items[0].tag]} from {self.address}")
            if self.ask.object.type in BINARY:
                if value not in {0, 1}:
                    raise DataError(f"{value!r} from {self.address}, which is on or off")
                return bool(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if (self.scale, self.offset) == (1.0, 0.0):
            return value
        return value * self.scale + self.offset

    def sample(self, answer: Answer, flags: Sequence[bool] | None, time: int) -> Sample:
        """A sample of what the device answered."""
        if isinstance(answer, Refusal):
            return Sample(self.tag, None, time, quality_of_refusal(answer))
        try:
            value = self.value_of(answer)
        except DataError:
            return Sample(self.tag, None, time, int(Quality.BAD_TYPE_MISMATCH))
        quality = quality_of(flags)
        return Sample(self.tag, None if is_bad(quality) else value, time, quality)

    def datum(self, value: Value, tag: int) -> Datum:
        """A value of ours as the device's type wants it; the scaling is undone.

        Raises:
            DataError: it does not fit.
        """
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if number and (self.scale, self.offset) != (1.0, 0.0):
            value = (value - self.offset) / self.scale  # type: ignore[operator]  # a number
        return typed(value, tag, self.tag)


def single(items: Sequence[Item]) -> Value:
    """The one value that an answer holds, without BACnet's types.

    Raises:
        DataError: it is a list or a structure.
    """
    match items:
        case (Datum(_, Date() as date), Datum(_, Time() as time)):
            return f"{_date(date)}T{_time(time)}"
        case (Datum(_, value),):
            return _plain(value)
    raise DataError("a list or a structure where one value belongs")


def _plain(value: b.Primitive) -> Value:
    match value:
        case ObjectId():
            return object_name(value)
        case Date():
            return _date(value)
        case Time():
            return _time(value)
        case bytes():
            return value.hex()
        case tuple():
            return "".join("1" if bit else "0" for bit in value)
    return value


def _date(date: Date) -> str:
    year, month, day = ("*" if part == b.ANY else part for part in date[:3])
    return f"{year:0>4}-{month:0>2}-{day:0>2}"


def _time(time: Time) -> str:
    hour, minute, second, hundredths = ("*" if part == b.ANY else part for part in time)
    return f"{hour:0>2}:{minute:0>2}:{second:0>2}.{hundredths:0>2}"


def typed(value: Value, tag: int, name: str) -> Datum:
    """A value in the type of a property, exactly.

    Raises:
        DataError: it does not fit; nothing is rounded.
    """
    fits: Value = value
    if tag in {b.UNSIGNED, b.SIGNED, b.ENUMERATED}:
        fits = _whole(value, name, tag)
    elif tag in {b.REAL, b.DOUBLE}:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise DataError(f"{name}: {value!r} is no number")
    elif (tag == b.BOOLEAN and not isinstance(value, bool)) or (
        tag == b.TEXT and not isinstance(value, str)
    ):
        raise DataError(f"{name}: {value!r} is no {b.TYPE_NAMES[tag]}")
    elif tag not in {b.BOOLEAN, b.TEXT}:
        raise DataError(f"{name} is a {b.TYPE_NAMES[tag]}, which we do not write")
    return Datum(tag, fits)


def _is_finite(value: float) -> bool:
    return value - value == 0  # neither NaN nor infinite


def _whole(value: Value, name: str, tag: int) -> int:
    if isinstance(value, bool) and tag == b.ENUMERATED:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise DataError(f"{name}: {value!r} is no whole number")
    low, high = (-(1 << 31), (1 << 31) - 1) if tag == b.SIGNED else (0, (1 << 32) - 1)
    if not low <= value <= high:
        raise DataError(f"{name}: {value!r} is not from {low} to {high}")
    return int(value)


# ---- by name ----------------------------------------------------------------------------------


class Points:
    """What can be read by name on one connection.

    Args:
        devices: of that connection.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = list(devices)
        self._by_tag = {point.tag: point for device in devices for point in _configured(device)}

    def __iter__(self) -> Iterator[Point]:
        return iter(self._by_tag.values())

    def find(self, name: str) -> Point | None:
        """The value of a name: 'boiler1.steam_flow', 'steam_flow' where only one device has it,
        an address, 'boiler1.analog-input,1' or 'boiler1.AI1.high-limit'; None for any other.
        """  # noqa: D205 (one sentence)
        if name in self._by_tag:
            return self._by_tag[name]
        same = [point for tag, point in self._by_tag.items() if tag.endswith(f".{name}")]
        if same:
            return same[0] if len(same) == 1 else None
        for device in self.devices:
            for label in (device.label, str(device.id.instance)):
                if name.startswith(f"{label}."):
                    return _addressed(device, name, name.removeprefix(f"{label}."))
        return _addressed(self.devices[0], name, name) if len(self.devices) == 1 else None

    def near(self, name: str) -> str:
        """A hint about a name that is not configured."""
        return near(name, self._by_tag)

    def selected(self, spec: BacnetInput, connection: str) -> list[Point]:
        """What an input asks for, under the names its samples get.

        Raises:
            ConfigError: a name or device that is not configured, or nothing to read.
        """
        if spec.device is not None and spec.device not in {d.label for d in self.devices}:
            hint = near(spec.device, (d.label for d in self.devices))
            raise ConfigError(f"{connection} has no device '{spec.device}'", hint=hint)
        if spec.tags is None:
            chosen = [p for p in self if spec.device in {None, p.device.label}]
        else:
            chosen = [self._named(name, connection) for name in dict.fromkeys(spec.tags)]
        if not chosen:
            raise ConfigError(
                f"{connection}: there is no object to read",
                hint="list objects at the device, or 'tags' in the input",
            )
        return [point._replace(tag=f"{spec.prefix}{point.tag}") for point in chosen]

    def _named(self, name: str, connection: str) -> Point:
        point = self.find(name)
        if point is None:
            raise ConfigError(f"{connection} has no object '{name}'", hint=self.near(name))
        return point


def _configured(device: Device) -> Iterator[Point]:
    for each in device.settings.objects:
        yield _point(device, each)


def _point(device: Device, each: ObjectSettings) -> Point:
    return Point(
        tag=f"{device.label}.{each.name}",
        device=device,
        ask=each.ask(),
        scale=each.scale,
        offset=each.offset,
        unit=each.unit,
        description=each.description,
        cov=device.settings.subscribes(each),
        trend_log=None if each.trend_log is None else parse_object(each.trend_log),
    )


def _addressed(device: Device, tag: str, address: str) -> Point | None:
    """'analog-input,1' or 'analog-input,1.high-limit'."""
    target, _, name = address.partition(".")
    try:
        ask = Ask(parse_object(target), parse_property(name) if name else PRESENT_VALUE)
    except ValueError:
        return None
    cov = device.settings.cov.enabled and ask.property == PRESENT_VALUE
    return Point(tag=tag, device=device, ask=ask, cov=cov)


def by_device(points: Iterable[Point]) -> list[tuple[Device, list[Point]]]:
    """The points of each device together, devices in order of appearance."""
    groups: dict[int, tuple[Device, list[Point]]] = {}
    for point in points:
        groups.setdefault(id(point.device), (point.device, []))[1].append(point)
    return list(groups.values())


# ---- reading many -----------------------------------------------------------------------------


async def read_points(device: Device, points: Sequence[Point]) -> list[Sample]:
    """A sample of each, in the order of `points`; bad where the device refuses it.

    Raises:
        GL002Error: the device does not answer.
    """
    asks: list[Ask] = []
    for point in points:
        asks.append(point.ask)
        if point.ask.property == PRESENT_VALUE and point.ask.object not in device.without_flags:
            asks.append(point.ask._replace(property=STATUS_FLAGS))
    found = dict(zip(asks, await device.read(asks), strict=True))
    now = now_ns()
    samples, faulty = [], []
    for i, point in enumerate(points):
        flags = _flags(device, found.get(point.ask._replace(property=STATUS_FLAGS)), point.ask)
        samples.append(point.sample(found[point.ask], flags, now))
        if has_fault(flags):
            faulty.append(i)
    for i, quality in zip(faulty, await _why_faulty(device, points, faulty), strict=True):
        samples[i] = Sample(samples[i].tag, None, now, quality)
    return samples


def _flags(device: Device, answer: Answer | None, ask: Ask) -> tuple[bool, ...] | None:
    if isinstance(answer, Refusal) and answer.kind == "error":
        device.without_flags.add(ask.object)
    return flags_in(answer)


def flags_in(answer: Answer | None) -> tuple[bool, ...] | None:
    """The status flags that an answer holds; None where it holds none."""
    match answer:
        case (Datum(b.BITS, tuple() as flags),):
            return tuple(map(bool, flags))
    return None


async def _why_faulty(device: Device, points: Sequence[Point], faulty: Sequence[int]) -> list[int]:
    """Quality of objects with a fault, from their reliability."""
    asks = [points[i].ask._replace(property=_RELIABILITY) for i in faulty]
    answers = [first(answer) for answer in await device.read(asks)] if asks else []
    return [fault_of(value if isinstance(value, int) else 0).quality for value in answers]


async def units_of(device: Device, points: Sequence[Point]) -> dict[str, str]:
    """Tag -> unit as the device says, for those that the configuration gives none."""
    asked = [
        p for p in points
        if not p.unit and p.ask.property == PRESENT_VALUE and p.ask.object.type in _WITH_UNITS
    ]  # fmt: skip
    answers = await device.read([p.ask._replace(property=_UNITS) for p in asked]) if asked else []
    numbers = [first(answer) for answer in answers]
    return {
        p.tag: from_bacnet(number)
        for p, number in zip(asked, numbers, strict=True)
        if isinstance(number, int)
    }
