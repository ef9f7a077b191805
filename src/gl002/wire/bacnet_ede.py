"""EDE files: the list of points that a supplier of a BACnet system hands over.

Engineering Data Exchange is a table of the BACnet Interest Group Europe: some lines about the
project, a line of headings that begins with '#', then one line an object. Fields are divided by
semicolons, in some files by commas or tabs.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gl002.wire.bacnet import ObjectId
from gl002.wire.bacnet_names import DEVICE
from gl002.wire.bacnet_units import from_bacnet

_COLUMNS: Final = {  # heading, its letters only -> what it is for us
    "keyname": "key", "deviceobjinstance": "device", "deviceobjectinstance": "device",
    "objectname": "name", "objecttype": "type", "objectinstance": "instance",
    "description": "description", "commandable": "commandable", "unitcode": "unit",
    "supportscov": "cov",
}  # fmt: skip
_NEEDED: Final = ("device", "name", "type", "instance")
_YES: Final = {"y", "yes", "j", "ja", "true", "1", "x"}


class EdePoint(NamedTuple):
    """One object of an EDE file.

    Attributes:
        device: instance of its device.
        object: type and instance.
        name: its object name.
        description: in the supplier's words.
        unit: ours, '' where none is given or we have none.
        commandable: whether the supplier says it may be written.
        cov: whether it reports changes; None where the file does not say.
    """

    device: int
    object: ObjectId
    name: str
    description: str = ""
    unit: str = ""
    commandable: bool = False
    cov: bool | None = None


def decode(data: bytes) -> str:
    """The text of a file: UTF-16 and UTF-8 by their marks, else UTF-8, else Windows-1252."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def parse(text: str) -> list[EdePoint]:
    """Every object of an EDE file, those of devices themselves left out.

    Raises:
        ValueError: it is no EDE file, or a line is wrong; names the line.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines):
        divider = max(";\t,", key=line.count)
        columns = _columns(next(csv.reader([line], delimiter=divider), []))
        if all(name in columns for name in _NEEDED):
            return [*_points(lines, number + 1, columns, divider)]
    raise ValueError(
        "no EDE file: it has no line of headings with 'device obj.-instance', 'object-name', "
        "'object-type' and 'object-instance'"
    )


def _columns(cells: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for i, cell in enumerate(cells):
        letters = "".join(c for c in cell.lower() if c.isalpha())
        if letters in _COLUMNS:
            found.setdefault(_COLUMNS[letters], i)
    return found


def _points(
    lines: Sequence[str], start: int, columns: dict[str, int], divider: str
) -> Iterator[EdePoint]:
    for number, cells in enumerate(csv.reader(lines[start:], delimiter=divider), start + 1):
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            continue
        row = {name: cells[i].strip() for name, i in columns.items() if i < len(cells)}
        try:
            point = _point(row)
        except (KeyError, ValueError) as error:
            raise ValueError(f"line {number} of the EDE file: {_wrong(error)}") from None
        if point.object.type != DEVICE:
            yield point


def _point(row: dict[str, str]) -> EdePoint:
    cov = row.get("cov", "").lower()
    unit = row.get("unit", "")
    return EdePoint(
        device=int(row["device"]),
        object=ObjectId(int(row["type"]), int(row["instance"])),
        name=row["name"] or row.get("key", ""),
        description=row.get("description", ""),
        unit=from_bacnet(int(unit)) if unit.isdecimal() else "",
        commandable=row.get("commandable", "").lower() in _YES,
        cov=cov in _YES if cov else None,
    )


def _wrong(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
