"""A small Asset Framework: one server, one database, a boiler with attributes, event frames."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from peers.pi import times, web_ids

SERVER, DATABASE = "AFSRV01", "PIDatabase"


def _guid(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"pi-test-peer/{name}")


SERVER_ID, DATABASE_ID = _guid(SERVER), _guid(DATABASE)


class Attribute(NamedTuple):
    name: str
    type: str
    unit: str = ""
    point: str = ""  # the tag it shows; '' for a static value
    value: Any = None
    description: str = ""
    formula: bool = False  # worked out when it is asked for, so that its time is always now


class Element(NamedTuple):
    name: str
    children: tuple[Element, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    description: str = ""


class Frame(NamedTuple):
    name: str
    start: str
    end: str
    element: str
    template: str = ""
    severity: str = "None"


ROOT = (
    Element(
        "Boilers",
        (
            Element(
                "Boiler1",
                attributes=(
                    Attribute("Steam Flow", "Double", "lb/h", "BA:BOILER1.STEAM_FLOW"),
                    Attribute("Manufacturer", "String", value="Cleaver & Söhne"),
                    Attribute("Rated Pressure", "Double", "psi", value=150.0),
                    Attribute("Load", "Double", "%", value=80.0, formula=True),
                ),
                description="Fire tube boiler, 500 hp",
            ),
        ),
    ),
)
_BOILER = "Boilers\\Boiler1"
FRAMES = (
    Frame("Trip 1", "2025-01-01T08:00:00Z", "2025-01-01T08:30:00Z", _BOILER, "Trip", "Major"),
    Frame("Trip 2", "2025-01-01T20:00:00Z", "2025-01-01T21:00:00Z", _BOILER, "Trip", "Minor"),
    Frame("Cleaning", "2025-01-03T06:00:00Z", "2025-01-03T14:00:00Z", _BOILER, "Service"),
)


def find(path: str) -> tuple[Element, Attribute | None] | None:
    r"""The element, and attribute, of 'Element\Element|Attribute'; names are case-insensitive."""
    names, _, attribute = path.partition("|")
    level, found = ROOT, None
    for name in names.split("\\"):
        found = next((e for e in level if e.name.lower() == name.lower()), None)
        if found is None:
            return None
        level = found.children
    if found is None:
        return None
    if not attribute:
        return found, None
    of = next((a for a in found.attributes if a.name.lower() == attribute.lower()), None)
    return None if of is None else (found, of)


def spelled(path: str) -> str:
    """A path that is there, in the letters of its names."""
    names, _, attribute = path.partition("|")
    level, found = ROOT, []
    for name in names.split("\\"):
        element = next(e for e in level if e.name.lower() == name.lower())
        found.append(element.name)
        level = element.children
    whole = "\\".join(found)
    if not attribute:
        return whole
    return (
        f"{whole}|{next(a.name for a in element.attributes if a.name.lower() == attribute.lower())}"
    )


def below(path: str) -> str:
    r"""'\\server\database\rest' -> 'rest'."""
    return path.removeprefix("\\\\").split("\\", 2)[2]


def full_path(rest: str) -> str:
    return f"\\\\{SERVER}\\{DATABASE}\\{rest}"


def element_id(rest: str) -> str:
    return web_ids.af_object("Em", (SERVER_ID, _guid(rest)), full_path(rest))


def attribute_id(rest: str) -> str:
    owner = rest.partition("|")[0]
    ids = (SERVER_ID, _guid(owner), _guid(rest))
    return web_ids.af_object("Ab", ids, full_path(rest), "E")


def as_element(element: Element, rest: str) -> dict[str, Any]:
    return {
        "WebId": element_id(rest), "Id": str(_guid(rest)), "Name": element.name,
        "Description": element.description, "Path": full_path(rest), "TemplateName": "",
        "HasChildren": bool(element.children), "CategoryNames": [], "ExtendedProperties": {},
        "Links": {},
    }  # fmt: skip


def as_attribute(attribute: Attribute, rest: str) -> dict[str, Any]:
    return {
        "WebId": attribute_id(rest), "Id": str(_guid(rest)), "Name": attribute.name,
        "Description": attribute.description, "Path": full_path(rest), "Type": attribute.type,
        "TypeQualifier": "", "DefaultUnitsName": attribute.unit,
        "DefaultUnitsNameAbbreviation": attribute.unit,
        "DataReferencePlugIn": "PI Point" if attribute.point else "Formula" * attribute.formula,
        "ConfigString": "", "IsConfigurationItem": False, "IsExcluded": False, "IsHidden": False,
        "IsManualDataEntry": False, "HasChildren": False, "CategoryNames": [], "Step": False,
        "TraitName": "", "Links": {},
    }  # fmt: skip


def as_frame(frame: Frame) -> dict[str, Any]:
    identity = _guid(f"frame/{frame.name}")
    path = f"\\\\{SERVER}\\{DATABASE}\\EventFrames[{frame.name}]"
    return {
        "WebId": web_ids.af_object("Fm", (SERVER_ID, identity), path), "Id": str(identity),
        "Name": frame.name, "Description": "", "Path": path, "TemplateName": frame.template,
        "HasChildren": False, "CategoryNames": [], "ExtendedProperties": {},
        "StartTime": frame.start, "EndTime": frame.end, "Severity": frame.severity,
        "AcknowledgedBy": "", "AcknowledgedDate": "0001-01-01T00:00:00Z",
        "CanBeAcknowledged": False, "IsAcknowledged": False, "IsAnnotated": False,
        "IsLocked": False, "AreValuesCaptured": True,
        "RefElementWebIds": [element_id(frame.element)], "Links": {},
    }  # fmt: skip


def frames(start: int, end: int, element: str, template: str) -> list[dict[str, Any]]:
    """Event frames that overlap a range (searchMode 'Overlapped')."""
    return [
        as_frame(frame)
        for frame in FRAMES
        if times.ticks(frame.start) <= end
        and times.ticks(frame.end) >= start
        and (not element or frame.element == element)
        and (not template or frame.template == template)
    ]


def as_database() -> dict[str, Any]:
    return {
        "WebId": web_ids.af_object("RD", (SERVER_ID, DATABASE_ID), f"\\\\{SERVER}\\{DATABASE}"),
        "Id": str(DATABASE_ID), "Name": DATABASE, "Description": "",
        "Path": f"\\\\{SERVER}\\{DATABASE}", "ExtendedProperties": {}, "Links": {},
    }  # fmt: skip


def as_server() -> dict[str, Any]:
    return {
        "WebId": web_ids.server("RS", SERVER_ID, SERVER), "Id": str(SERVER_ID), "Name": SERVER,
        "Description": "", "Path": f"\\\\{SERVER}", "IsConnected": True,
        "ServerVersion": "2.10.9.593", "ExtendedProperties": {}, "Links": {},
    }  # fmt: skip
