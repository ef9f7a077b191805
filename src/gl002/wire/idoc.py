"""IDocs as XML, the form that SAP takes over HTTP (/sap/bc/idoc_xml).

The root is the basic type, in it one IDOC with a control record, EDI_DC40, and the segments in
their order; a segment has fields and segments below it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from gl002.errors import DataError
from gl002.wire.xml import Element, child, serialise

_NAME = re.compile(r"[A-Z0-9_/]{1,30}\Z")
_REFERENCE = 14


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Attributes:
        name: 'E1...' or of your own, 'Z1...'.
        fields: as text, in SAP's internal form.
        below: segments that belong to it.
    """

    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    below: Sequence[Segment] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Who sends what to whom; the fields of EDI_DC40 that a sender fills.

    Attributes:
        basic_type: IDOCTYP.
        message_type: MESTYP.
        sender_port: SNDPOR, as WE21 knows us.
        sender_partner: SNDPRN, the logical system of ours (BD54, WE20).
        receiver_port: RCVPOR, 'SAP' and the system's id.
        receiver_partner: RCVPRN, its logical system.
        reference: REFMES, 14 characters, by which a person finds it again.
        extension: CIMTYP.
    """

    basic_type: str
    message_type: str
    sender_port: str
    sender_partner: str
    receiver_port: str
    receiver_partner: str
    reference: str = ""
    extension: str = ""


def encode(control: Control, segments: Sequence[Segment]) -> bytes:
    """The document.

    Raises:
        DataError: a name that is none, a reference that is too long, or a character that XML does
            not have.
    """
    if len(control.reference) > _REFERENCE:
        raise DataError(
            f"reference: {len(control.reference)} characters, and REFMES has room for {_REFERENCE}"
        )
    root = ET.Element(_checked(control.basic_type))
    idoc = child(root, "IDOC")
    idoc.set("BEGIN", "1")
    head = child(idoc, "EDI_DC40")
    head.set("SEGMENT", "1")
    record = {
        "TABNAM": "EDI_DC40", "DIRECT": "2", "IDOCTYP": control.basic_type,
        "CIMTYP": control.extension, "MESTYP": control.message_type,
        "SNDPOR": control.sender_port, "SNDPRT": "LS", "SNDPRN": control.sender_partner,
        "RCVPOR": control.receiver_port, "RCVPRT": "LS", "RCVPRN": control.receiver_partner,
        "REFMES": control.reference,
    }  # fmt: skip
    for name, text in record.items():
        if text:
            child(head, name, text)
    for segment in segments:
        _put(idoc, segment)
    return serialise(root)


def _put(parent: Element, segment: Segment) -> None:
    here = child(parent, _checked(segment.name))
    here.set("SEGMENT", "1")
    for name, text in segment.fields.items():
        child(here, _checked(name), text)
    for below in segment.below:
        _put(here, below)


def _checked(name: str) -> str:
    if _NAME.match(name) is None:
        raise DataError(f"{name!r} is no name in SAP", hint="capitals, digits and '_'")
    return name.replace("/", "_-")
