"""SAP: values fit their types, a document is made once, what SAP refuses is said in its words."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConfigError,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
    Unsupported,
)
from gl002.integrations.enterprise import AsyncSAPConnector, SAPConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit, read
from gl002.security.network import Network
from gl002.transport.sap import functions
from gl002.wire import odata
from gl002.wire.idoc import Segment
from gl002.wire.soap import encode
from peers.sap_system import CLIENT, PASSWORD, SERVICE, TOKEN, USER, SAPSystem
from peers.web_server import Reply, Seen, WebServer

ONCE = RetryPolicy(max_attempts=1)
NOON = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
EQUIPMENT = "sap/opu/odata/sap/API_MAINTNOTIFICATION"
ALL_TYPES = {
    "C5": "ab", "TEXT": "läuft <ok> & gut", "N6": "42", "DAY": date(2026, 11, 26),
    "MOMENT": time(10, 11, 12), "DEC": Decimal("-123.45"), "QUAN": 1.5, "INT4": -7, "INT2": 300,
    "FLTP": 0.1, "RAW4": b"\x00\xff\x10\x01",
}  # fmt: skip

Make = Callable[..., AsyncSAPConnector]


@pytest.fixture(scope="module")
def system() -> Iterator[SAPSystem]:
    with SAPSystem(locked=["STFC_CONNECTION"]) as running:
        yield running


@pytest.fixture(scope="module")
def old_system() -> Iterator[SAPSystem]:
    """Without OData, without descriptions, without sessions: only /sap/bc/soap/rfc."""
    with SAPSystem(odata=False, wsdl=False, stateful=False) as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    system: SAPSystem, context: Context, no_leaks: None, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Make]:
    """Connectors that try once; whatever they do, no log shows a password."""
    caplog.set_level(logging.DEBUG)
    made: list[AsyncSAPConnector] = []

    def connector(peer: SAPSystem | None = None, **changes: Any) -> AsyncSAPConnector:
        config = {**(peer or system).config, "time_zone": "UTC", **changes}
        made.append(AsyncSAPConnector(config, context=context))
        made[-1]._retry = ONCE
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()
    assert PASSWORD not in caplog.text.replace("passwd", "")
    assert "canary" not in caplog.text


def stateful(**changes: Any) -> dict[str, Any]:
    """Settings of a service of SOAMANAGER that keeps sessions."""
    return {"soap": {"path": SERVICE}, **changes}


def reading(**changes: Any) -> dict[str, Any]:
    return {"point": "12", "value": 85.4, "unit": "PCT", "timestamp": NOON, **changes}


# ---- functions ----------------------------------------------------------------------------------


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


# ---- commit -------------------------------------------------------------------------------------


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


# ---- materials ----------------------------------------------------------------------------------


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


# ---- documents ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["odata", "functions", "old"])
async def test_a_reading_is_entered_once_however_often_it_is_sent(
    system: SAPSystem, old_system: SAPSystem, make: Make, way: str
) -> None:
    peer, settings = (old_system, {}) if way == "old" else (system, {"documents": way})
    moment = NOON + timedelta(hours=["odata", "functions", "old"].index(way) - 3)
    given = reading(timestamp=moment, text="by hand", reader="SMITH")
    first = await make(peer, **settings).create_measurement_document(given)
    second = await make(peer, **settings).create_measurement_document(given)
    assert (second.number, second.already) == (first.number, True)
    sql = "SELECT POINT, IDATE, ITIME, RECDV, RECDU, READR FROM IMRG WHERE MDOCM = ?"
    assert peer.rows(sql, first.number) == [
        ("000000000012", f"{moment:%Y%m%d}", f"{moment:%H%M%S}", "85.4", "PCT", "SMITH")
    ]
    (text,) = peer.rows("SELECT MDTXT FROM IMRG WHERE MDOCM = ?", first.number)[0]
    assert text.startswith("gl002-")
    assert text.endswith(" by hand")


@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_a_point_may_be_named_by_its_position(
    system: SAPSystem, make: Make, way: str
) -> None:
    moment = NOON - timedelta(days=1 if way == "odata" else 2)
    made = await make(documents=way).create_measurement_document(
        reading(point="BOILER_001_P", unit="BAR", timestamp=moment, value=12)
    )
    assert system.rows("SELECT POINT FROM IMRG WHERE MDOCM = ?", made.number) == [("000000000013",)]


async def test_a_key_that_begins_like_another_is_not_taken_for_it(make: Make) -> None:
    connector = make(documents="functions")
    moment = NOON - timedelta(days=3)
    ten = await connector.create_measurement_document(reading(key="rec-10", timestamp=moment))
    later = moment + timedelta(seconds=1)
    one = await connector.create_measurement_document(reading(key="rec-1", timestamp=later))
    assert one.number != ten.number
    assert not one.already


@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_a_key_that_many_others_begin_with_is_found_among_them(
    system: SAPSystem, make: Make, way: str
) -> None:
    """Keys that are counted: '1' is not hidden behind '10' to '19' of the same day."""
    connector = make(documents=way)
    start = NOON - timedelta(days=7 if way == "odata" else 8)
    readings = [
        reading(key=f"{way}-{n}", timestamp=start + timedelta(seconds=n), text="by hand")
        for n in [*range(100, 112), 1, 10]
    ]
    await connector.create_measurement_documents(readings)
    again = await connector.create_measurement_document(readings[-1])
    assert again.already
    sql = "SELECT count(*) FROM IMRG WHERE IDATE = ?"
    assert system.rows(sql, f"{start:%Y%m%d}") == [(14,)]


@pytest.mark.parametrize("first", ["odata", "functions"])
@pytest.mark.parametrize("kind", ["create_notification", "create_work_order"])
async def test_what_was_made_one_way_is_found_the_other_way(
    make: Make, first: str, kind: str
) -> None:
    """A service that is out for a moment sends the next try the other way."""
    ways = [make(documents=way, **stateful()) for way in ("odata", "functions")]
    given = {"key": f"both-{first}", "text": "Blow soot", "equipment": "10000045"}
    made = await getattr(ways[first == "functions"], kind)(given)
    again = await getattr(ways[first == "odata"], kind)(given)
    assert (again.number, again.already) == (made.number, True)


async def test_another_document_of_the_same_second_is_not_taken_for_ours(make: Make) -> None:
    """MEASUREM_DOCUM_RFC_SINGLE_001 gives that one's number back."""
    connector = make(documents="functions")
    moment = NOON - timedelta(days=4)
    await connector.create_measurement_document(reading(key="theirs", timestamp=moment))
    with pytest.raises(DataError, match="another document of that second"):
        await connector.create_measurement_document(reading(key="ours", timestamp=moment))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"point": "NO_SUCH_POINT"}, "NO_SUCH_POINT"),
        ({"point": "999"}, "not found"),
        ({"unit": "FURLNG"}, "FURLNG"),
        ({"timestamp": datetime(2099, 1, 1, tzinfo=UTC)}, "future"),
        ({"point": ""}, "point"),
        ({"value": "many"}, "value"),
        ({"colour": "red"}, "colour"),
        ({"key": "has blanks"}, "no key"),
        ({"key": "x" * 33}, "no key"),
        ({"unit": "TOOLONG"}, "unit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_a_reading_that_cannot_be_entered_is_an_error_that_says_why(
    make: Make, way: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        await make(documents=way).create_measurement_document(reading(**changes))
    assert not caught.value.retryable


@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_many_readings_are_entered_at_once_and_each_once(
    system: SAPSystem, make: Make, way: str
) -> None:
    start = NOON - timedelta(days=20 if way == "odata" else 30)
    many = [
        reading(point="BOILER_001_EFF" if n % 2 else "12", timestamp=start + timedelta(minutes=n))
        for n in range(6)
    ]
    connector = make(documents=way)
    known = await connector.create_measurement_document(many[2])
    batches = system.requests("/" + connector.config.services.measurements + "/$batch")
    made = await connector.create_measurement_documents([*many, many[0]])
    assert made[2].number == known.number
    assert made[6].number == made[0].number
    assert [one.already for one in made[:6]] == [n == 2 for n in range(6)]
    again = await connector.create_measurement_documents(many)
    assert [one.number for one in again] == [one.number for one in made[:6]]
    assert all(one.already for one in again)
    sql = "SELECT count(*) FROM IMRG WHERE IDATE = ?"
    assert system.rows(sql, f"{start:%Y%m%d}") == [(6,)]
    after = system.requests("/" + connector.config.services.measurements + "/$batch")
    assert after - batches == (3 if way == "odata" else 0)


@pytest.mark.parametrize("way", ["odata", "functions"])
async def test_of_many_readings_those_that_are_refused_are_told_by_their_place(
    system: SAPSystem, make: Make, way: str
) -> None:
    start = NOON - timedelta(days=40 if way == "odata" else 50)
    many = [
        reading(timestamp=start), reading(point="NO_SUCH", timestamp=start),
        reading(unit="FURLNG", timestamp=start + timedelta(minutes=1)),
        reading(timestamp=start + timedelta(minutes=2)),
    ]  # fmt: skip
    with pytest.raises(PartialWrite) as caught:
        await make(documents=way).create_measurement_documents(many)
    assert set(caught.value.rejected) == {1, 2}
    assert "FURLNG" in caught.value.rejected[2]
    sql = "SELECT count(*) FROM IMRG WHERE IDATE = ?"
    assert system.rows(sql, f"{start:%Y%m%d}") == [(2,)]


async def test_times_are_those_of_saps_clocks(system: SAPSystem, make: Make) -> None:
    moment = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    made = await make(time_zone="Europe/Berlin").create_measurement_document(
        reading(timestamp=moment)
    )
    assert system.rows("SELECT IDATE, ITIME FROM IMRG WHERE MDOCM = ?", made.number) == [
        ("20260702", "013000")
    ]


async def test_a_notification_by_functions_takes_a_session(system: SAPSystem, make: Make) -> None:
    connector = make(documents="functions", **stateful())
    given = {
        "key": "rec-4711", "type": "M2", "text": "Steam trap 17 blows", "equipment": "10000045",
        "breakdown": True, "start": NOON, "long_text": "x" * 300,
    }  # fmt: skip
    first = await connector.create_notification(given)
    again = await connector.create_notification(given)
    assert (again.number, again.already) == (first.number, True)
    (row,) = system.rows("SELECT QMTXT, MSAUS, AUSVN, LTXT FROM QMEL WHERE QMNUM = ?", first.number)
    assert row[:3] == ("Steam trap 17 blows REC-4711", "X", "20261126")
    assert row[3].endswith("gl002: rec-4711")
    with pytest.raises(Unsupported):
        await make(documents="functions").create_notification({**given, "key": "rec-4712"})
    with pytest.raises(DataError, match=r"Equipment \d+ does not exist"):
        await connector.create_notification({**given, "key": "rec-5", "equipment": "1"})
    assert system.rows("SELECT * FROM QMEL WHERE LTXT LIKE '%rec-5'") == []


@pytest.mark.parametrize("settings", [{}, {"documents": "functions", **stateful()}])
async def test_a_work_order_is_made_once_and_shows_its_key(
    system: SAPSystem, make: Make, settings: dict[str, Any]
) -> None:
    connector = make(**settings)
    key = f"order-{len(settings)}"
    given = {
        "key": key, "type": "PM02", "text": "Replace the gasket of the economizer 12",
        "equipment": "10000045", "planning_plant": "1000", "work_center": "BOILER", "priority": "2",
        "activity_type": "002", "start": NOON,
    }  # fmt: skip
    first = await connector.create_work_order(given)
    again = await connector.create_work_order(given)
    assert (again.number, again.already) == (first.number, True)
    sql = "SELECT AUART, KTEXT, IWERK, ARBPL, ILART, PRIOK, GSTRP FROM AUFK WHERE AUFNR = ?"
    assert system.rows(sql, first.number) == [
        ("PM02", f"Replace the gasket of the econom {key.upper()}", "1000", "BOILER", "002", "2",
         "20261126")
    ]  # fmt: skip
    for wrong, said in [({"type": "XX99"}, "XX99"), ({"equipment": "1"}, "Equipment")]:
        with pytest.raises(DataError, match=said):
            await connector.create_work_order({**given, "key": f"{key}-x", **wrong})
    with pytest.raises(DataError, match="takes a key"):
        await connector.create_work_order({"text": "x", "equipment": "1"})


async def test_a_key_longer_than_saps_reference_is_found_again(make: Make) -> None:
    connector = make()
    given = {"key": "k" * 32, "text": "A long key", "functional_location": "BOILERHOUSE-1"}
    first = await connector.create_notification(given)
    again = await connector.create_notification(given)
    assert (again.number, again.already) == (first.number, True)
    other = await connector.create_notification({**given, "key": "k" * 31 + "l"})
    assert other.number != first.number


async def test_a_notification_takes_one_object_and_a_key(make: Make) -> None:
    connector = make()
    for given, said in [
        ({"text": "x", "key": "a"}, "not both"),
        ({"text": "x", "key": "a", "equipment": "1", "functional_location": "2"}, "not both"),
        ({"text": "x", "equipment": "10000045"}, "takes a key"),
    ]:
        with pytest.raises(DataError, match=said):
            await connector.create_notification(given)


# ---- OData --------------------------------------------------------------------------------------


async def test_a_token_that_is_worth_nothing_any_more_is_fetched_again(
    system: SAPSystem, make: Make
) -> None:
    connector = make()
    await connector.create_measurement_document(reading(timestamp=NOON - timedelta(days=5)))
    system.restart()  # SAP has forgotten its sessions
    given = reading(timestamp=NOON - timedelta(days=6))
    made = await connector.create_measurement_document(given)
    sql = "SELECT count(*) FROM IMRG WHERE IDATE = ?"
    assert system.rows(sql, f"{given['timestamp']:%Y%m%d}") == [(1,)], made


async def test_an_entity_is_changed_only_in_the_state_in_which_it_was_read(make: Make) -> None:
    connector = make()
    made = await connector.create_notification(
        {"key": "etag-1", "text": "Before", "equipment": "10000045", "start": NOON}
    )
    path = f"MaintenanceNotification('{made.number}')"
    read_once = await connector.get_entity(EQUIPMENT, path)
    assert read_once.fields["NotificationText"] == "Before"
    assert read_once.fields["MalfunctionStartDate"] == "2026-11-26"
    assert read_once.fields["MalfunctionStartTime"] == "12:00:00"
    change = {"NotificationText": "After"}
    await connector.change_entity(EQUIPMENT, path, change, etag=read_once.etag)
    with pytest.raises(RequestFailed, match="somebody has changed it since"):
        await connector.change_entity(EQUIPMENT, path, change, etag=read_once.etag)
    assert (await connector.get_entity(EQUIPMENT, path)).fields["NotificationText"] == "After"


async def test_a_service_that_is_not_active_is_said_where_nothing_else_may_be_used(
    old_system: SAPSystem, make: Make
) -> None:
    with pytest.raises(RequestFailed, match=r"not activated this service.*MAINT_SERVICE"):
        await make(old_system, documents="odata").get_material("NATURAL_GAS")


async def test_an_entity_of_a_service_that_sap_does_not_have_is_an_error(make: Make) -> None:
    with pytest.raises(RequestFailed, match="/IWFND/MED/170"):
        await make().get_entity("sap/opu/odata/sap/API_ABSENT", "X('1')")


# ---- IDocs --------------------------------------------------------------------------------------

PROFILE = {
    "sender_port": "GL002", "sender_partner": "GL002", "receiver_port": "SAPGL2",
    "receiver_partner": "GL2CLNT100",
}  # fmt: skip


async def test_an_idoc_arrives_with_its_control_record(system: SAPSystem, make: Make) -> None:
    segments = [Segment("E1BPMEAS", {"VALUE": "85.4 < 90"}, below=[Segment("Z1MORE", {"A": "1"})])]
    await make(idoc=PROFILE).send_idoc("ZGL00201", "ZGL002", segments, reference="rec-1")
    ((message, kind, reference, body),) = system.rows("SELECT * FROM EDIDC")
    assert (message, kind, reference) == ("ZGL002", "ZGL00201", "rec-1")
    assert '<E1BPMEAS SEGMENT="1"><VALUE>85.4 &lt; 90</VALUE><Z1MORE SEGMENT="1">' in body


async def test_a_reference_that_sap_would_cut_is_refused(make: Make) -> None:
    """WE09 would not find the IDoc by it."""
    with pytest.raises(DataError, match="15 characters, and REFMES has room for 14"):
        await make(idoc=PROFILE).send_idoc("ZGL00201", "ZGL002", [], reference="x" * 15)


async def test_an_idoc_without_a_partner_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="set 'idoc'"):
        await make().send_idoc("ZGL00201", "ZGL002", [])
    stranger = {**PROFILE, "sender_partner": "STRANGER"}
    with pytest.raises(GL002Error, match="Partner profile"):
        await make(idoc=stranger).send_idoc("ZGL00201", "ZGL002", [])
    with pytest.raises(DataError, match="no name in SAP"):
        await make(idoc=PROFILE).send_idoc("ZGL00201", "ZGL002", [Segment("a><b")])


