"""What ABAP data looks like in SOAP-RFC (SAP Help, "Serialization of ABAP Data in XML").

A type is read from the XML Schema that SAP generates for a function (`gl002.wire.rfc_wsdl`), where
names show the kind: 'char18', 'numeric6', 'date10', 'quantum15.3'. Python's side of each:

CHAR, STRING, units: str without trailing blanks. NUMC: str, zeros in front. DATS: date, TIMS: time,
None where initial. DEC, CURR, QUAN: Decimal. INT: int. FLTP: float. RAW, XSTRING: bytes.
Structures are dicts, tables lists of dicts.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree as ET

from gl002.errors import DataError, RequestFailed
from gl002.wire.xml import Element, check_text, local

Kind: TypeAlias = Literal["char", "numc", "date", "time", "decimal", "int", "float", "raw"]

INITIAL_DATE = "0000-00-00"
INITIAL_TIME = "00:00:00"
_EXACT = Context(prec=60)  # a packed number has 31 digits at most


@dataclass(frozen=True, slots=True)
class Simple:
    """One value.

    Attributes:
        kind: which rules.
        length: characters, or digits of a decimal; 0 for any number.
        decimals: behind the point.
        lowest: of an int.
        highest: of an int.
    """

    kind: Kind = "char"
    length: int = 0
    decimals: int = 0
    lowest: int = -(2**31)
    highest: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Structure:
    """Named fields, in the order of their definition."""

    fields: Mapping[str, Type] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one type."""

    row: Type


Type: TypeAlias = Simple | Structure | Table


# ---- to SAP -------------------------------------------------------------------------------------


def put(parent: Element, name: str, value: object, kind: Type | None, where: str) -> None:
    """Append a parameter or field.

    Args:
        parent: the function's element, a structure or a row.
        name: of it, as ABAP spells it.
        value: Python's side of it.
        kind: its type; None where SAP did not say.
        where: for messages, 'Z_UPDATE: IT_ROWS[3].MATNR'.

    Raises:
        DataError: the value does not fit; names the place.
    """
    here = ET.SubElement(parent, xml_name(name))
    if isinstance(kind, Table) or (kind is None and _is_rows(value)):
        _put_rows(here, value, kind.row if isinstance(kind, Table) else None, where)
    elif isinstance(kind, Structure) or (kind is None and isinstance(value, Mapping)):
        _put_fields(here, value, kind if isinstance(kind, Structure) else None, where)
    else:
        here.text = text(value, kind, where)


