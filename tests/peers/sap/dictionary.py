"""The data dictionary: types of parameters as SAP's WSDL names them, values checked against them.

Names and lengths: fundamental-tools of SAP on GitHub (BAPI_ALM_NOTIF_CREATE, _SAVE, BAPIRET2), the
documentation of MEASUREM_DOCUM_RFC_SINGLE_001 and of the tables IMRG and QMEL. How a type becomes
XML Schema: WSDLs that SAP systems have generated ('char18', 'numeric6', 'date10', 'quantum15.3').
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

Field = str | Mapping[str, Any] | list  # 'char18', a structure, [row of a table]


class Unfit(Exception):
    """A value that the kernel does not take: CONVERSION_ERROR."""


def schema_of(name: str) -> str:
    """The simple type of a name, as XML Schema."""
    kind, length, decimals = split(name)
    facets = {
        "char": f'<xsd:maxLength value="{length}"/>',
        "cuky": f'<xsd:maxLength value="{length}"/>',
        "unit": f'<xsd:maxLength value="{length}"/>',
        "lang": f'<xsd:maxLength value="{length}"/>',
        "numeric": f'<xsd:maxLength value="{length}"/><xsd:pattern value="\\d*"/>',
        "date": '<xsd:maxLength value="10"/><xsd:pattern value="\\d\\d\\d\\d-\\d\\d-\\d\\d"/>',
        "time": '<xsd:pattern value="\\d\\d:\\d\\d:\\d\\d"/>',
        "byte": f'<xsd:maxLength value="{length}"/>',
        "string": "",
    }
    if kind in {"decimal", "quantum", "curr"}:
        inner = f'<xsd:totalDigits value="{length}"/><xsd:fractionDigits value="{decimals}"/>'
        return _simple(name, "decimal", inner)
    return _simple(name, "base64Binary" if kind == "byte" else "string", facets[kind])


def _simple(name: str, base: str, facets: str) -> str:
    return (
        f'<xsd:simpleType name="{name}"><xsd:restriction base="xsd:{base}">{facets}'
        "</xsd:restriction></xsd:simpleType>"
    )


def split(name: str) -> tuple[str, int, int]:
    """'quantum15.3' -> ('quantum', 15, 3)."""
    match = re.fullmatch(r"([a-z]+)(\d*)(?:\.(\d+))?", name)
    assert match is not None, name
    return match[1], int(match[2] or 0), int(match[3] or 0)


BUILT_IN = {"int": (-(2**31), 2**31 - 1), "short": (-(2**15), 2**15 - 1), "double": None}


def read(element: ET.Element, field: Field, where: str) -> Any:
    """The value of an element: text as ABAP has it, rows and structures checked."""
    if isinstance(field, list):
        if any(item.tag != "item" for item in element):
            raise Unfit(f"{where}: a table has only item")
        return [read(item, field[0], where) for item in element]
    if isinstance(field, Mapping):
        order = list(field)
        given = [child.tag for child in element]
        if any(tag not in field for tag in given):
            raise Unfit(f"{where}: no component {set(given) - set(order)}")
        if given != [name for name in order if name in given]:
            raise Unfit(f"{where}: components out of their order: {given}")
        found = {child.tag: read(child, field[child.tag], where) for child in element}
        return {name: found.get(name, initial(inner)) for name, inner in field.items()}
    if len(element):
        raise Unfit(f"{where}: an elementary parameter with elements in it")
    return check(element.text or "", field, where)


def check(text: str, name: str, where: str) -> Any:
    """A value by the rules of its type."""
    if name in BUILT_IN:
        return _number(text, name, where)
    kind, length, decimals = split(name)
    if kind in _PATTERNS:
        pattern, separator = _PATTERNS[kind]
        if not re.fullmatch(pattern, text):
            raise Unfit(f"{where}: {text!r} is no {kind}")
        return text.replace(separator, "")
    if kind in {"decimal", "quantum", "curr"}:
        return _packed(text, length, decimals, where)
    if kind == "byte":
        return base64.b64decode(text, validate=True)
    if kind == "numeric" and not re.fullmatch(r"\d*", text):
        raise Unfit(f"{where}: {text!r} is no NUMC{length}")
    if length and len(text) > length:
        raise Unfit(f"{where}: {text!r} is longer than {length}")
    return text.zfill(length) if kind == "numeric" else text


_PATTERNS = {"date": (r"\d{4}-\d\d-\d\d", "-"), "time": (r"\d\d:\d\d:\d\d", ":")}


def _number(text: str, name: str, where: str) -> int | float:
    limits = BUILT_IN[name]
    try:
        number = float(text) if limits is None else int(text)
    except ValueError:
        raise Unfit(f"{where}: {text!r} is no {name}") from None
    if limits is not None and not limits[0] <= number <= limits[1]:
        raise Unfit(f"{where}: overflow: {text}")
    return number


def _packed(text: str, length: int, decimals: int, where: str) -> str:
    match = re.fullmatch(r"-?(\d+)(?:\.(\d+))?", text)
    if match is None or len(match[2] or "") > decimals:
        raise Unfit(f"{where}: {text!r} is no number with {decimals} decimals")
    if len(match[1].lstrip("0")) > length - decimals:
        raise Unfit(f"{where}: overflow: {text}")
    return text


def initial(field: Field) -> Any:
    """The value of what was not given."""
    if isinstance(field, list):
        return []
    if isinstance(field, Mapping):
        return {name: initial(inner) for name, inner in field.items()}
    if field in BUILT_IN:
        return 0
    kind, length, decimals = split(field)
    zeros = {"date": "00000000", "time": "000000", "numeric": "0" * length, "byte": b""}
    if kind in {"decimal", "quantum", "curr"}:
        return f"{0:.{decimals}f}"
    return zeros.get(kind, "")


def write(parent: ET.Element, name: str, value: Any, field: Field) -> None:
    """A value as the kernel sends it: CHAR fields without their blanks, all components."""
    here = ET.SubElement(parent, name)
    if isinstance(field, list):
        for row in value:
            write(here, "item", row, field[0])
    elif isinstance(field, Mapping):
        for inner, kind in field.items():
            write(here, inner, value.get(inner, initial(kind)), kind)
    else:
        here.text = _written(value, field)


def _written(value: Any, name: str) -> str:
    if name in BUILT_IN:
        return str(value)
    kind, length, _ = split(name)
    if kind == "date":
        return f"{value[:4]}-{value[4:6]}-{value[6:8]}"
    if kind == "time":
        return f"{value[:2]}:{value[2:4]}:{value[4:6]}"
    if kind == "byte":
        return base64.b64encode(value).decode()
    if kind == "numeric":
        return str(value).zfill(length)
    return str(value)