# ---- logging in, and a server that is none ----------------------------------------------------


async def test_a_token_logs_in_too(system: SAPSystem, make: Make) -> None:
    connector = make(user="", passwd=None, token=TOKEN)
    assert (await connector.get_material("NATURAL_GAS")).type == "ROH"


@pytest.mark.parametrize("wrong", [{"passwd": "wrong-canary"}, {"client": "999"}])
async def test_a_log_in_that_is_refused_needs_a_human(make: Make, wrong: dict[str, Any]) -> None:
    connector = make(**wrong)
    with pytest.raises(AuthFailed, match="401"):
        await connector.connect()
    assert connector.state is State.FAILED


def test_where_it_is_follows_from_host_and_instance_number() -> None:
    config = AsyncSAPConnector.Config
    assert config.parse({"ashost": "sap.x", "sysnr": 7}).base_url == "https://sap.x:44307/"
    assert config.parse({"ashost": "sap.x:8443"}).base_url == "https://sap.x:8443/"
    assert config.parse({"ashost": "http://[::1]:8000"}).base_url == "http://[::1]:8000/"
    parsed = config.parse({"ashost": "sap.x", "sysnr": "42", "client": 5})
    assert (parsed.gateway.port, parsed.client) == (3342, "005")


XML = {"Content-Type": "text/xml"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', XML), "document type"),
        (Reply(200, b"<x>" * 3_000_000, XML), "elements"),
        (Reply(200, b" " * 17_000_000, XML), "more than"),
        (Reply(200, b"<x>", XML), "no XML"),
        (Reply(200, b"<x/>", XML, promised=100), "cut short"),
        (Reply(200, b"<html>log in</html>", {"Content-Type": "text/html"}), "no"),
    ],
    ids=["bomb", "many elements", "oversize", "broken", "truncated", "log-in page"],
)
@pytest.mark.parametrize("wsdl", ["sap/bc/soap/wsdl11", ""], ids=["described", "untyped"])
async def test_an_answer_that_harms_or_says_nothing_is_an_error(
    make: Make, reply: Reply, said: str, wsdl: str
) -> None:
    def answer(seen: Seen) -> Reply:
        return reply if "soap" in seen.path else Reply()

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": wsdl})
        connector.set_timeout(60_000)
        with pytest.raises(GL002Error, match=said):
            await connector.call_function("RFC_PING")


