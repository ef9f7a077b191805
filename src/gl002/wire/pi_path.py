r"""What a tag names in a PI System: a point of the Data Archive, or an attribute of AF.

BA:BOILER1.STEAM_FLOW            a point of the configured Data Archive
\\PISRV01\BA:BOILER1.STEAM_FLOW  a point of a named one
Boilers\Boiler1|Steam Flow       an attribute in the configured AF database
\\AFSRV01\Plant\Boiler1|Level    an attribute in a named one
"""

from __future__ import annotations

from urllib.parse import quote

_FORBIDDEN = frozenset("*'?;{}[]|\\`\"")  # in names of points
_ROOT = "\\\\"


def is_attribute(address: str) -> bool:
    """Whether an address names an attribute, or an element, of AF and not a point."""
    if not address.startswith(_ROOT):
        return "|" in address or "\\" in address
    return "|" in address or address.removeprefix(_ROOT).count("\\") > 1


def point_path(address: str, data_server: str) -> str:
    r"""'\\server\point' of an address that names a point."""
    if address.startswith(_ROOT):
        return address
    return f"{_ROOT}{data_server}\\{point_name(address)}"


def asset_path(address: str, asset_server: str, database: str) -> str:
    r"""'\\server\database\element|attribute' of an address that names something in AF."""
    if address.startswith(_ROOT):
        return address
    below = address.strip("\\")
    return f"{_ROOT}{asset_server}\\{database}\\{below}".rstrip("\\")


def point_name(tag: str) -> str:
    r"""The name of the point that stands for a tag of the gateway.

    PI forbids * ' ? ; { } [ ] | \ ` and " in names of points (PI Server, "Tag name"). A tag that
    has one of them is written with percent signs, 'it's' as 'it%27s'; any other stays as it is.
    """
    if not _FORBIDDEN & set(tag):
        return tag
    return "".join(quote(c, safe="") if c in _FORBIDDEN or c == "%" else c for c in tag)
