"""The same calls by SAP's own library, in whose place stands one with the interface of pyrfc."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    MissingDependency,
    RequestFailed,
    RequestTimeout,
)
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.sap.system import System
from peers.web_server import Reply, WebServer

_STAND_IN = Path(__file__).parents[1] / "peers" / "sap_library"
NOON = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)

Make = Callable[..., AsyncSAPConnector]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """The tables behind the stand-in."""
    monkeypatch.setenv("GL002_TEST_SAP", str(tmp_path / "sap.db"))
    monkeypatch.syspath_prepend(_STAND_IN)
    yield System(tmp_path / "sap.db")
    sys.modules.pop("pyrfc", None)


@pytest.fixture
async def make(base: System, context: Context) -> AsyncIterator[Make]:
    made: list[AsyncSAPConnector] = []
    with WebServer(lambda _: Reply(404)) as web:  # no OData, no SOAP

        def connector(**changes: Any) -> AsyncSAPConnector:
            config = {
                "ashost": web.url, "client": "100", "user": "RFC_USER", "passwd": "password",
                "time_zone": "UTC", **changes,
            }  # fmt: skip
            made.append(AsyncSAPConnector(config, context=context))
            made[-1]._retry = RetryPolicy(max_attempts=1)
            return made[-1]

        yield connector
        for one in made:
            await one.close()
    context.audit.close()


async def test_a_call_gives_the_same_as_over_soap(make: Make) -> None:
    """As `test_sap.test_every_type_goes_there_and_comes_back`."""
    given = {
        "C5": "ab", "TEXT": "läuft", "N6": "42", "DAY": date(2026, 11, 26),
        "MOMENT": time(10, 11, 12), "DEC": Decimal("-123.45"), "QUAN": 1.5, "INT4": -7,
        "INT2": 300, "FLTP": 0.5, "RAW4": b"\0\1\2\3",
    }  # fmt: skip
    result = await make().call_function("Z_ECHO", IS_ALL=given, IT_WORDS=["a"], CT_ALL=[])
    assert result["ES_ALL"] == {**given, "N6": "000042", "QUAN": Decimal("1.5")}
    assert result["CT_ALL"] == [result["ES_ALL"]]
    assert result["ET_WORDS"] == ["a"]


async def test_what_is_committed_stays_and_what_is_not_is_forgotten(
    base: System, make: Make
) -> None:
    connector = make()
    await connector.call_function("Z_BOILER_BOOK", IV_BOILER_ID="FORGOTTEN")
    await connector.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="COMMITTED")
    with pytest.raises(RequestFailed, match="Boiler is missing"):
        await connector.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="")
    assert base.rows("SELECT BOILER FROM ZBOILER") == [{"BOILER": "COMMITTED"}]


async def test_documents_are_made_by_functions_and_once(base: System, make: Make) -> None:
    connector = make()
    reading = {"point": "BOILER_001_EFF", "value": 85.4, "timestamp": NOON, "unit": "PCT"}
    note = {"key": "rec-1", "text": "Steam trap 17 blows", "equipment": "10000045", "start": NOON}
    for _ in range(2):
        first = await connector.create_measurement_document(reading)
        second = await connector.create_notification(note)
    assert base.rows("SELECT MDOCM FROM IMRG") == [{"MDOCM": first.number}]
    assert base.rows("SELECT QMNUM FROM QMEL") == [{"QMNUM": second.number}]
    assert (await connector.get_material("NATURAL_GAS")).description == "Natural gas"


async def test_errors_of_the_library_are_told_by_their_kind(make: Make) -> None:
    connector = make()
    with pytest.raises(RequestFailed, match="FU_NOT_FOUND"):
        await connector.call_function("Z_ABSENT")
    with pytest.raises(RequestFailed, match="POINT_NOT_FOUND"):
        await connector.call_function("/GL002/LOCKED")
    with pytest.raises(DataError, match="requires dict"):
        await connector.call_function("Z_ECHO", IS_ALL="text")
    with pytest.raises(AuthFailed, match="password is incorrect"):
        await make(passwd="another").call_function("RFC_PING")


async def test_a_connection_that_was_cut_is_opened_again(make: Make) -> None:
    import pyrfc

    connector = make()
    with pytest.raises(ConnectFailed, match="reset by peer"):
        await connector.call_function("Z_CUT")
    assert await connector.call_function("RFC_PING") == {}
    assert len({id(one) for one in pyrfc.opened}) == 2


async def test_a_call_that_takes_too_long_is_cancelled_and_its_connection_given_up(
    make: Make,
) -> None:
    import pyrfc

    connector = make()
    await connector.call_function("RFC_PING")
    connector.set_timeout(200)
    with pytest.raises(RequestTimeout):
        await connector.call_function("Z_SLOW")
    await asyncio.to_thread(pyrfc.opened[-1].cancelled.wait, 30)
    assert pyrfc.opened[-1].cancelled.is_set()
    connector.set_timeout(30_000)
    assert await connector.call_function("RFC_PING") == {}


async def test_calls_at_once_wait_for_each_other(make: Make) -> None:
    connector = make()
    calls = [connector.call_function("Z_BOILER_UPDATE", IV_BOILER_ID=f"B{n}") for n in range(5)]
    assert [result["EV_RC"] for result in await asyncio.gather(*calls)] == [0] * 5


async def test_where_only_the_library_leads_in_nothing_goes_over_http(
    base: System, make: Make
) -> None:
    only = {"ashost": "http://127.0.0.1:1", "documents": "functions"}  # nobody listens
    connector = make(**only)
    assert (await connector.check()).ok
    assert (await connector.get_material("NATURAL_GAS")).type == "ROH"
    wrong = make(**only, passwd="another")
    with pytest.raises(AuthFailed):
        await wrong.connect()
    assert wrong.state is State.FAILED


async def test_the_library_is_asked_for_where_it_is_wanted_and_missing(context: Context) -> None:
    config = {"ashost": "http://127.0.0.1:1", "functions": "nwrfc"}
    connector = AsyncSAPConnector(config, context=context)
    with pytest.raises(MissingDependency, match="pyrfc"):
        await connector.connect()
    await connector.close()
    context.audit.close()


# ---- what is left behind -------------------------------------------------------------------------

ORDER = {"key": "rec-1", "text": "Blow soot", "equipment": "10000045", "type": "PM02"}


async def test_what_a_failed_unit_has_begun_is_not_committed_by_the_next(
    base: System, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is there, and its commit breaks off; the next commit must not bring it along."""
    import pyrfc

    connector = make()
    refused: list[str] = []
    call = pyrfc.Connection.call

    def once(self: Any, function: str, **parameters: Any) -> Any:
        if function == "BAPI_TRANSACTION_COMMIT" and not refused:
            refused.append(function)
            raise pyrfc.ABAPApplicationError("update task is off", 5, "SYSTEM_FAILURE")
        return call(self, function, **parameters)

    monkeypatch.setattr(pyrfc.Connection, "call", once)
    with pytest.raises(Busy, match=r"update task is off.*may have been done"):
        await connector.create_work_order(ORDER)
    await connector.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="B1")
    assert base.rows("SELECT KTEXT FROM AUFK") == []


async def test_what_was_committed_is_told_even_if_the_connection_is_lost_behind_it(
    base: System, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyrfc

    connector = make()

    def lost(_: Any) -> None:
        raise pyrfc.CommunicationError("connection reset", 1, "RFC_COMMUNICATION_FAILURE")

    monkeypatch.setattr(pyrfc.Connection, "reset_server_context", lost)
    made = await connector.create_work_order(ORDER)
    assert base.rows("SELECT AUFNR FROM AUFK") == [{"AUFNR": made.number}]


async def test_a_connection_that_is_closed_within_a_unit_is_an_error_of_the_connection(
    base: System, make: Make
) -> None:
    """Another request has lost the session: that is nothing that a person must mend."""
    connector = make()

    async def book() -> None:
        async with connector._functions.unit() as unit:
            await unit.call("Z_BOILER_BOOK", {"IV_BOILER_ID": "B1"})
            await connector._functions.close()
            await unit.call("BAPI_TRANSACTION_COMMIT", {"WAIT": "X"})

    with pytest.raises(ConnectFailed, match="just ended"):
        await book()
    assert base.rows("SELECT * FROM ZBOILER") == []