async def test_what_many_rows_mean_is_found_out_beside_the_event_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_loop: dict[str, set[bool]] = {"get": set(), "entities": set()}

    def watched(module: Any, name: str) -> None:
        work = getattr(module, name)

        def spy(*args: Any) -> Any:
            on_the_loop[name].add(threading.current_thread() is threading.main_thread())
            return work(*args)

        monkeypatch.setattr(module, name, spy)

    watched(functions, "get")
    watched(odata, "entities")
    rows = "".join(f"<item><WA>{n}</WA></item>" for n in range(20_000))
    table = encode(ET.fromstring(
        "<u:RFC_READ_TABLE.Response xmlns:u='urn:sap-com:document:sap:rfc:functions'>"
        f"<DATA>{rows}</DATA></u:RFC_READ_TABLE.Response>"
    ))  # fmt: skip
    points = json.dumps({"value": [{"MeasuringPoint": str(n)} for n in range(20_000)]}).encode()

    def answer(seen: Seen) -> Reply:
        return (
            Reply(200, table, XML)
            if "soap" in seen.path
            else Reply(200, points, {"Content-Type": "application/json"})
        )

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""})
        result = await connector.call_function("RFC_READ_TABLE")
        assert result["DATA"][-1] == {"WA": "19999"}
        await connector.connect()
        found = await connector._services.query("sap/opu/x", "Points", what="points")
        assert len(found) == 20_000
    assert on_the_loop == {"get": {False}, "entities": {False}}


