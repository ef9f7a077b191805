"""What flows through the gateway: samples, their quality, and what is known about their tags.

A sample is four fields and nothing more. What never changes between two samples of the same tag
(unit, source, description) stands once in the tag table.

    >>> sample = Sample("boiler1.steam_flow", 12.6, now_ns())
    >>> quality_name(sample.quality)
    'Good'
"""

from __future__ import annotations

import time as _time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal, TypeAlias

import msgspec

Value: TypeAlias = bool | int | float | str | None
ValueType: TypeAlias = Literal["bool", "int", "float", "str"]


class Quality(IntEnum):
    """OPC UA status codes the gateway itself assigns (OPC 10000-4, 7.39; Part 8, table A.1).

    Any other status code a server sends is kept as it came: `Sample.quality` is a plain integer.
    """

    GOOD = 0x0000_0000
    GOOD_LOCAL_OVERRIDE = 0x0096_0000
    UNCERTAIN = 0x4000_0000
    UNCERTAIN_NO_COMMUNICATION_LAST_USABLE = 0x408F_0000
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
    UNCERTAIN_SUBSTITUTE_VALUE = 0x4091_0000
    UNCERTAIN_INITIAL_VALUE = 0x4092_0000
    UNCERTAIN_SENSOR_NOT_ACCURATE = 0x4093_0000
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000
    UNCERTAIN_SUB_NORMAL = 0x4095_0000
    BAD = 0x8000_0000
    BAD_DECODING_ERROR = 0x8007_0000
    BAD_TIMEOUT = 0x800A_0000
    BAD_NO_COMMUNICATION = 0x8031_0000
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
    BAD_NODE_ID_UNKNOWN = 0x8034_0000
    BAD_NOT_READABLE = 0x803A_0000
    BAD_OUT_OF_RANGE = 0x803C_0000
    BAD_TYPE_MISMATCH = 0x8074_0000
    BAD_CONFIGURATION_ERROR = 0x8089_0000
    BAD_NOT_CONNECTED = 0x808A_0000
    BAD_DEVICE_FAILURE = 0x808B_0000
    BAD_SENSOR_FAILURE = 0x808C_0000
    BAD_OUT_OF_SERVICE = 0x808D_0000
    BAD_NO_DATA = 0x809B_0000
    BAD_DATA_LOST = 0x809D_0000


Severity: TypeAlias = Literal["good", "uncertain", "bad"]

_SEVERITIES: tuple[Severity, ...] = ("good", "uncertain", "bad", "bad")
_NAMES = {int(code): code.name.title().replace("_", "") for code in Quality}


def severity(quality: int) -> Severity:
    """Good, uncertain or bad: the two top bits of a status code (OPC 10000-4, 7.39.1)."""
    return _SEVERITIES[quality >> 30 & 3]


def is_good(quality: int) -> bool:
    """Whether the value can be used without reservation."""
    return not quality >> 30


def is_bad(quality: int) -> bool:
    """Whether the value must not be used."""
    return bool(quality >> 31)


def worst(qualities: Iterable[int]) -> int:
    """The status code with the gravest severity; of equals the first; GOOD of none.

    This is how quality passes through a calculation.
    """
    gravest = int(Quality.GOOD)
    for quality in qualities:
        if quality >> 30 > gravest >> 30:
            gravest = quality
    return gravest


def quality_name(quality: int) -> str:
    """OPC UA's name of a status code, 'BadNoCommunication'; else its hexadecimal form."""
    return _NAMES.get(quality & 0xFFFF_0000) or f"{severity(quality).title()}(0x{quality:08X})"


