"""A session of SAP that ends between a BAPI and its commit: what is said to be there is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gl002.context import Context
from gl002.errors import Busy, RequestFailed
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.wire.soap import encode
from peers.sap_system import SERVICE, SAPSystem
from peers.web_server import Reply, Seen, WebServer

ORDERS = "BAPI_ALM_ORDER_MAINTAIN"
ORDER = {"key": "rec-1", "type": "PM02", "text": "Blow soot", "equipment": "10000045"}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


def connector(system: SAPSystem, context: Context, **changes: Any) -> AsyncSAPConnector:
    config = {**system.config, "documents": "functions", "soap": {"path": SERVICE}, **changes}
    made = AsyncSAPConnector(config, context=context)
    made._retry = RetryPolicy(max_attempts=1)
    return made


@pytest.mark.parametrize("strict", [False, True], ids=["a new session", "refused by the ICM"])
@pytest.mark.usefixtures("no_leaks")
async def test_a_session_that_ends_before_its_commit_is_said_and_may_be_tried_again(
    context: Context,
    strict: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    """SAP opens another one without a word; a commit in it succeeds, and commits nothing."""
    with SAPSystem(losing=["BAPI_ALM_ORDER_MAINTAIN", "Z_BOILER_BOOK"], strict=strict) as system:
        sap = connector(system, context)
        with pytest.raises(Busy, match="ended the session meanwhile: nothing was committed"):
            await sap.create_work_order(ORDER)
        assert system.rows("SELECT * FROM AUFK") == []
        with pytest.raises(Busy, match="nothing was committed"):
            await sap.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="B1")
        await sap.close()


FUNCTIONS = "urn:sap-com:document:sap:rfc:functions"
FAULT = (
    "<e:Fault xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><faultcode>e:Server</faultcode>"
    "<faultstring>Internal Server Error</faultstring></e:Fault>"
)


@pytest.mark.usefixtures("no_leaks")
async def test_a_commit_that_ends_in_a_fault_may_have_been_done_and_is_looked_for(
    context: Context,
) -> None:
    """A short dump behind COMMIT WORK looks as one before it."""

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply()
        called = re.search(rb"<\w+:(\w+)[ />]", seen.body.partition(b"Body>")[2])
        assert called is not None
        name = called[1].decode()
        kind = {"Content-Type": "text/xml", "Set-Cookie": "sap-contextid=ONE"}
        if name == "BAPI_TRANSACTION_COMMIT":
            return Reply(500, encode(ET.fromstring(FAULT)), kind)
        made = "<ET_NUMBERS><item><AUFNR_NEW>4711</AUFNR_NEW></item></ET_NUMBERS>"
        inside = made if name == ORDERS else ""
        said = f"<u:{name}.Response xmlns:u='{FUNCTIONS}'>{inside}</u:{name}.Response>"
        return Reply(200, encode(ET.fromstring(said)), kind)

    with WebServer(answer) as server:
        config = {
            "ashost": server.url, "documents": "functions",
            "soap": {"path": SERVICE.strip("/"), "wsdl": ""},
        }  # fmt: skip
        sap = AsyncSAPConnector(config, context=context)
        sap._retry = RetryPolicy(max_attempts=1)
        with pytest.raises(Busy, match=r"Internal Server Error.*may have been done"):
            await sap.create_work_order(ORDER)
        with pytest.raises(RequestFailed, match="Internal Server Error") as caught:
            await sap.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="B1")
        assert caught.value.maybe_done
        await sap.close()


@pytest.mark.usefixtures("no_leaks")
async def test_what_sap_refuses_is_said_though_it_cannot_be_undone_any_more(
    context: Context,
) -> None:
    """The session has gone, and what was not committed with it."""
    with SAPSystem(losing=["Z_BOILER_BOOK"], strict=True) as system:
        sap = connector(system, context)
        with pytest.raises(Exception, match="Boiler is missing"):
            await sap.call_function("Z_BOILER_BOOK", commit=True, IV_BOILER_ID="")
        await sap.close()