async def test_an_odata_answer_of_another_form_is_an_error(make: Make) -> None:
    bodies = [b"[]", b"{}", b'{"d": 1}', b'{"d": {"results": 5}}', b"{", b"\xff", b'{"value": [1]}']
    kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
    with WebServer(lambda _: Reply(200, b"{}", kind)) as server:
        connector = make(ashost=server.url)
        for body in bodies:
            server.answer = lambda _, body=body: Reply(200, body, kind)
            for request in (
                connector.get_materials(["A"]),
                connector.create_measurement_document(reading(point="X")),
            ):
                with contextlib.suppress(GL002Error):
                    await request


@pytest.mark.parametrize("body", [b"<html/>", b"{}", b'{"d": {}}'])
async def test_a_document_whose_number_is_not_told_is_looked_for_again(
    make: Make, body: bytes
) -> None:
    """SAP has made it: who asks again asks for its key first."""

    def answer(seen: Seen) -> Reply:
        kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
        if seen.method == "GET":
            return Reply(200, b'{"value": []}', kind)
        return Reply(201, body, kind)

    with WebServer(answer) as server:
        with pytest.raises(Busy, match="it may have been done") as caught:
            await make(ashost=server.url).create_measurement_document(reading())
        assert caught.value.retryable
        assert sum(seen.method == "POST" for seen in server.seen) == 1


