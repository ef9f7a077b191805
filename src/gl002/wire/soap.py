"""SOAP envelopes and faults (SOAP 1.1, W3C note of 2000; SOAP 1.2, W3C recommendation of 2007)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from xml.etree import ElementTree as ET

from gl002.errors import RequestFailed
from gl002.wire.xml import Element, child, first, local, parse, serialise, text_of

Version: TypeAlias = Literal["1.1", "1.2"]

NAMESPACE: dict[Version, str] = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
ET.register_namespace("soap", NAMESPACE["1.1"])
ET.register_namespace("soap12", NAMESPACE["1.2"])


@dataclass(frozen=True, slots=True)
class Fault:
    """What the other side says went wrong.

    Attributes:
        code: without its prefix, 'Server', 'Sender'.
        subcodes: more exactly, outermost first; SOAP 1.1 writes them behind dots of the code.
        reason: for people.
        detail: the element of that name, where there is one.
    """

    code: str
    subcodes: tuple[str, ...] = ()
    reason: str = ""
    detail: Element | None = field(default=None, compare=False)

    @property
    def ours(self) -> bool:
        """Whether the request was wrong; the same one would be refused again."""
        return self.code in {"Client", "Sender", "MustUnderstand", "VersionMismatch"}


def content_type(version: Version, action: str = "") -> str:
    """The Content-Type of a request; in SOAP 1.2 it holds the action."""
    if version == "1.1":
        return "text/xml; charset=utf-8"
    named = f'; action="{action}"' if action else ""
    return f"application/soap+xml; charset=utf-8{named}"


def encode(body: Element, headers: Iterable[Element] = (), version: Version = "1.1") -> bytes:
    """An envelope around one element.

    Args:
        body: the request.
        headers: blocks of the header.
        version: of SOAP.

    Raises:
        DataError: it holds something that XML does not have.
    """
    ns = NAMESPACE[version]
    envelope = ET.Element(f"{{{ns}}}Envelope")
    blocks = list(headers)
    if blocks:
        child(envelope, f"{{{ns}}}Header").extend(blocks)
    child(envelope, f"{{{ns}}}Body").append(body)
    return serialise(envelope)


def decode(message: bytes) -> Element | Fault:
    """What an envelope brings: the element in its body, or a fault.

    Raises:
        RequestFailed: it is no envelope, or holds nothing.
    """
    envelope = parse(message)
    version = next((v for v, ns in NAMESPACE.items() if envelope.tag == f"{{{ns}}}Envelope"), None)
    if version is None:
        raise RequestFailed(f"an answer that is no SOAP envelope but <{local(envelope)}>")
    body = envelope.find(f"{{{NAMESPACE[version]}}}Body")
    content = next(iter(body), None) if body is not None else None
    if content is None:
        raise RequestFailed("a SOAP envelope without anything in its body")
    if content.tag != f"{{{NAMESPACE[version]}}}Fault":
        return content
    return _fault_11(content) if version == "1.1" else _fault_12(content)


def _fault_11(fault: Element) -> Fault:
    code, *subcodes = _unprefixed(text_of(first(fault, "faultcode"))).split(".")
    return Fault(
        code, tuple(subcodes), text_of(first(fault, "faultstring")), first(fault, "detail")
    )


def _fault_12(fault: Element) -> Fault:
    codes: list[str] = []
    here = first(fault, "Code")
    while here is not None:
        codes.append(_unprefixed(text_of(first(here, "Value"))))
        here = first(here, "Subcode")
    reason = text_of(first(fault, "Reason", "Text"))
    return Fault(codes[0] if codes else "", tuple(codes[1:]), reason, first(fault, "Detail"))


def _unprefixed(name: str) -> str:
    return name.rpartition(":")[2]
