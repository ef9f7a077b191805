"""SAP: functions and materials, values that fit their types, the class for scripts."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import Busy, DataError, GL002Error, RequestFailed, TagNotFound, Unsupported
from gl002.integrations.enterprise import SAPConnector
from gl002.security.audit import read
from gl002.wire.soap import encode
from integrations.sap_site import XML, Make, context, make, old_system, reading, stateful, system
from peers.sap_system import CLIENT, USER, SAPSystem
from peers.web_server import Reply, WebServer

fixtures = system, old_system, context, make

ALL_TYPES = {
    "C5": "ab", "TEXT": "läuft <ok> & gut", "N6": "42", "DAY": date(2026, 11, 26),
    "MOMENT": time(10, 11, 12), "DEC": Decimal("-123.45"), "QUAN": 1.5, "INT4": -7, "INT2": 300,
    "FLTP": 0.1, "RAW4": b"\x00\xff\x10\x01",
}  # fmt: skip


# ---- functions --------------------------------------------------------------------------------


async def test_every_type_goes_there_and_comes_back(make: Make) -> None:
    result = await make().call_function(
        "z_echo", IS_ALL=ALL_TYPES, IT_WORDS=["one", "two"], CT_ALL=[{"C5": "first"}]
    )
    expected = {**ALL_TYPES, "N6": "000042", "QUAN": Decimal("1.500")}
    assert result["ES_ALL"] == expected
    assert {k: type(v) for k, v in result["ES_ALL"].items()} == {
        k: type(v) for k, v in expected.items()
    }
    assert result["ET_WORDS"] == ["one", "two"]
    first, second = result["CT_ALL"]
    assert second == expected
    assert (first["C5"], first["DAY"], first["DEC"], first["RAW4"]) == ("first", None, 0, b"")


async def test_a_table_that_was_not_given_comes_back_nevertheless(make: Make) -> None:
    result = await make().call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B1", IV_EFFICIENCY=90)
    assert result["EV_RC"] == 0
    assert [line["MESSAGE"] for line in result["RETURN"]] == ["Updated"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"IS_ALL": {"C5": "too long"}}, r"IS_ALL\.C5: 'too long' is longer than 5"),
        ({"IS_ALL": {"C5": "a\0b"}}, r"IS_ALL\.C5: XML has no character U\+0000"),
        ({"IS_ALL": {"N6": "12a"}}, r"N6: expected digits"),
        ({"IS_ALL": {"N6": 1234567}}, r"N6: 1234567 has more than 6 digits"),
        ({"IS_ALL": {"DAY": "26.11.2026"}}, r"DAY: expected a date"),
        ({"IS_ALL": {"MOMENT": "25:00"}}, r"MOMENT: expected a time"),
        ({"IS_ALL": {"DEC": Decimal("0.001")}}, r"DEC: 0\.001 has more than 2 decimals"),
        ({"IS_ALL": {"DEC": 1e10}}, r"DEC: .* more than 9 digits before the point"),
        ({"IS_ALL": {"DEC": float("nan")}}, r"DEC: SAP has no such number"),
        ({"IS_ALL": {"INT2": 40000}}, r"INT2: 40000 is not within"),
        ({"IS_ALL": {"INT4": 1.5}}, r"INT4: expected a whole number"),
        ({"IS_ALL": {"RAW4": b"12345"}}, r"RAW4: 5 bytes, and there is room for 4"),
        ({"IS_ALL": {"RAW4": "text"}}, r"RAW4: expected bytes"),
        ({"IS_ALL": {"COLOUR": "red"}}, r"IS_ALL has no field 'COLOUR'"),
        ({"IS_ALL": "text"}, r"IS_ALL is a structure"),
        ({"CT_ALL": {"C5": "a"}}, r"CT_ALL is a table"),
        ({"CT_ALL": [{"C5": "a"}, {"C5": "too long"}]}, r"CT_ALL\[1\]\.C5"),
        ({"IS_AL": {}}, r"Z_ECHO has no parameter 'IS_AL' .*IS_ALL"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_named_and_not_sent(
    system: SAPSystem, make: Make, parameters: dict[str, Any], said: str
) -> None:
    before = system.requests("/sap/bc/soap/rfc")
    with pytest.raises(DataError, match=said):
        await make().call_function("Z_ECHO", **parameters)
    assert system.requests("/sap/bc/soap/rfc") == before


async def test_a_float_is_rounded_to_the_decimals_of_its_parameter(
    system: SAPSystem, make: Make
) -> None:
    await make().call_function(
        "Z_BOILER_UPDATE", IV_BOILER_ID="ROUND", IV_EFFICIENCY=85.456, IV_FUEL_CONSUMPTION=3500.0
    )
    assert system.rows("SELECT EFFICIENCY, FUEL FROM ZBOILER WHERE BOILER = 'ROUND'") == [
        ("85.46", 3500)
    ]


@pytest.mark.parametrize("name", ["", "Z><x", "Z_A'B", "A B", "/X/", "Z" * 31, "../sap"])
async def test_a_hostile_name_of_a_function_is_refused(make: Make, name: str) -> None:
    with pytest.raises(DataError, match="no name of a function"):
        await make().call_function(name)


async def test_without_descriptions_hostile_parameters_are_refused_all_the_same(
    old_system: SAPSystem, make: Make
) -> None:
    connector = make(old_system)
    with pytest.raises(DataError, match="no name in XML"):
        await connector.call_function("RFC_PING", **{"A><B": "x"})
    result = await connector.call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B&<1", RETURN=[])
    assert result["EV_RC"] == "0"
    assert result["RETURN"][0]["MESSAGE"] == "Updated"


async def test_descriptions_that_are_missing_are_said_once(
    old_system: SAPSystem, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(old_system)
    await connector.call_function("RFC_PING")
    await connector.call_function("RFC_PING")
    assert caplog.text.count("does not describe functions") == 1


async def test_descriptions_that_were_out_are_asked_for_again_in_the_next_session(
    make: Make,
) -> None:
    """Behind a restart of SAP the services come one after the other: that is not for ever."""
    with SAPSystem(wsdl=False) as system:
        connector = make(system)
        untyped = await connector.call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B1", RETURN=[])
        assert untyped["EV_RC"] == "0"
        system._options["wsdl"] = True
        system.restart()
        await connector.close()  # a new session
        typed = await connector.call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B1")
        assert typed["EV_RC"] == 0


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        ("Z_ABSENT", RequestFailed, "SE37"),
        ("STFC_CONNECTION", RequestFailed, "S_RFC"),
        ("/GL002/LOCKED", RequestFailed, "POINT_NOT_FOUND: Point NOWHERE not found"),
    ],
)
@pytest.mark.parametrize("settings", [{}, stateful()], ids=["soap/rfc", "SOAMANAGER"])
async def test_what_sap_refuses_is_said_in_its_words(
    make: Make, settings: dict[str, Any], function: str, error: type[GL002Error], said: str
) -> None:
    connector = make(**settings)
    with pytest.raises(error) as caught:
        await connector.call_function(function)
    assert said in str(caught.value)
    assert not caught.value.retryable
    assert connector.state is State.UP


async def test_a_lock_comes_again(system: SAPSystem, make: Make) -> None:
    connector = make()
    system.rows("UPDATE IMPTT SET LOCKED = 'X' WHERE POINT = '000000000013'")
    try:
        with pytest.raises(Busy, match="POINT_LOCKED"):
            await connector.call_function(
                "MEASUREM_DOCUM_RFC_SINGLE_001", MEASUREMENT_POINT="13", RECORDED_VALUE="1"
            )
    finally:
        system.rows("UPDATE IMPTT SET LOCKED = ''")
    with pytest.raises(Busy, match=r"locked by ME \(MC 601\)"):
        await connector.call_function("Z_BOILER_BOOK", IV_BOILER_ID="LOCKED")


async def test_an_error_in_return_is_raised_and_a_warning_is_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    with pytest.raises(RequestFailed, match=r"Z_BOILER_UPDATE: Boiler is missing \(ZB 001\)"):
        await connector.call_function("Z_BOILER_UPDATE")
    result = await connector.call_function("Z_BOILER_UPDATE", check_return=False)
    assert result["EV_RC"] == 4
    await connector.call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B1", IV_EFFICIENCY=70)
    assert "Z_BOILER_UPDATE: Efficiency is low (ZB 002)" in caplog.text


async def test_a_call_is_on_the_audit_file_before_it_is_made(make: Make, context: Context) -> None:
    with pytest.raises(RequestFailed):
        await make().call_function("Z_BOILER_UPDATE", IV_BOILER_ID="")
    context.audit.close()
    written = [entry for entry in read(context.audit.path) if "Z_BOILER_UPDATE" in str(entry)]
    assert len(written) == 2


# ---- commit -----------------------------------------------------------------------------------


async def test_a_call_is_committed_in_its_session_and_rolled_back_after_an_error(
    system: SAPSystem, make: Make
) -> None:
    connector = make(**stateful())
    await connector.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="COMMITTED")
    await connector.call_function("Z_BOILER_BOOK", IV_BOILER_ID="FORGOTTEN")
    with pytest.raises(RequestFailed, match="Boiler is missing"):
        await connector.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="")
    rows = system.rows("SELECT BOILER FROM ZBOILER WHERE BOILER IN ('COMMITTED', 'FORGOTTEN')")
    assert rows == [("COMMITTED",)]


@pytest.mark.parametrize("peer", ["system", "old_system"])
async def test_nothing_is_called_where_a_commit_would_commit_nothing(
    peer: str, make: Make, request: pytest.FixtureRequest
) -> None:
    """/sap/bc/soap/rfc answers a commit with success, and has forgotten what to commit."""
    server: SAPSystem = request.getfixturevalue(peer)
    with pytest.raises(Unsupported, match="keeps no session at /sap/bc/soap/rfc"):
        await make(server).call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="NEVER")
    assert server.rows("SELECT * FROM ZBOILER WHERE BOILER = 'NEVER'") == []


# ---- materials --------------------------------------------------------------------------------


async def test_a_material_is_the_same_whichever_way_it_is_read(
    system: SAPSystem, old_system: SAPSystem, make: Make
) -> None:
    by_odata = await make().get_material("NATURAL_GAS")
    by_function = await make(documents="functions").get_material("NATURAL_GAS")
    untyped = await make(old_system).get_material("NATURAL_GAS")
    for one in (by_odata, by_function, untyped):
        assert (one.number, one.description, one.type) == ("NATURAL_GAS", "Natural gas", "ROH")
        assert (one.base_unit, one.group) == ("M3", "FUEL")
        assert (one.gross_weight, one.weight_unit) == (0.8, "KG")
    assert by_odata.fields["to_Description"][0]["Language"] == "EN"
    assert (await make(documents="functions").get_material("4711")).description == "Gasket"


@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_a_material_that_sap_does_not_have_is_said(make: Make, way: str) -> None:
    connector = make(documents=way)
    for number in ("ABSENT", "a'b&c", "../x?$top=1"):
        with pytest.raises(TagNotFound):
            await connector.get_material(number)


async def test_a_material_that_somebody_has_open_is_not_said_to_be_absent(make: Make) -> None:
    answer = ET.fromstring(
        "<u:BAPI_MATERIAL_GET_DETAIL.Response xmlns:u='urn:sap-com:document:sap:rfc:functions'>"
        "<MATERIAL_GENERAL_DATA/><RETURN><TYPE>E</TYPE><ID>MC</ID><NUMBER>601</NUMBER>"
        "<MESSAGE>locked by ME</MESSAGE></RETURN></u:BAPI_MATERIAL_GET_DETAIL.Response>"
    )
    with WebServer(lambda _: Reply(200, encode(answer), XML)) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""}, documents="functions")
        with pytest.raises(Busy, match="locked by ME"):
            await connector.get_materials(["A"])


async def test_many_materials_come_in_one_batch(system: SAPSystem, make: Make) -> None:
    path = "/sap/opu/odata/sap/API_PRODUCT_SRV/$batch"
    before = system.requests(path)
    found = await make().get_materials(["NATURAL_GAS", "ABSENT", "it's"] * 10)
    assert [one.description if one else None for one in found] == ["Natural gas", None, None] * 10
    assert system.requests(path) == before + 1
    by_function = await make(documents="functions").get_materials(["NATURAL_GAS", "ABSENT"])
    assert [one.number if one else None for one in by_function] == ["NATURAL_GAS", None]


# ---- rehearsals, and scripts ------------------------------------------------------------------


async def test_what_is_rehearsed_is_what_would_be_sent(system: SAPSystem, make: Make) -> None:
    from gl002.action import Action

    connector = make()
    fields = json.loads(json.dumps(reading(), default=str))
    action = Action(key="rec-77", name="create_measurement_document", fields=fields)
    text = await connector.rehearse(action)
    assert text.startswith("POST http://127.0.0.1")
    assert '"MeasurementDocumentText": "rec-77"' in text
    by_function = await make(documents="functions").rehearse(action)
    assert "MEASUREM_DOCUM_RFC_SINGLE_001" in by_function
    assert "SHORT_TEXT = 'rec-77'" in by_function
    with pytest.raises(DataError, match="has no action 'dance'"):
        await connector.rehearse(Action(key="a", name="dance", fields={}))


def test_scripts_use_the_blocking_class(system: SAPSystem) -> None:
    with SAPConnector(system.config) as sap:
        assert sap.get_material("NATURAL_GAS").description == "Natural gas"
        assert sap.call_function("RFC_PING") == {}
        assert CLIENT in sap.check().detail
        assert sap.aio.config.user == USER
