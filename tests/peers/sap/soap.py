"""Functions over SOAP: /sap/bc/soap/rfc, its WSDL, and a service as SOAMANAGER makes them.

As a system was measured to answer: /sap/bc/soap/rfc keeps nothing between two calls, whatever the
client asks for, and its BAPI_TRANSACTION_COMMIT succeeds and commits nothing; a table comes back
only if it was sent; a fault has a general faultstring, and rfc:Error in its detail. A service of
SOAMANAGER that is stateful gives the cookie sap-contextid to who asks for a session.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from peers.sap.dictionary import BUILT_IN, Field, Unfit, initial, read, schema_of, write
from peers.sap.functions import FUNCTIONS, Function
from peers.sap.system import Refused, System, Unit

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
RFC = "urn:sap-com:document:sap:rfc:functions"
SESSION = "http://www.sap.com/webas/630/soap/features/session/"


class SoapFault(Exception):
    """A fault: its exception and text."""

    def __init__(self, kind: str, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.kind, self.text, self.status = kind, text, status


class Soap:
    """The application over SOAP.

    Args:
        system: the application.
        stateful: whether the service of SOAMANAGER keeps sessions.
        locked: functions without S_RFC.
        losing: functions behind which the session ends, as by its time-out.
        strict: whether who comes with a session that has ended is refused, as the ICM does; else
            he gets a new one.
    """

    def __init__(
        self, system: System, *, stateful: bool, locked: frozenset[str],
        losing: frozenset[str] = frozenset(), strict: bool = False,
    ) -> None:  # fmt: skip
        self._system = system
        self._stateful = stateful
        self._locked = locked
        self._losing = losing
        self._strict = strict
        self._sessions: dict[str, Unit] = {}
        self.calls: list[str] = []

    def handle(self, body: bytes, *, service: bool, cookie: str) -> tuple[int, bytes, str]:
        """Status, body and the cookie to set ('' for none)."""
        if service and self._strict and cookie and cookie not in self._sessions:
            return 400, b"<html><title>Session timed out</title></html>", ""  # of the ICM
        try:
            header, request = _opened(body)
            unit, given = self._unit(header, service=service, cookie=cookie)
            answer = self._called(request, unit, service=service)
            if answer.tag.partition("}")[2].removesuffix("Response").rstrip(".") in self._losing:
                self._sessions.clear()
        except SoapFault as fault:
            return fault.status, _fault(fault, service=service), ""
        return 200, _enveloped(answer), given

    def _unit(self, header: ET.Element | None, *, service: bool, cookie: str) -> tuple[Unit, str]:
        wanted = header is not None and header.find(f"{{{SESSION}}}Session/enableSession")
        if not (service and self._stateful):
            return Unit(), ""
        if cookie in self._sessions:
            return self._sessions[cookie], ""
        if wanted is None or wanted is False or (wanted.text or "").strip() != "true":
            return Unit(), ""
        context = f"SID%3aANON%3a{secrets.token_hex(8)}"
        self._sessions[context] = Unit()
        return self._sessions[context], context

    def end(self, cookie: str) -> None:
        self._sessions.pop(cookie, None)

    def _called(self, request: ET.Element, unit: Unit, *, service: bool) -> ET.Element:
        namespace, _, tag = request.tag[1:].partition("}")
        name = tag.replace("_-", "/")
        if namespace != RFC:
            raise SoapFault("FU_NOT_FOUND", f"namespace {namespace}")
        function = FUNCTIONS.get(name)
        if function is None:
            raise SoapFault("FU_NOT_FOUND", f"FU_NOT_FOUND: function module {name} not found")
        if name in self._locked:
            raise SoapFault("RFC_NO_AUTHORITY", f"No RFC authorization for function module {name}")
        self.calls.append(name)
        parameters, sent = _parameters(function, request)
        try:
            result = function.body(self._system, unit, parameters)
        except Refused as error:
            raise SoapFault(error.exception or "SYSTEM_FAILURE", error.text) from None
        ending = "Response" if service else ".Response"
        answer = ET.Element(f"{{{RFC}}}{tag}{ending}")
        for export, field in function.exports.items():
            write(answer, export, result.get(export, initial(field)), field)
        for table, row in function.tables.items():
            if table in sent:
                write(answer, table, result.get(table, parameters[table]), [row])
        return answer


def _opened(body: bytes) -> tuple[ET.Element | None, ET.Element]:
    if b"<!DOCTYPE" in body:
        raise SoapFault("XML", "DTD is not allowed", 400)
    try:
        envelope = ET.fromstring(body)
    except ET.ParseError as error:
        raise SoapFault("XML", str(error), 400) from None
    content = envelope.find(f"{{{ENVELOPE}}}Body")
    if envelope.tag != f"{{{ENVELOPE}}}Envelope" or content is None or len(content) != 1:
        raise SoapFault("XML", "no SOAP envelope", 400)
    return envelope.find(f"{{{ENVELOPE}}}Header"), content[0]


def _parameters(function: Function, request: ET.Element) -> tuple[dict[str, Any], set[str]]:
    known: dict[str, Field] = dict(function.imports)
    known |= {name: [row] for name, row in function.tables.items()}
    values = {name: initial(field) for name, field in known.items()}
    sent: set[str] = set()
    for element in request:
        name = element.tag.replace("_-", "/")
        if name not in known:
            raise SoapFault("RFC_INVALID_PARAMETER", f"parameter {name} is unknown")
        if name in sent:
            raise SoapFault("RFC_INVALID_PARAMETER", f"parameter {name} twice")
        try:
            values[name] = read(element, known[name], name)
        except (Unfit, ValueError) as error:
            raise SoapFault("CONVERSION_ERROR", str(error)) from None
        sent.add(name)
    return values, sent


def _enveloped(content: ET.Element) -> bytes:
    envelope = ET.Element(f"{{{ENVELOPE}}}Envelope")
    ET.SubElement(envelope, f"{{{ENVELOPE}}}Body").append(content)
    return ET.tostring(envelope, encoding="utf-8", xml_declaration=True)


def _fault(fault: SoapFault, *, service: bool) -> bytes:
    detail = (
        f'<n0:RFC.Exception xmlns:n0="{RFC}"><Name>{fault.kind}</Name>'
        f"<Text>{escape(fault.text)}</Text></n0:RFC.Exception>"
        if service
        else '<rfc:Error xmlns:rfc="urn:sap-com:document:sap:soap:functions">'
        f"<type>{fault.kind}</type><message>{escape(fault.text)}</message></rfc:Error>"
    )
    return (
        f'<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="{ENVELOPE}"><SOAP-ENV:Body>'
        "<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode>"
        f"<faultstring>Internal Server Error</faultstring><detail>{detail}</detail>"
        "</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode()


# ---- description --------------------------------------------------------------------------------


def wsdl(name: str, address: str) -> bytes | None:
    """What SAP generates for a function; None where there is none."""
    function = FUNCTIONS.get(name)
    if function is None:
        return None
    tag = name.replace("/", "_-")
    types = _Types()
    tables: Mapping[str, Field] = {n: [row] for n, row in function.tables.items()}
    request = types.element(tag, {**function.imports, **tables}, optional=True)
    response = types.element(f"{tag}.Response", {**function.exports, **tables}, optional=True)
    schema = "".join(types.definitions.values()) + request + response
    return f"""<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" targetNamespace="{RFC}"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
 xmlns:tns="{RFC}"><wsdl:types>
