"""SAP through other people's programs: their clients at our system, our connector at theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.errors import AuthFailed, RequestFailed, TagNotFound
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers import vendors
from peers.cap_server import NOTIFICATIONS, CapServer
from peers.mock_sap import MockSAP
from peers.sap_system import CLIENT, PASSWORD, USER, SAPSystem

PRODUCTS = "sap/opu/odata/sap/API_PRODUCT_SRV"


def test_zeep_and_pyodata_read_our_descriptions_and_are_served() -> None:
    """zeep takes the WSDL strictly, pyodata the metadata; both then call what is described."""
    with SAPSystem() as system:
        seen = vendors.run("sap_clients.py", system.url, CLIENT, USER, PASSWORD)
        text = system.rows("SELECT MDTXT FROM IMRG")
    assert seen == {
        "echo": {
            "C5": "ab", "TEXT": "x", "N6": "000042", "DAY": "2026-11-26", "MOMENT": "10:11:12",
            "DEC": "1.50", "QUAN": "2.500", "INT4": "7", "INT2": "8", "FLTP": "0.5",
            "RAW4": "\0\1",
        },
        "words": ["a", "b"],
        "table that was not sent": True,
        "document": "by zeep",
        "fault": ["Internal Server Error", "POINT_NOT_FOUND"],
        "described": [
            "BAPI_ALM_NOTIF_CREATE", "BAPI_ALM_NOTIF_SAVE", "BAPI_MATERIAL_GET_DETAIL",
            "BAPI_TRANSACTION_COMMIT", "RFC_READ_TABLE", "Z_BOILER_UPDATE",
        ],
        "material": ["NATURAL_GAS", "0.800"],
        "notification": ["by pyodata", [True]],
        "batch": ["M3"],
    }  # fmt: skip
    assert text == [("by zeep",)]


# ---- SAP's own OData stack ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cap() -> Iterator[CapServer]:
    with CapServer() as running:
        yield running


@pytest.fixture
async def at_cap(
    cap: CapServer, tmp_path: Path, no_leaks: None
) -> AsyncIterator[AsyncSAPConnector]:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    async with AsyncSAPConnector(cap.config, context=context) as made:
        yield made
    context.audit.close()


async def test_sap_s_own_odata_takes_documents_once(at_cap: AsyncSAPConnector) -> None:
    """Measurement documents in version 4, notifications in version 2."""
    moment = datetime(2026, 11, 26, 10, 11, 12, tzinfo=UTC)
    reading = {"point": "BOILER_001_EFF", "value": 85.4, "unit": "PCT", "timestamp": moment}
    note = {
        "key": "rec-4711", "type": "M2", "text": "it's hot & <loud>", "equipment": "10000045",
        "start": moment, "breakdown": True, "priority": "1",
    }  # fmt: skip
    first = await at_cap.create_measurement_document(reading)
    again = await at_cap.create_measurement_document(reading)
    assert (again.number, again.already) == (first.number, True)
    later = {**reading, "timestamp": moment + timedelta(minutes=1)}
    both = await at_cap.create_measurement_documents([reading, later, later])
    assert [one.already for one in both] == [True, False, False]
    assert both[1].number == both[2].number != both[0].number
    noted = await at_cap.create_notification(note)
    again = await at_cap.create_notification(note)
    assert (again.number, again.already) == (noted.number, True)
    order = {"key": "rec-4711", "text": "Blow soot", "equipment": "10000045", "start": moment}
    ordered = await at_cap.create_work_order(order)
    again = await at_cap.create_work_order(order)
    assert (again.number, again.already) == (ordered.number, True)
    fields = (
        await at_cap.get_entity("odata/v2/order", f"MaintenanceOrder('{ordered.number}')")
    ).fields
    assert fields["MaintenanceOrderDesc"] == "Blow soot REC-4711"
    assert fields["MaintOrdBasicStartDateTime"].startswith("2026-11-26T10:11:12")
    entity = await at_cap.get_entity(NOTIFICATIONS, f"MaintenanceNotification('{noted.number}')")
    fields = entity.fields
    assert fields["NotificationText"] == "it's hot & <loud>"
    assert (fields["MalfunctionStartDate"], fields["MalfunctionStartTime"]) == (
        "2026-11-26", "10:11:12",
    )  # fmt: skip
    assert fields["MaintenanceObjectIsDown"] is True


async def test_sap_s_own_odata_gives_materials_one_by_one_and_in_a_batch(
    at_cap: AsyncSAPConnector,
) -> None:
    gas = await at_cap.get_material("NATURAL_GAS")
    assert (gas.description, gas.gross_weight) == ("Natural gas", 0.8)
    found = await at_cap.get_materials(["ABSENT", "it's", "NATURAL_GAS"])
    assert [one.number if one else None for one in found] == [None, None, "NATURAL_GAS"]
    with pytest.raises(TagNotFound):
        await at_cap.get_material("ABSENT")


async def test_sap_s_own_odata_keeps_what_somebody_else_has_changed(
    at_cap: AsyncSAPConnector,
) -> None:
    made = await at_cap.create_notification({"key": "e", "text": "Before", "equipment": "1"})
    path = f"MaintenanceNotification('{made.number}')"
    etag = (await at_cap.get_entity(NOTIFICATIONS, path)).etag
    assert etag
    await at_cap.change_entity(NOTIFICATIONS, path, {"NotificationText": "After"}, etag=etag)
    with pytest.raises(RequestFailed, match="somebody has changed it since"):
        await at_cap.change_entity(NOTIFICATIONS, path, {"NotificationText": "x"}, etag=etag)


# ---- mock-sap -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mock() -> Iterator[MockSAP]:
    with MockSAP() as running:
        yield running


@pytest.fixture
async def connector(
    mock: MockSAP, tmp_path: Path, no_leaks: None
) -> AsyncIterator[AsyncSAPConnector]:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    async with AsyncSAPConnector(mock.config, context=context) as made:
        yield made
    context.audit.close()


async def test_materials_of_another_make_are_read_one_by_one_and_in_a_batch(
    connector: AsyncSAPConnector,
) -> None:
    cable = await connector.get_material("MZ-FG-C100")
    assert (cable.description, cable.type, cable.base_unit) == ("Cable Assembly C100", "HALB", "M")
    assert (cable.gross_weight, cable.net_weight, cable.weight_unit) == (0.3, 0.25, "KG")
    found = await connector.get_materials(["MZ-RM-S200", "ABSENT", "MZ-FG-C100"])
    assert [one.number if one else None for one in found] == ["MZ-RM-S200", None, "MZ-FG-C100"]
    with pytest.raises(TagNotFound, match="ABSENT"):
        await connector.get_material("ABSENT")


async def test_a_change_at_another_make_takes_its_token_and_its_etag(
    connector: AsyncSAPConnector,
) -> None:
    path = "A_Product('MZ-FG-C100')"
    before = await connector.get_entity(PRODUCTS, path)
    assert before.etag
    change = {"ProductOldID": "OLD-1"}
    await connector.change_entity(PRODUCTS, path, change, etag=before.etag)
    assert (await connector.get_entity(PRODUCTS, path)).fields["ProductOldID"] == "OLD-1"
    with pytest.raises(RequestFailed, match="somebody has changed it since"):
        await connector.change_entity(PRODUCTS, path, change, etag=before.etag)


async def test_another_make_refuses_a_wrong_password(mock: MockSAP, tmp_path: Path) -> None:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    wrong = AsyncSAPConnector({**mock.config, "passwd": "another"}, context=context)
    with pytest.raises(AuthFailed):
        await wrong.connect()
    await wrong.close()
    context.audit.close()
