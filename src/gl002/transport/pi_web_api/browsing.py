"""What a PI System has: points by name, and elements with their attributes, level by level."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from gl002.connector import Found
from gl002.errors import RequestFailed
from gl002.transport.pi_web_api.api import PIWebAPI, is_database
from gl002.wire.pi_batch import items_of
from gl002.wire.pi_path import is_attribute

_PAGE = 1000  # the most that PI Web API gives of points at a time
_MOST_FOUND = 100_000
_POINT_FIELDS = "Items.Name;Items.PointType;Items.EngineeringUnits;Items.Descriptor"
_ELEMENT_FIELDS = "Items.WebId;Items.Name;Items.Path;Items.Description;Items.HasChildren"
_ATTRIBUTE_FIELDS = (
    "Items.Name;Items.Path;Items.Description;Items.Type;Items.DefaultUnitsName;"
    "Items.DefaultUnitsNameAbbreviation;Items.DataReferencePlugIn"
)
_WRITABLE = "PI Point"  # the data reference that a value can be written through


async def points(api: PIWebAPI, pattern: str) -> AsyncIterator[Found]:
    """Points whose names begin with `pattern`, or match it where it has a '*' or '?'.

    Raises:
        RequestFailed: there are more than are looked at; what was found has come.
    """
    server = await api.data_server_web_id()
    name = pattern if set(pattern) & {"*", "?"} else f"{pattern}*"
    last = ""
    for start in range(0, _MOST_FOUND + 1, _PAGE):
        query = [("nameFilter", name), ("startIndex", str(start)), ("maxCount", str(_PAGE)),
                 ("selectedFields", _POINT_FIELDS)]  # fmt: skip
        content = await api.get(f"dataservers/{server}/points", query, f"browse {name}")
        items = items_of(content)
        if items and start >= _MOST_FOUND:
            raise _more(api, f"browse {name}", last)
        for item in items:
            found = _point(item)
            last = found.name
            yield found
        if len(items) < _PAGE:
            return


def _point(item: dict[str, Any]) -> Found:
    name = str(item.get("Name"))
    return Found(
        address=name, name=name, path=name, type=str(item.get("PointType") or ""),
        unit=str(item.get("EngineeringUnits") or ""),
        description=str(item.get("Descriptor") or ""), writable=True,
    )  # fmt: skip


async def assets(api: PIWebAPI, address: str, depth: int) -> AsyncIterator[Found]:
    r"""Attributes and elements below an element, or below the database, level by level.

    Args:
        api: to ask.
        address: 'Boilers\Boiler1', '\\server\database\element', '\' for the database.
        depth: levels.
    """
    path = (await api.asset_path(address)).rstrip("\\")
    level = [(path, await api.asset_web_id(path))]
    prefix = path
    for _ in range(depth):
        below: list[tuple[str, str]] = []
        for here, web_id in level:
            if not is_database(here):
                for item in await _all(api, f"elements/{web_id}/attributes", _ATTRIBUTE_FIELDS):
                    yield _attribute(item, prefix)
            for item in await _all(api, _children(here, web_id), _ELEMENT_FIELDS):
                yield _element(item, prefix)
                below.append((str(item.get("Path")), str(item.get("WebId"))))
        level = below
        if not level:
            return


def _children(path: str, web_id: str) -> str:
    return f"{'assetdatabases' if is_database(path) else 'elements'}/{web_id}/elements"


def _more(api: PIWebAPI, what: str, last: str) -> RequestFailed:
    return RequestFailed(
        f"{api.name}: {what}: more than {_MOST_FOUND}; the last one looked at is '{last}'",
        hint="browse something narrower: a longer beginning of the name, an element further down",
    )


async def _all(api: PIWebAPI, path: str, fields: str) -> list[dict[str, Any]]:
    """Every item of a collection, page by page.

    Raises:
        RequestFailed: there are more than are looked at.
    """
    found: list[dict[str, Any]] = []
    for start in range(0, _MOST_FOUND + 1, _PAGE):
        query = [("startIndex", str(start)), ("maxCount", str(_PAGE)), ("selectedFields", fields)]
        items = items_of(await api.get(path, query, "browse"))
        if items and start >= _MOST_FOUND:
            raise _more(api, "browse", str(found[-1].get("Path")) if found else "")
        found += [item for item in items if isinstance(item, dict)]
        if len(items) < _PAGE:
            break
    return found


def _attribute(item: dict[str, Any], prefix: str) -> Found:
    path = str(item.get("Path"))
    return Found(
        address=path, name=str(item.get("Name")), path=_relative(path, prefix),
        type=str(item.get("Type") or ""),
        unit=str(item.get("DefaultUnitsNameAbbreviation") or item.get("DefaultUnitsName") or ""),
        description=str(item.get("Description") or ""),
        writable=item.get("DataReferencePlugIn") == _WRITABLE,
    )  # fmt: skip


def _element(item: dict[str, Any], prefix: str) -> Found:
    path = str(item.get("Path"))
    return Found(
        address=path, name=str(item.get("Name")), path=_relative(path, prefix),
        description=str(item.get("Description") or ""),
    )  # fmt: skip


def _relative(path: str, prefix: str) -> str:
    """Names from the start of the browse, '/' between them."""
    rest = path[len(prefix) :] if path.lower().startswith(prefix.lower()) else path
    return rest.strip("\\|").replace("\\", "/").replace("|", "/")


def in_assets(address: str) -> bool:
    """Whether a browse that starts there goes through AF."""
    return address.startswith("\\") or is_attribute(address)
