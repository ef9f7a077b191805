"""ABAP types in XML, descriptions of functions, and what BAPIs return."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import Busy, DataError, RequestFailed
from gl002.wire import bapi
from gl002.wire.rfc_types import Simple, Structure, Table, abap_name, get, put, text, xml_name
from gl002.wire.rfc_wsdl import interface

# The shape of a WSDL that an S/4HANA system has generated for a service of SOAMANAGER
WSDL = b"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:tns="urn:sap-com:document:sap:rfc:functions">
<wsdl:types><xsd:schema targetNamespace="urn:sap-com:document:sap:rfc:functions">
<xsd:simpleType name="char40"><xsd:restriction base="xsd:string"><xsd:maxLength value="40"/>
</xsd:restriction></xsd:simpleType>
<xsd:simpleType name="curr11.2"><xsd:restriction base="xsd:decimal"><xsd:totalDigits value="11"/>
<xsd:fractionDigits value="2"/></xsd:restriction></xsd:simpleType>
<xsd:simpleType name="date10"><xsd:restriction base="xsd:string"><xsd:maxLength value="10"/>
<xsd:pattern value="\\d\\d\\d\\d-\\d\\d-\\d\\d"/></xsd:restriction></xsd:simpleType>
<xsd:simpleType name="numeric6"><xsd:restriction base="xsd:string"><xsd:maxLength value="6"/>
<xsd:pattern value="\\d*"/></xsd:restriction></xsd:simpleType>
<xsd:simpleType name="string"><xsd:restriction base="xsd:string"/></xsd:simpleType>
<xsd:complexType name="LINE"><xsd:sequence><xsd:element name="NO" type="tns:numeric6"/>
<xsd:element name="PRICE" type="tns:curr11.2"/><xsd:element name="DAY" type="tns:date10"/>
<xsd:element name="ROW" type="xsd:int"/><xsd:element name="NOTE" type="tns:string"/>
</xsd:sequence></xsd:complexType>
<xsd:complexType name="LINES"><xsd:sequence><xsd:element name="item" type="tns:LINE"
 minOccurs="0" maxOccurs="unbounded"/></xsd:sequence></xsd:complexType>
<xsd:element name="_-NS_-DO"><xsd:complexType><xsd:sequence>
<xsd:element name="TEXT" type="tns:char40"/><xsd:element name="IT" type="tns:LINES"/>
</xsd:sequence></xsd:complexType></xsd:element>
<xsd:element name="_-NS_-DOResponse"><xsd:complexType><xsd:sequence>
<xsd:element name="ET" type="tns:LINES"/></xsd:sequence></xsd:complexType></xsd:element>
</xsd:schema></wsdl:types></wsdl:definitions>"""
LINE = Structure({
    "NO": Simple("numc", 6), "PRICE": Simple("decimal", 11, 2), "DAY": Simple("date", 0),
    "ROW": Simple("int"), "NOTE": Simple("char"),
})  # fmt: skip


def round_trip(value: Any, kind: Any) -> Any:
    parent = ET.Element("x")
    put(parent, "A", value, kind, "A")
    return get(ET.fromstring(ET.tostring(parent))[0], kind)


def test_a_description_gives_the_types_of_a_function_in_a_namespace() -> None:
    found = interface(WSDL, "/NS/DO")
    assert found.request["TEXT"] == Simple("char", 40)
    table = found.request["IT"]
    assert isinstance(table, Table)
    assert isinstance(table.row, Structure)
    assert {n: k.kind for n, k in table.row.fields.items() if isinstance(k, Simple)} == {
        "NO": "numc", "PRICE": "decimal", "DAY": "date", "ROW": "int", "NOTE": "char",
    }  # fmt: skip
    assert found.response["ET"] == table


@pytest.mark.parametrize(
    ("wsdl", "said"),
    [
        (b"<html/>", "no WSDL"),
        (b"<definitions/>", "without types"),
        (WSDL.replace(b"_-NS_-DO", b"OTHER"), "not of /NS/DO"),
        (WSDL.replace(b'"NOTE" type="tns:string"', b'"NOTE" type="tns:LINES"'), "without end"),
        (WSDL[:900], "no XML"),
        (b"<!DOCTYPE x>" + WSDL, "document type"),
    ],
)
def test_a_description_that_is_none_is_an_error(wsdl: bytes, said: str) -> None:
    with pytest.raises(RequestFailed, match=said):
        interface(wsdl, "/NS/DO")


def test_a_small_description_of_endlessly_many_fields_is_an_error_and_not_a_wait() -> None:
    """Ten fields of a type that has ten fields of a type ... is 10^12 fields in a few kB."""
    levels = "".join(
        f'<complexType name="T{n}"><sequence>'
        + "".join(f'<element name="F{m}" type="T{n + 1}"/>' for m in range(10))
        + "</sequence></complexType>"
        for n in range(12)
    )
    wsdl = (
        f'<definitions><types><schema>{levels}<element name="Z" type="T0"/>'
        '<element name="ZResponse"/></schema></types></definitions>'
    )
    with pytest.raises(RequestFailed, match="more than 100000 fields"):
        interface(wsdl.encode(), "Z")


