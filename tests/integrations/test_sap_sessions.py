"""A session of SAP that ends between a BAPI and its commit: what is said to be there is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import Busy
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.sap_system import SERVICE, SAPSystem

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