class Sample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value of one tag at one moment.

    Attributes:
        tag: the gateway's name, 'boiler1.steam_flow'; never a vendor address.
        value: in the tag's declared unit; None only where there is no value.
        time: nanoseconds since 1970-01-01 UTC, when the source measured it.
        quality: OPC UA status code, see `Quality`.
    """

    tag: str
    value: Value
    time: int
    quality: int = 0


Batch: TypeAlias = list[Sample]


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a tag once and for all.

    Attributes:
        name: the gateway's name.
        unit: the unit its samples are in, spelled as in `gl002.units`; '' where unknown.
        source: connector instance that delivers it, 'opc_ua.primary'.
        address: what the other side calls it, for people: 'ns=2;s=FT101.PV', 'holding 40001'.
        description: a plain phrase.
        type: the type its values must have; None takes any.
        low: lowest credible value in its unit; None where unknown.
        high: highest credible value.
    """

    name: str
    unit: str = ""
    source: str = ""
    address: str = ""
    description: str = ""
    type: ValueType | None = None
    low: float | None = None
    high: float | None = None


class TagTable(Mapping[str, Tag]):
    """The tags of one gateway by name: what sources say of them, and what the configuration says.

    The configuration wins field by field; a field that is empty on one side comes from the other.
    What nothing delivers any more is not among them, but can be looked up while samples of it wait
    to be delivered.

    Attributes:
        retired: what is no tag any more, and can still be looked up.
    """

    def __init__(self) -> None:
        self.retired: dict[str, Tag] = {}
        self._met: dict[str, Tag] = {}
        self._configured: dict[str, Tag] = {}

    def declare(self, tag: Tag) -> None:
        """What a source knows about a tag; a later declaration completes or replaces it."""
        self.retired.pop(tag.name, None)
        known = self._met.get(tag.name)
        self._met[tag.name] = tag if known is None else _completed(tag, known)

    def configure(self, tag: Tag) -> None:
        """What the configuration says about a tag."""
        self._configured[tag.name] = tag

    def configure_all(self, tags: Iterable[Tag]) -> None:
        """What the configuration says about its tags from now on."""
        self._configured = {tag.name: tag for tag in tags}

    def retire(self, names: Iterable[str]) -> None:
        """Nothing delivers these any more; `retired` is the caller's to clear."""
        for name in names:
            tag = self._met.pop(name, None)
            if tag is not None:
                self.retired[name] = tag

    @contextmanager
    def tentative(self) -> Iterator[None]:
        """Forget all that is said inside when it ends with an error."""
        met, configured, retired = dict(self._met), self._configured, dict(self.retired)
        try:
            yield
        except BaseException:
            self._met, self._configured, self.retired = met, configured, retired
            raise

    def unit(self, name: str) -> str:
        """The unit of a tag's samples in the store, '' where the tag or its unit is unknown."""
        tag = self.get(name)
        return tag.unit if tag is not None else ""

    def source_unit(self, name: str) -> str:
        """The unit its source delivers it in, '' where unknown."""
        tag = self._met.get(name)
        return tag.unit if tag is not None else ""

    def __contains__(self, name: object) -> bool:
        return name in self._met or name in self._configured

    def __getitem__(self, name: str) -> Tag:
        met, configured = self._met.get(name), self._configured.get(name)
        met = met or self.retired.get(name)
        if met is None or configured is None:
            return met or configured or _absent(name)
        return _completed(configured, met)

    def __iter__(self) -> Iterator[str]:
        yield from self._met
        yield from (name for name in self._configured if name not in self._met)

    def __len__(self) -> int:
        return len(self._met.keys() | self._configured.keys())


def _completed(tag: Tag, other: Tag) -> Tag:
    """`tag`, its empty fields filled from `other`."""
    fields = {name: getattr(tag, name) for name in Tag.__struct_fields__}
    empty = [name for name, value in fields.items() if value is None or value == ""]
    return Tag(**fields | {name: getattr(other, name) for name in empty})


def _absent(name: str) -> Tag:
    raise KeyError(name)


def now_ns() -> int:
    """The wall clock in nanoseconds since 1970-01-01 UTC."""
    return _time.time_ns()


def to_ns(moment: datetime) -> int:
    """Nanoseconds since 1970-01-01 UTC; a datetime without a zone is local time."""
    moment = moment.astimezone(UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1_000


def to_datetime(nanoseconds: int) -> datetime:
    """Aware UTC datetime, cut to microseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)