def test_names_with_slashes_are_escaped_as_sap_does() -> None:
    assert xml_name("/COE/RBP_PAM") == "_-COE_-RBP_PAM"
    assert abap_name(xml_name("/COE/RBP_PAM")) == "/COE/RBP_PAM"


@given(
    st.fixed_dictionaries({
        "NO": st.integers(0, 999999).map(lambda n: f"{n:06}"),
        "PRICE": st.decimals(-999999999, 999999999, places=2),
        "DAY": st.one_of(st.none(), st.dates()),
        "ROW": st.integers(-(2**31), 2**31 - 1),
        "NOTE": st.text(st.characters(min_codepoint=33, max_codepoint=0xD7FF), max_size=20),
    })
)  # fmt: skip
def test_what_fits_comes_back_as_it_was(row: dict[str, Any]) -> None:
    assert round_trip([row, row], Table(LINE)) == [row, row]


@pytest.mark.parametrize(
    ("value", "kind", "wire"),
    [
        ("ab  ", Simple("char", 2), "ab"),
        (" ab", Simple("char", 3), " ab"),
        (True, Simple("char", 1), "X"),
        (False, Simple("char", 1), ""),
        (85.4, Simple("char", 22), "85.4"),
        (1e-7, Simple("char", 22), "0.0000001"),
        (datetime(2026, 11, 26, tzinfo=UTC), Simple("char", 8), "20261126"),
        (time(1, 2, 3), Simple("char", 6), "010203"),
        (7, Simple("numc", 4), "0007"),
        ("20261126", Simple("date"), "2026-11-26"),
        ("00000000", Simple("date"), "0000-00-00"),
        (None, Simple("time"), "00:00:00"),
        ("010203", Simple("time"), "01:02:03"),
        (2.675, Simple("decimal", 5, 2), "2.68"),
        (1e-9, Simple("decimal", 5, 2), "0.00"),
        ("1.50", Simple("decimal", 5, 2), "1.50"),
        (Decimal(10**28), Simple("decimal", 31, 2), f"{10**28}.00"),
        (3.0, Simple("int"), "3"),
        (0.1, Simple("float"), "0.1"),
        (b"\x01", Simple("raw", 1), "AQ=="),
        (Decimal("1.5E+3"), Simple("char", 22), "1500"),
        (Decimal("1E-7"), Simple("char", 22), "0.0000001"),
        (-0.001, Simple("decimal", 5, 2), "0.00"),
        (date(2026, 1, 2), None, "2026-01-02"),
        (b"\x01", None, "AQ=="),
    ],
)
def test_a_value_takes_the_form_of_its_type(value: Any, kind: Simple | None, wire: str) -> None:
    assert text(value, kind, "A") == wire


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="A"):
        text(value, Simple("char", 5), "A")


@pytest.mark.parametrize(
    ("said", "kind"),
    [("x", "int"), ("26.11.2026", "date"), ("noon", "time"), ("1,5", "decimal"), ("a", "raw")],
)
def test_an_answer_that_is_not_of_its_type_is_an_error(said: str, kind: Any) -> None:
    element = ET.Element("{u}A")
    element.text = said
    with pytest.raises(RequestFailed, match=f"A is no {kind}"):
        get(element, Simple(kind))


@pytest.mark.parametrize(("said", "kind"), [("    -  -  ", "date"), ("  :  :  ", "time")])
def test_a_field_that_holds_blanks_for_zeros_is_initial(said: str, kind: Any) -> None:
    """Programs of customers move SPACE to a date; one such row must not cost the whole answer."""
    element = ET.Element("A")
    element.text = said
    assert get(element, Simple(kind)) is None


def test_a_return_may_be_a_table_or_a_structure_of_either_time() -> None:
    new = {"RETURN": [{"TYPE": "E", "ID": "IM", "NUMBER": "100", "MESSAGE": "No"},
                      {"TYPE": "W", "ID": "", "NUMBER": "", "MESSAGE": "Mind"}]}  # fmt: skip
    old = {"RETURN": {"TYPE": "A", "CODE": "M3305", "MESSAGE": "Gone"}}
    assert str(bapi.failure(bapi.messages(new), "F")) == "F: No (IM 100)"
    assert bapi.warnings(bapi.messages(new)) == ["Mind"]
    assert str(bapi.failure(bapi.messages(old), "F")) == "F: Gone (M3305)"
    assert bapi.failure(bapi.messages({"RETURN": [{"TYPE": "S"}, {"TYPE": ""}]}), "F") is None
    locked = {"RETURN": [{"TYPE": "E", "ID": "MC", "NUMBER": "601", "MESSAGE": "locked"}]}
    assert isinstance(bapi.failure(bapi.messages(locked), "F"), Busy)
    assert bapi.messages({"RETURN": "text"}) == []
