"""SOAP envelopes and faults, as both versions write them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from gl002.errors import RequestFailed
from gl002.wire.soap import NAMESPACE, Fault, Version, content_type, decode, encode
from gl002.wire.xml import first, parse, text_of

# SOAP 1.1 note, example 8 (section 4.4.1)
FAULT_11 = b"""<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/">
   <SOAP-ENV:Body><SOAP-ENV:Fault>
     <faultcode>SOAP-ENV:Server</faultcode><faultstring>Server Error</faultstring>
     <detail><e:myfaultdetails xmlns:e="Some-URI"><message>My application didn't work</message>
       <errorcode>1001</errorcode></e:myfaultdetails></detail>
   </SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"""
# SOAP 1.2 part 1, example 4 (section 5.4)
FAULT_12 = b"""<?xml version='1.0' ?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
  xmlns:m="http://www.example.org/timeouts" xmlns:xml="http://www.w3.org/XML/1998/namespace">
<env:Body><env:Fault>
  <env:Code><env:Value>env:Sender</env:Value>
    <env:Subcode><env:Value>m:MessageTimeout</env:Value></env:Subcode></env:Code>
  <env:Reason><env:Text xml:lang="en">Sender Timeout</env:Text></env:Reason>
  <env:Detail><m:MaxTime>P5M</m:MaxTime></env:Detail>
</env:Fault></env:Body></env:Envelope>"""


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_what_is_put_into_an_envelope_comes_out_of_it(version: Version) -> None:
    body, header = ET.Element("{u}Do"), ET.Element("{v}Security")
    body.text = "a < b & ü"
    message = encode(body, [header], version)
    assert parse(message).tag == f"{{{NAMESPACE[version]}}}Envelope"
    assert first(parse(message), "Header", "Security") is not None
    found = decode(message)
    assert not isinstance(found, Fault)
    assert (found.tag, found.text) == ("{u}Do", "a < b & ü")


def test_the_fault_of_version_1_1_is_told() -> None:
    fault = decode(FAULT_11)
    assert fault == Fault("Server", (), "Server Error")
    assert isinstance(fault, Fault)
    assert not fault.ours
    assert text_of(first(fault.detail, "myfaultdetails", "errorcode")) == "1001"


def test_the_fault_of_version_1_2_is_told() -> None:
    fault = decode(FAULT_12)
    assert fault == Fault("Sender", ("MessageTimeout",), "Sender Timeout")
    assert isinstance(fault, Fault)
    assert fault.ours
    assert text_of(fault.detail) == "P5M"


def test_a_code_with_dots_is_taken_apart() -> None:
    fault = decode(FAULT_11.replace(b"SOAP-ENV:Server<", b"SOAP-ENV:Client.Authentication<"))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.subcodes, fault.ours) == ("Client", ("Authentication",), True)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"<html/>", "no SOAP envelope but <html>"),
        (b"<Envelope/>", "no SOAP envelope"),
        (b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"/>', "without anything"),
        (b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body/></Envelope>',
         "without anything"),
        (FAULT_11[:200], "no XML"),
    ],
)  # fmt: skip
def test_what_is_no_envelope_is_said(message: bytes, said: str) -> None:
    with pytest.raises(RequestFailed, match=said):
        decode(message)


def test_a_fault_without_anything_in_it_is_still_a_fault() -> None:
    for ns in NAMESPACE.values():
        empty = f'<e:Envelope xmlns:e="{ns}"><e:Body><e:Fault/></e:Body></e:Envelope>'
        assert decode(empty.encode()) == Fault("")


def test_the_action_of_version_1_2_is_in_the_content_type() -> None:
    assert content_type("1.1", "u:Do") == "text/xml; charset=utf-8"
    assert content_type("1.2", "u:Do") == 'application/soap+xml; charset=utf-8; action="u:Do"'