async def test_a_document_behind_an_answer_that_is_too_large_is_looked_for_again(
    make: Make,
) -> None:
    def answer(seen: Seen) -> Reply:
        kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
        if seen.method == "GET":
            return Reply(200, b'{"value": []}', kind)
        return Reply(201, b" " * 17_000_000, kind)

    with WebServer(answer) as server:
        connector = make(ashost=server.url)
        connector.set_timeout(60_000)
        with pytest.raises(Busy, match=r"more than .* it may have been done"):
            await connector.create_measurement_document(reading())


@pytest.mark.parametrize("cut", [False, True])
async def test_of_many_documents_one_whose_answer_says_nothing_costs_only_itself(
    make: Make,
    cut: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    kind = {"Content-Type": "multipart/mixed; boundary=b", "x-csrf-token": "t"}
    number = b'{"MeasurementDocument": "17"}'

    def batch(status: int, *bodies: bytes) -> Reply:
        inner = b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 %d X\r\n\r\n%s\r\n"
        return Reply(202, b"".join(inner % (status, body) for body in bodies) + b"--b--\r\n", kind)

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(200, b"{}", kind)
        if b"GET MeasurementDocument" in seen.body:
            return batch(200, b'{"value": []}', b'{"value": []}')
        made = batch(201, number, b"{")
        return Reply(202, made.body[:-20], kind) if cut else made

    with WebServer(answer) as server:
        many = [reading(), reading(timestamp=NOON + timedelta(minutes=1))]
        with pytest.raises(RequestFailed, match=r"may have been done|1 documents") as caught:
            await make(ashost=server.url).create_measurement_documents(many)
    if not cut:
        assert isinstance(caught.value, PartialWrite)
        assert "may have been done" in caught.value.rejected[1]


async def test_an_answer_that_never_comes_is_a_time_out_and_is_not_asked_again(
    system: SAPSystem, make: Make
) -> None:
    connector = make()
    connector._retry = RetryPolicy(max_attempts=3)
    await connector.call_function("RFC_PING")
    system.freeze()
    connector.set_timeout(300)
    try:
        with pytest.raises(RequestTimeout):
            await connector.call_function("RFC_PING")
    finally:
        system.thaw()


async def test_a_response_of_another_function_is_refused(make: Make) -> None:
    other = encode(ET.Element("{urn:sap-com:document:sap:rfc:functions}OTHER.Response"))
    with WebServer(lambda _: Reply(200, other, XML)) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""})
        with pytest.raises(RequestFailed, match=r"an answer that is <OTHER\.Response>"):
            await connector.call_function("RFC_PING")


async def test_a_response_nested_without_end_says_nothing_of_what_was_done(make: Make) -> None:
    name = b"MEASUREM_DOCUM_RFC_SINGLE_001.Response"
    start = b'<u:%s xmlns:u="urn:sap-com:document:sap:rfc:functions">' % name
    deep = start + b"<A>" * 5000 + b"</A>" * 5000 + b"</u:%s>" % name
    soap = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    empty = encode(ET.fromstring(
        "<u:RFC_READ_TABLE.Response xmlns:u='urn:sap-com:document:sap:rfc:functions'/>"
    ))  # fmt: skip

    def answer(seen: Seen) -> Reply:
        if b"RFC_READ_TABLE" in seen.body:
            return Reply(200, empty, XML)
        return Reply(200, soap + deep + b"</e:Body></e:Envelope>", XML)

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""}, documents="functions")
        with pytest.raises(Busy, match="it may have been done"):
            await connector.create_measurement_document(reading())


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