<xsd:schema targetNamespace="{RFC}">{schema}</xsd:schema></wsdl:types>
<wsdl:message name="{tag}"><wsdl:part name="parameters" element="tns:{tag}"/></wsdl:message>
<wsdl:message name="{tag}Response"><wsdl:part name="parameters" element="tns:{tag}.Response"/>
</wsdl:message>
<wsdl:portType name="{tag}PortType"><wsdl:operation name="{tag}">
<wsdl:input message="tns:{tag}"/><wsdl:output message="tns:{tag}Response"/>
</wsdl:operation></wsdl:portType>
<wsdl:binding name="{tag}Binding" type="tns:{tag}PortType">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<wsdl:operation name="{tag}"><soap:operation soapAction="{RFC}"/>
<wsdl:input><soap:body use="literal"/></wsdl:input>
<wsdl:output><soap:body use="literal"/></wsdl:output></wsdl:operation></wsdl:binding>
<wsdl:service name="{tag}Service"><wsdl:port name="{tag}Port" binding="tns:{tag}Binding">
<soap:address location="{escape(address)}"/></wsdl:port></wsdl:service>
</wsdl:definitions>""".encode()


class _Types:
    """Named types, each defined once."""

    def __init__(self) -> None:
        self.definitions: dict[str, str] = {}

    def element(self, name: str, fields: Mapping[str, Field], *, optional: bool) -> str:
        return (
            f'<xsd:element name="{name}"><xsd:complexType><xsd:all>'
            f"{self._members(fields, name, optional=optional)}"
            "</xsd:all></xsd:complexType></xsd:element>"
        )

    def _members(self, fields: Mapping[str, Field], owner: str, *, optional: bool) -> str:
        least = ' minOccurs="0"' if optional else ""
        return "".join(
            f'<xsd:element name="{name.replace("/", "_-")}"{least}'
            f' type="{self._name(field, f"{owner}_{name}")}"/>'
            for name, field in fields.items()
        )

    def _name(self, field: Field, owner: str) -> str:
        if isinstance(field, list):
            name = f"TABLE_OF_{owner}"
            row = self._name(field[0], f"{owner}_ROW")
            self.definitions[name] = (
                f'<xsd:complexType name="{name}"><xsd:sequence><xsd:element name="item"'
                f' type="{row}" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence>'
                "</xsd:complexType>"
            )
            return f"tns:{name}"
        if isinstance(field, Mapping):
            members = self._members(field, owner, optional=True)
            self.definitions[owner] = (
                f'<xsd:complexType name="{owner}"><xsd:sequence>{members}</xsd:sequence>'
                "</xsd:complexType>"
            )
            return f"tns:{owner}"
        if field in BUILT_IN:
            return f"xsd:{field}"
        self.definitions.setdefault(field, schema_of(field))
        return f"tns:{field}"
