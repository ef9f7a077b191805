"""Documents in SAP: made once, found again, refused in SAP's words; OData and IDocs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gl002.errors import (
    ConfigError,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    Unsupported,
)
from gl002.wire.idoc import Segment
from integrations.sap_site import NOON, Make, context, make, old_system, reading, stateful, system
from peers.sap_system import SAPSystem

fixtures = system, old_system, context, make

EQUIPMENT = "sap/opu/odata/sap/API_MAINTNOTIFICATION"


# ---- documents --------------------------------------------------------------------------------


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


# ---- OData ------------------------------------------------------------------------------------


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


# ---- IDocs ------------------------------------------------------------------------------------


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
