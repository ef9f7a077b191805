"""Ignition's tag history in SQL: paths of tags, and what a row of its tables means.

Sources: Ignition User Manual, "Ignition Database Table Reference" (versions 7.9, 8.1, 8.3): tables
sqlth_te, sqlth_scinfo, sqlth_sce, sqlth_partitions, sqlth_drv, sqlt_data_<driver>_<year>_<month>,
sqlth_1_data. For the numbers in `dataintegrity`: "Tag Quality and Overlays", and "Ignition 8
Quality Codes" of Cirrus Link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, ValueType
from gl002.wire.opc_classic import to_ua
from gl002.wire.opc_ua import looks_like_node

MILLISECOND = 1_000_000
GOOD = 192

_PATH = re.compile(r"(?:\[(?P<provider>[^\[\]]*)\])?(?P<path>.*)", re.DOTALL)
_TYPES: Mapping[int, ValueType] = {0: "int", 1: "float", 2: "str"}  # sqlth_te.datatype; 3: a date
_OPC = 256  # below it `dataintegrity` is an OPC quality, or 200 to 203: good, with a remark
_SUBCODE = 0xFFFF  # of a code of 8.0 and later, which has its kind in the two highest bits
_UNCERTAIN = range(256, 262)
_QUALITIES: Mapping[int, Quality] = {
    257: Quality.UNCERTAIN_LAST_USABLE_VALUE,
    258: Quality.UNCERTAIN_INITIAL_VALUE,
    259: Quality.UNCERTAIN_SUB_NORMAL,
    260: Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
    300: Quality.BAD_WAITING_FOR_INITIAL_DATA,
    301: Quality.BAD_CONFIGURATION_ERROR,
    403: Quality.BAD_NOT_READABLE,
    404: Quality.BAD_NODE_ID_UNKNOWN,
    500: Quality.BAD_NO_COMMUNICATION,  # stale, until 7.9
    513: Quality.BAD_NOT_READABLE,  # unauthorized
    514: Quality.BAD_NOT_READABLE,  # access denied
    515: Quality.BAD_OUT_OF_SERVICE,  # disabled
    516: Quality.BAD_NO_COMMUNICATION,  # stale
    519: Quality.BAD_NODE_ID_UNKNOWN,
    520: Quality.BAD_NODE_ID_UNKNOWN,  # of a reference
    522: Quality.BAD_NOT_CONNECTED,
    523: Quality.BAD_NO_COMMUNICATION,  # with the gateway
    524: Quality.BAD_OUT_OF_RANGE,
    769: Quality.BAD_CONFIGURATION_ERROR,
    775: Quality.BAD_TIMEOUT,
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


def key_of(text: str) -> str | None:
    """The key of a tag path; None for what is none, a node id of OPC UA for one."""
    if looks_like_node(text):
        return None
    try:
        return parse(text, "").key
    except DataError:
        return None


def within(text: str, provider: str) -> tuple[str, str]:
    """The provider and the folder that are meant; '' and '[edge]' are a provider's top.

    Raises:
        DataError: it is neither.
    """
    match = _PATH.fullmatch(text)
    assert match is not None  # it takes any text
    named = provider if match["provider"] is None else match["provider"]
    return (named, parse(text, provider).path if match["path"].strip("/") else "")


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
        """Whether it lived at some time with start <= time < end, milliseconds."""
        return self.created < end and (self.retired is None or self.retired >= start)

    @property
    def type(self) -> ValueType | None:
        """The type of its values; None for dates, which come as text."""
        return _TYPES.get(self.datatype)


class Table(NamedTuple):
    """A row of sqlth_partitions: a data table, and which times it is for, milliseconds."""

    name: str
    start: int
    end: int


def in_turn(tables: Sequence[Table]) -> Iterator[list[Table]]:
    """The tables in the order of time; those that overlap, together."""
    together: list[Table] = []
    for table in sorted(tables, key=lambda t: (t.start, t.end, t.name)):
        if together and table.start >= max(t.end for t in together):
            yield together
            together = []
        together.append(table)
    if together:
        yield together


class Stretch(NamedTuple):
    """A row of sqlth_sce: the tag group was executed from start to end, milliseconds, at a rate."""

    start: int
    end: int
    rate: int


def of_lives(executed: Sequence[tuple[int, Stretch]], lives: Sequence[Entry]) -> list[Stretch]:
    """When a tag was watched: the executions of each group, while the tag belonged to it.

    Args:
        executed: of which group, and when.
        lives: of the tag.
    """
    found = []
    for life in lives:
        for group, stretch in executed:
            start = max(stretch.start, life.created)
            end = stretch.end if life.retired is None else min(stretch.end, life.retired)
            if group == life.group and start <= end:
                found.append(Stretch(start, end, stretch.rate))
    return found


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
    """The status code of a `dataintegrity`: 192 is good; the manual calls anything else bad.

    What is uncertain stays so: a code of Ignition 8 as such (256) or with its kind (1073742080).
    """
    if integrity is None or integrity == GOOD:
        return int(Quality.GOOD)
    if 0 <= integrity < _OPC:
        return to_ua(integrity)
    code = integrity & _SUBCODE
    other = Quality.UNCERTAIN if code in _UNCERTAIN else Quality.BAD
    return int(_QUALITIES.get(code, other))


def sample(name: str, row: tuple[Any, ...]) -> Sample:
    """A row of a data table: t_stamp, intvalue, floatvalue, stringvalue, datevalue, integrity."""
    stamp, whole, number, text, date, integrity = row
    value: Value = next((v for v in (whole, number, text) if v is not None), None)
    if value is None and isinstance(date, datetime):
        value = date.isoformat()
    return Sample(name, value, int(stamp) * MILLISECOND, quality(integrity))
