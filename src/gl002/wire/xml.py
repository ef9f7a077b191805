"""XML from and for strangers (XML 1.0, Namespaces in XML): no DTD, no entities, nothing loaded.

Python's own expat reads it. It is told to stop at a document type declaration, before anything in
it counts: lxml, told to load nothing and to resolve nothing, still opens the file that a parameter
entity names (seen with 6.1).
"""

from __future__ import annotations

import re
from typing import NoReturn, TypeAlias
from xml.etree import ElementTree as ET
from xml.parsers import expat

from gl002.errors import DataError, RequestFailed

Element: TypeAlias = ET.Element

MOST_ELEMENTS = 1_000_000
"""Of one document: each takes some hundred bytes of memory."""
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?:\{[^{}\s<>\"'&]+\})?[A-Za-z_][\w.\-]*\Z")


class _Prolog(Exception):
    """The first element is met: what comes before it is no danger."""


def parse(body: bytes) -> Element:
    """The root element of a document; names as '{namespace}local'.

    Raises:
        RequestFailed: it is no XML, has a DTD, or more than `MOST_ELEMENTS` elements.
    """
    if body.count(b"<") > 2 * MOST_ELEMENTS:  # in UTF-16, too
        raise RequestFailed(f"an XML document of more than {MOST_ELEMENTS} elements")
    try:
        _refuse_dtd(body)
        return ET.fromstring(body)  # noqa: S314 (it has no DTD)
    except (ET.ParseError, expat.ExpatError) as error:
        raise RequestFailed(f"an answer that is no XML: {error}") from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know
        raise RequestFailed(f"an answer whose encoding cannot be read: {error}") from None


def _refuse_dtd(body: bytes) -> None:
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _doctype
    parser.StartElementHandler = _element
    try:
        parser.Parse(body, True)
    except _Prolog:
        return


def _doctype(*_: object) -> NoReturn:
    raise RequestFailed(
        "an answer with a document type declaration, which is refused",
        hint="is that a web page, such as that of a proxy or a log-in?",
    )


def _element(*_: object) -> NoReturn:
    raise _Prolog


def serialise(root: Element) -> bytes:
    """A document in UTF-8, with its XML declaration.

    Raises:
        DataError: a name that is none in XML, or a character that XML does not have.
    """
    for element in root.iter():
        for name in (element.tag, *element.attrib):
            check_name(name)
        for text in (element.text, element.tail, *element.attrib.values()):
            check_text(text or "")
    whole: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return whole


def check_name(name: object) -> None:
    """Refuse what is no name of an element or attribute, a namespace before it or not.

    Raises:
        DataError: it is none.
    """
    if not isinstance(name, str) or _NAME.match(name) is None:
        raise DataError(f"{name!r} is no name in XML")


def check_text(text: str) -> None:
    """Refuse a character that XML 1.0 does not have, escaped or not.

    Raises:
        DataError: names the character.
    """
    illegal = _ILLEGAL.search(text)
    if illegal is not None:
        raise DataError(f"XML has no character U+{ord(illegal[0]):04X}")


def child(parent: Element, name: str, text: str | None = None) -> Element:
    """A new last child."""
    made = ET.SubElement(parent, name)
    made.text = text
    return made


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def text_of(element: Element | None) -> str:
    """All text in an element, without the space around it; '' where there is no element."""
    return "" if element is None else "".join(element.itertext()).strip()


def first(parent: Element | None, *names: str) -> Element | None:
    """The first element below `parent` that is reached by these local names, whatever namespace."""
    for name in names:
        parent = next((e for e in parent if local(e) == name), None) if parent is not None else None
    return parent
