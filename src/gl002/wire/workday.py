"""Elements of Workday's web services (WWS): requests, references, pages, faults.

Source: Workday Web Services directory, services Human_Resources and Financial_Management. All
elements, and all attributes, are of one namespace. An instance is named by an ID of some type;
some types of ID count only within a parent: a ledger account within its account set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from gl002.errors import RequestFailed
from gl002.wire.xml import Element, child, first, local, text_of

NAMESPACE = "urn:com.workday/bsvc"
ET.register_namespace("wd", NAMESPACE)
_ENTERED = "As_Of_Entry_DateTime"
_TIME = re.compile(r"[0-9T:.Z+-]{8,40}")  # of type xsd:date or xsd:dateTime
_NUMBER = re.compile(r"[0-9]{1,9}(\.0*)?")  # of type xsd:decimal


def name(local_name: str) -> str:
    """A name of that namespace."""
    return f"{{{NAMESPACE}}}{local_name}"


def request(operation: str, version: str) -> Element:
    """The element that a request is; `version` is that of the service."""
    made = ET.Element(name(operation))
    made.set(name("version"), version)
    return made


def add(parent: Element, local_name: str, text: str | None = None) -> Element:
    """A new last child."""
    return child(parent, name(local_name), text)


def flag(value: bool) -> str:  # noqa: FBT001 (it is the value)
    """An xsd:boolean."""
    return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Id:
    """How an instance is named.

    Attributes:
        type: 'Company_Reference_ID', 'WID'.
        value: within that type.
        parent: ID within which it counts, where there is one.
    """

    type: str
    value: str
    parent: Id | None = None


def refer(parent: Element, local_name: str, to: Id) -> Element:
    """A child that refers to an instance."""
    reference = add(parent, local_name)
    written = add(reference, "ID", to.value)
    written.set(name("type"), to.type)
    if to.parent is not None:
        written.set(name("parent_id"), to.parent.value)
        written.set(name("parent_type"), to.parent.type)
    return reference


def id_of(reference: Element | None, *types: str) -> str:
    """The first of these types of ID that a reference has; '' where it has none."""
    if reference is None:
        return ""
    found = {
        e.get(name("type"), e.get("type", "")): text_of(e)
        for e in reference
        if local(e) == "ID"
    }  # fmt: skip
    return next((found[type_] for type_ in types if found.get(type_)), "")


def children(parent: Element | None, local_name: str) -> Iterator[Element]:
    """The children of that name."""
    return (e for e in (() if parent is None else parent) if local(e) == local_name)


@dataclass(frozen=True, slots=True)
class Moment:
    """As of when a result is, in Workday's own words; '' where that is not known.

    Attributes:
        effective: day for which data holds, As_Of_Effective_Date.
        entered: what was entered later does not count, As_Of_Entry_DateTime.
    """

    effective: str = ""
    entered: str = ""


def moment(response: Element) -> Moment:
    """As of when an answer is."""
    which = first(response, "Response_Filter")
    said = (text_of(first(which, name_)) for name_ in ("As_Of_Effective_Date", _ENTERED))
    return Moment(*(text if _TIME.fullmatch(text) else "" for text in said))


def page(parent: Element, number: int, count: int, at: Moment) -> None:
    """Ask for one page of a result, from 1, as of a moment."""
    which = add(parent, "Response_Filter")
    if at.effective:
        add(which, "As_Of_Effective_Date", at.effective)
    if at.entered:
        add(which, _ENTERED, at.entered)
    add(which, "Page", str(number))
    add(which, "Count", str(count))


def pages(response: Element) -> int:
    """How many pages there are; 1 where nothing is said.

    Raises:
        RequestFailed: what is said is no number.
    """
    said = text_of(first(response, "Response_Results", "Total_Pages"))
    if _NUMBER.fullmatch(said or "1") is None:
        raise RequestFailed(f"a number of pages that is none: '{said[:20]}'")
    return int((said or "1").partition(".")[0])


def total(response: Element) -> str:
    """How many results there are, on all pages; '' where nothing is said."""
    return text_of(first(response, "Response_Results", "Total_Results"))


def complaints(detail: Element | None) -> list[str]:
    """What a Validation_Fault or a Processing_Fault says, each with the place it is about."""
    found: list[str] = []
    for fault in () if detail is None else detail:
        if local(fault) == "Validation_Fault":
            found += [_complaint(error) for error in children(fault, "Validation_Error")]
        elif local(fault) == "Processing_Fault":
            found.append(text_of(first(fault, "Detail_Message")))
    return [text for text in _once(found) if text]


def _complaint(error: Element) -> str:
    said = text_of(first(error, "Detail_Message")) or text_of(first(error, "Message"))
    path = text_of(first(error, "Xpath")).replace("bsvc:", "").replace("wd:", "").lstrip("/")
    return f"{said} ({path})" if said and path else said


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
