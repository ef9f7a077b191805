"""Types of a function's parameters, from the WSDL that SAP generates for it.

What is read: the XML Schema within `types`, the request element of the function's name and the
response element, 'NAME.Response' (/sap/bc/soap/wsdl11) or 'NAMEResponse' (services of SOAMANAGER).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gl002.errors import RequestFailed
from gl002.wire.rfc_types import Kind, Simple, Structure, Table, Type, abap_name, xml_name
from gl002.wire.xml import Element, local, parse

_BUILT_IN: Mapping[str, Simple] = {
    "int": Simple("int"),
    "integer": Simple("int"),
    "long": Simple("int", lowest=-(2**63), highest=2**63 - 1),
    "short": Simple("int", lowest=-(2**15), highest=2**15 - 1),
    "unsignedByte": Simple("int", lowest=0, highest=255),
    "double": Simple("float"),
    "float": Simple("float"),
    "decimal": Simple("decimal", 31, 14),
    "date": Simple("date"),
    "time": Simple("time"),
    "base64Binary": Simple("raw"),
    "string": Simple("char"),
}
_DEEPEST = 15  # structures in structures
_MOST_FIELDS = 100_000  # of one function, types within types counted as often as they are used


@dataclass(frozen=True, slots=True)
class Interface:
    """A function's parameters.

    Attributes:
        request: name -> type of what may be sent.
        response: name -> type of what comes back.
    """

    request: Mapping[str, Type]
    response: Mapping[str, Type]


def interface(wsdl: bytes, function: str) -> Interface:
    """The parameters of a function.

    Raises:
        RequestFailed: it is no WSDL, or not of this function.
    """
    definitions = parse(wsdl)
    if local(definitions) != "definitions":
        raise RequestFailed(f"an answer that is no WSDL but <{local(definitions)}>")
    schemas = [e for types in definitions if local(types) == "types" for e in types]
    if not schemas:
        raise RequestFailed("a WSDL without types")
    return _Schemas(schemas).interface(function)


class _Schemas:
    def __init__(self, schemas: list[Element]) -> None:
        self._types: dict[str, Element] = {}
        self._elements: dict[str, Element] = {}
        self._fields = 0
        for schema in schemas:
            for thing in schema:
                place = self._elements if local(thing) == "element" else self._types
                place[thing.get("name", "")] = thing

    def interface(self, function: str) -> Interface:
        name = xml_name(function)
        request = self._elements.get(name)
        response = self._elements.get(f"{name}.Response", self._elements.get(f"{name}Response"))
        if request is None or response is None:
            raise RequestFailed(f"SAP's WSDL is not of {function}")
        return Interface(self._members(request), self._members(response))

    def _members(self, element: Element) -> Mapping[str, Type]:
        found = self._of_element(element, 0)
        if isinstance(found, Structure):
            return found.fields
        return {}  # a function without parameters

    def _of_element(self, element: Element, depth: int) -> Type:
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise RequestFailed(f"SAP's WSDL has more than {_MOST_FIELDS} fields")
        name = element.get("type")
        if name is not None:
            return self._named(name, depth)
        inner = next((e for e in element if local(e) in {"complexType", "simpleType"}), None)
        return Structure() if inner is None else self._of_type(inner, depth)

    def _named(self, name: str, depth: int) -> Type:
        prefix, _, plain = name.rpartition(":")
        known = self._types.get(plain)
        if known is not None and (prefix not in {"xsd", "xs"} or plain not in _BUILT_IN):
            return self._of_type(known, depth)
        return _BUILT_IN.get(plain, Simple())

    def _of_type(self, definition: Element, depth: int) -> Type:
        if depth > _DEEPEST:
            raise RequestFailed("SAP's WSDL has types within types without end")
        if local(definition) == "simpleType":
            return _simple(definition)
        fields = {abap_name(e.get("name", "")): e for e in _elements(definition)}
        row = fields.get("item")
        if row is not None and len(fields) == 1 and row.get("maxOccurs", "1") != "1":
            return Table(self._of_element(row, depth + 1))
        return Structure({name: self._of_element(e, depth + 1) for name, e in fields.items()})


def _elements(definition: Element) -> Iterator[Element]:
    """The elements of a complex type, but not those within them."""
    for inner in definition:
        if local(inner) == "element":
            yield inner
        elif local(inner) in {"sequence", "all", "complexContent", "restriction", "extension"}:
            yield from _elements(inner)


def _simple(definition: Element) -> Simple:
    restriction = next((e for e in definition if local(e) == "restriction"), None)
    if restriction is None:
        return Simple()
    base = restriction.get("base", "").rpartition(":")[2]
    facets = {local(e): e.get("value", "") for e in restriction}
    known = _BUILT_IN.get(base, Simple())
    if known.kind == "decimal":
        digits, decimals = _count(facets, "totalDigits"), _count(facets, "fractionDigits")
        return Simple("decimal", digits or known.length, decimals)
    if known.kind == "raw":
        return Simple("raw", _count(facets, "maxLength"))
    if known.kind != "char":
        return known
    return Simple(_kind(facets.get("pattern", "")), _count(facets, "maxLength"))


def _kind(pattern: str) -> Kind:
    """SAP writes dates, times and NUMC as strings with a pattern."""
    if not pattern:
        return "char"
    if "-" in pattern:
        return "date"
    if ":" in pattern:
        return "time"
    return "numc" if r"\d" in pattern else "char"


def _count(facets: Mapping[str, str], name: str) -> int:
    said = facets.get(name, "")
    return int(said) if said.isascii() and said.isdigit() else 0