def _is_rows(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _put_rows(here: Element, rows: object, kind: Type | None, where: str) -> None:
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise DataError(f"{where} is a table: expected a list of rows, found {_shown(rows)}")
    for number, row in enumerate(rows):
        put(here, "item", row, kind, f"{where}[{number}]")


def _put_fields(here: Element, value: object, kind: Structure | None, where: str) -> None:
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is a structure: expected a dict, found {_shown(value)}")
    known = kind.fields if kind is not None else dict.fromkeys(value)
    unknown = [name for name in value if name not in known]
    if unknown:
        raise DataError(
            f"{where} has no field '{unknown[0]}'", hint=f"its fields: {', '.join(known)}"
        )
    for name, inner in known.items():  # SAP reads them in the order of the definition
        if value.get(name) is not None:
            put(here, name, value[name], inner, f"{where}.{name}")


def text(value: object, kind: Simple | None, where: str) -> str:
    """One value as it goes over the wire.

    Raises:
        DataError: it does not fit.
    """
    kind = kind or _guessed(value)
    return _WRITERS[kind.kind](value, kind, where)


def _guessed(value: object) -> Simple:
    """The type that a value of Python's stands for, where SAP did not say."""
    if isinstance(value, date):
        return Simple("date")
    if isinstance(value, time):
        return Simple("time")
    return Simple("raw" if isinstance(value, bytes | bytearray) else "char")


def _char(value: object, kind: Simple, where: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            said = "X" if value else ""
        case str():
            said = value
        case datetime() | date():
            said = f"{value:%Y%m%d}"
        case time():
            said = f"{value:%H%M%S}"
        case int():
            said = str(value)
        case float() | Decimal():
            said = f"{_number(value, where):f}"  # ABAP reads no '1E+3' out of text
        case _:
            raise DataError(f"{where}: {_shown(value)} is no text")
    if kind.length and len(said.rstrip(" ")) > kind.length:
        raise DataError(f"{where}: {_shown(said)} is longer than {kind.length} characters")
    try:
        check_text(said)
    except DataError as error:
        raise DataError(f"{where}: {error.args[0]}") from None
    return said.rstrip(" ")


def _numc(value: object, kind: Simple, where: str) -> str:
    digits = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise DataError(f"{where}: expected digits, found {_shown(value)}")
    if kind.length and len(digits) > kind.length:
        raise DataError(f"{where}: {digits} has more than {kind.length} digits")
    return digits.zfill(kind.length)


def _date(value: object, _: Simple, where: str) -> str:
    if value in (None, "", "00000000", INITIAL_DATE):
        return INITIAL_DATE
    if isinstance(value, date):  # a datetime is one
        return date(value.year, value.month, value.day).isoformat()
    if isinstance(value, str):
        try:
            return date.fromisoformat(value).isoformat()  # '20261126', too
        except ValueError:
            pass
    raise DataError(f"{where}: expected a date, found {_shown(value)}", hint="such as 2026-11-26")


def _time(value: object, _: Simple, where: str) -> str:
    if value in (None, ""):
        return INITIAL_TIME
    if isinstance(value, datetime | time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, str):
        try:
            return f"{time.fromisoformat(value):%H:%M:%S}"  # '101112', too
        except ValueError:
            pass
    raise DataError(f"{where}: expected a time of day, found {_shown(value)}", hint="as 10:11:12")


def _number(value: object, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise DataError(f"{where}: expected a number, found {_shown(value)}")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise DataError(f"{where}: expected a number, found {_shown(value)}") from None
    if not number.is_finite():
        raise DataError(f"{where}: SAP has no such number: {value}")
    return number


def _decimal(value: object, kind: Simple, where: str) -> str:
    """A float is rounded to the field's places as ABAP does; what was exact must fit exactly."""
    number = _number(value, where)
    try:
        fitted = number.quantize(Decimal(1).scaleb(-kind.decimals), ROUND_HALF_UP, _EXACT)
    except InvalidOperation:
        fitted = None
    if fitted is None or (kind.length and len(fitted.as_tuple().digits) > kind.length):
        raise DataError(
            f"{where}: {value} has more than {kind.length - kind.decimals} digits before the point"
        )
    if fitted != number and not isinstance(value, float):
        raise DataError(f"{where}: {value} has more than {kind.decimals} decimals")
    return f"{fitted or abs(fitted):f}"  # no '-0.00'


def _int(value: object, kind: Simple, where: str) -> str:
    number = _number(value, where)
    if number != number.to_integral_value():
        raise DataError(f"{where}: expected a whole number, found {value}")
    if not kind.lowest <= number <= kind.highest:
        raise DataError(f"{where}: {value} is not within {kind.lowest} and {kind.highest}")
    return str(int(number))


def _float(value: object, _: Simple, where: str) -> str:
    number = float(_number(value, where))
    if not math.isfinite(number):
        raise DataError(f"{where}: SAP has no such number: {value}")
    return repr(number)


def _raw(value: object, kind: Simple, where: str) -> str:
    if not isinstance(value, bytes | bytearray):
        raise DataError(f"{where}: expected bytes, found {_shown(value)}")
    if kind.length and len(value) > kind.length:
        raise DataError(f"{where}: {len(value)} bytes, and there is room for {kind.length}")
    return base64.b64encode(value).decode()


_WRITERS: Mapping[Kind, Callable[[object, Simple, str], str]] = {
    "char": _char, "numc": _numc, "date": _date, "time": _time,
    "decimal": _decimal, "int": _int, "float": _float, "raw": _raw,
}  # fmt: skip


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}..."  # noqa: PLR2004 (of a message)


# ---- from SAP -----------------------------------------------------------------------------------


def get(element: Element, kind: Type | None) -> Any:
    """Python's side of a parameter or field.

    Raises:
        RequestFailed: it is not what its type says.
    """
    if isinstance(kind, Table) or (kind is None and _has_items(element)):
        row = kind.row if isinstance(kind, Table) else None
        return [get(item, row) for item in element]
    if isinstance(kind, Structure) or (kind is None and len(element)):
        fields = kind.fields if isinstance(kind, Structure) else {}
        found = {abap_name(local(e)): e for e in element}
        given = {name: get(e, fields.get(name)) for name, e in found.items()}
        return {**{n: empty(t) for n, t in fields.items() if n not in given}, **given}
    return _value(element.text or "", kind, element.tag)


def _has_items(element: Element) -> bool:
    return len(element) > 0 and all(local(e) == "item" for e in element)


def empty(kind: Type | None) -> Any:
    """The initial value of a type."""
    if isinstance(kind, Table):
        return []
    if isinstance(kind, Structure):
        return {name: empty(inner) for name, inner in kind.fields.items()}
    if kind is not None and kind.kind == "numc":
        return "0" * kind.length
    return _INITIAL[kind.kind if kind is not None else "char"]


_INITIAL: Mapping[Kind, Any] = {
    "char": "", "numc": "", "date": None, "time": None,
    "decimal": Decimal(0), "int": 0, "float": 0.0, "raw": b"",
}  # fmt: skip


def _value(said: str, kind: Simple | None, name: str) -> Any:
    if kind is None or kind.kind == "char":
        return said.rstrip(" ")
    said = said.strip()
    if not said:
        return empty(kind)
    try:
        return _READERS[kind.kind](said, kind)
    except (ValueError, InvalidOperation):
        shown = name.rpartition("}")[2]
        raise RequestFailed(f"SAP's answer: {shown} is no {kind.kind}: {said!r}") from None


def _time_from(said: str) -> time | None:
    """Midnight at the end of a day is the one at its beginning; blanks are no time."""
    if not said.strip(": "):
        return None
    return time() if said == "24:00:00" else time.fromisoformat(said)


_READERS: Mapping[Kind, Callable[[str, Simple], Any]] = {
    "numc": lambda said, kind: said.zfill(kind.length),
    "date": lambda said, _: None if not said.strip("0- ") else date.fromisoformat(said),
    "time": lambda said, _: _time_from(said),
    "decimal": lambda said, _: Decimal(said),
    "int": lambda said, _: int(said),
    "float": lambda said, _: float(said),
    "raw": lambda said, _: base64.b64decode(said, validate=True),
}


# ---- names --------------------------------------------------------------------------------------


def xml_name(name: str) -> str:
    """An ABAP name in XML: '/NS/NAME' has no slashes there (asXML)."""
    return name.replace("/", "_-")


def abap_name(name: str) -> str:
    """The opposite of `xml_name`."""
    return name.replace("_-", "/")
