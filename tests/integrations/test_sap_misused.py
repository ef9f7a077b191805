"""SAP as it is misused first, and asked for much at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import DataError, PartialWrite
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.integrations.enterprise import sap as sap_module
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.sap_system import SAPSystem

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def system() -> Iterator[SAPSystem]:
    with SAPSystem() as running:
        yield running


@pytest.fixture
async def sap(system: SAPSystem, tmp_path: Path) -> AsyncIterator[AsyncSAPConnector]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    async with AsyncSAPConnector(system.config, context=context) as connector:
        yield connector
    audit.close()


def readings(count: int, day: datetime, **changes: Any) -> list[dict[str, Any]]:
    reading = {"point": "BOILER_001_EFF", "value": 85.4, "unit": "PCT", **changes}
    return [{**reading, "timestamp": day + timedelta(minutes=n)} for n in range(count)]


async def test_many_documents_go_in_pieces_that_each_have_their_own_time(
    sap: AsyncSAPConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a year at once had the time-out of one request, and never came to an end."""
    monkeypatch.setattr(sap_module, "_AT_ONCE", 3)
    many = readings(8, NOON)
    many[6] = {**many[6], "point": "NO_SUCH"}
    many[7] = many[0]
    with pytest.raises(PartialWrite) as caught:
        await sap.create_measurement_documents(many)
    assert set(caught.value.rejected) == {6}, "its place among all"
    made = await sap.create_measurement_documents([*many[:6], many[7]])
    assert all(one.already for one in made)
    assert len({one.number for one in made}) == 6
    lines = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    sent = {line["subject"].partition(" ")[2] for line in lines if line["action"] == "write"}
    assert sent == {"create_measurement_document, 3 at once"}


async def test_many_materials_are_read_in_pieces_too(
    sap: AsyncSAPConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sap_module, "_AT_ONCE", 2)
    found = await sap.get_materials(["NATURAL_GAS", "NO", "NO", "NATURAL_GAS", "NATURAL_GAS"])
    assert [one is not None for one in found] == [True, False, False, True, True]


@pytest.mark.parametrize("documents", [[None], ["point"], {"point": "12"}, "x"])
async def test_what_is_no_document_is_said(sap: AsyncSAPConnector, documents: Any) -> None:
    with pytest.raises(DataError, match=r"create_measurement_document.* takes a dict"):
        await sap.create_measurement_documents(documents)


async def test_one_material_in_the_place_of_a_list_is_not_read_as_its_letters(
    sap: AsyncSAPConnector,
) -> None:
    with pytest.raises(DataError, match="'NATURAL_GAS' is no list of materials"):
        await sap.get_materials("NATURAL_GAS")
