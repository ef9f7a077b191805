"""Ignition's tag history in SQL: paths of tags, and what a row of its tables means.

Sources: Ignition User Manual, "Ignition Database Table Reference" (versions 7.9, 8.1, 8.3): tables
sqlth_te, sqlth_scinfo, sqlth_sce, sqlth_partitions, sqlth_drv, sqlt_data_<driver>_<year>_<month>,
sqlth_1_data; "Tag Quality and Overlays" for the numbers in `dataintegrity`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, ValueType
from gl002.wire.opc_classic import to_ua

MILLISECOND = 1_000_000
GOOD = 192

_PATH = re.compile(r"(?:\[(?P<provider>[^\[\]]*)\])?(?P<path>.*)", re.DOTALL)
_TYPES: Mapping[int, ValueType] = {0: "int", 1: "float", 2: "str"}  # sqlth_te.datatype; 3: a date
_OPC = 256  # below it `dataintegrity` is an OPC quality
_QUALITIES: Mapping[int, Quality] = {
    300: Quality.BAD_WAITING_FOR_INITIAL_DATA,
    301: Quality.BAD_CONFIGURATION_ERROR,
    403: Quality.BAD_NOT_READABLE,
    404: Quality.BAD_NODE_ID_UNKNOWN,
    500: Quality.BAD_NO_COMMUNICATION,  # stale
}


class Path(NamedTuple):
    """'[default]Boiler1/SteamFlow': a tag provider, and the path in it."""

    provider: str
    path: str

    @property
    def key(self) -> str:
        """As sqlth_te has it: without the provider, in lower case."""
        return self.path.lower()

    def __str__(self) -> str:
        return f"[{self.provider}]{self.path}"


def parse(text: str, provider: str) -> Path:
    """Read a tag path; the provider where it names none.

    Raises:
        DataError: it is none.
    """
    match = _PATH.fullmatch(text)
    assert match is not None  # it takes any text
    path = match["path"].strip("/")
    if not path or "[" in path or "]" in path:
        raise DataError(f"'{text}' is no tag path", hint="[default]Boiler1/SteamFlow")
    return Path(provider if match["provider"] is None else match["provider"], path)


class Entry(NamedTuple):
    """A row of sqlth_te: one life of a tag.

    A tag that was renamed, or given another type, group or gateway, is retired, and another row
    goes on for it.

    Attributes:
        group: its tag group, sqlth_scinfo.id ("scan class").
        driver: what stored it, sqlth_drv.id: a gateway and a tag provider.
        created: milliseconds since 1970.
        retired: None while it lives.
    """

    id: int
    path: str
    group: int
    datatype: int
    created: int
    retired: int | None
    driver: int
    provider: str

    def lived(self, start: int, end: int) -> bool:
        """Whether it may have values with start <= time < end, milliseconds."""
        return self.created < end and (self.retired is None or self.retired >= start)

    @property
    def type(self) -> ValueType | None:
        """The type of its values; None for dates, which come as text."""
        return _TYPES.get(self.datatype)


class Stretch(NamedTuple):
    """A row of sqlth_sce: the tag group was executed from start to end, milliseconds, at a rate."""

    start: int
    end: int
    rate: int


def gaps(stretches: list[Stretch], start: int, end: int) -> list[tuple[int, int]]:
    """When a tag group was not executed between two times, milliseconds.

    A pause of less than two executions is none: the end of a stretch is written as it goes on.
    """
    found: list[tuple[int, int]] = []
    running = start
    rate = 0
    for stretch in sorted(stretches):
        if stretch.start - running > 2 * max(rate, stretch.rate) and stretch.start > start:
            found.append((running, min(stretch.start, end)))
        running = max(running, stretch.end)
        rate = stretch.rate
    if end - running > 2 * rate:
        found.append((running, end))
    return [(a, b) for a, b in found if a < b and b > start and a < end]


def quality(integrity: int | None) -> int:
    """The status code of a `dataintegrity`: 192 is good; the manual calls anything else bad."""
    if integrity is None or integrity == GOOD:
        return int(Quality.GOOD)
    if 0 <= integrity < _OPC:
        return to_ua(integrity)
    return int(_QUALITIES.get(integrity, Quality.BAD))


def sample(name: str, row: tuple[Any, ...]) -> Sample:
    """A row of a data table: t_stamp, intvalue, floatvalue, stringvalue, datevalue, integrity."""
    stamp, whole, number, text, date, integrity = row
    value: Value = next((v for v in (whole, number, text) if v is not None), None)
    if value is None and isinstance(date, datetime):
        value = date.isoformat()
    return Sample(name, value, int(stamp) * MILLISECOND, quality(integrity))
