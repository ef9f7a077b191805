"""Queries to the historian: they only read, and no more than is allowed."""

from __future__ import annotations

import pytest

from gl002.context import Context
from gl002.errors import RequestFailed
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.transport.tds.statements import check_reads
from integrations.wonderware_site import FLOW, context, peer, ww
from peers.wonderware import Wonderware

fixtures = peer, context, ww


# ---- queries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM Tag", "SELECT 1; DROP TABLE Tag", "SELECT * INTO x FROM Tag", "EXEC sp_who",
        "SELECT * FROM OPENQUERY(INSQL, 'SELECT 1')", "WITH a AS (SELECT 1 b) UPDATE Tag SET x = 1",
        "", "-- SELECT 1",
    ],
)  # fmt: skip
def test_a_query_only_reads(sql: str) -> None:
    with pytest.raises(RequestFailed):
        check_reads(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'DROP TABLE Tag; --' AS [delete], [exec] FROM Tag;",
        "/* DELETE */ WITH a AS (SELECT TagName FROM Tag) SELECT TagName FROM a -- update",
    ],
)
def test_words_in_texts_and_names_are_no_statements(sql: str) -> None:
    check_reads(sql)


async def test_a_parameter_is_a_value_and_never_a_piece_of_the_statement(
    ww: AsyncWonderwareConnector,
) -> None:
    rows = await ww.query("SELECT TagName FROM Tag WHERE TagName = %s", ["x' OR 'a' = 'a"])
    assert rows == []
    rows = await ww.query("SELECT TagName FROM Tag WHERE TagName = %(t)s", {"t": FLOW})
    assert rows == [{"TagName": FLOW}]


async def test_too_many_rows_and_columns_of_one_name_are_refused_and_the_next_query_works(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "max_rows": 3}, context=context)
    with pytest.raises(RequestFailed, match="more than 3 rows"):
        await ww.query("SELECT TagName FROM Tag")
    with pytest.raises(RequestFailed, match="two columns are called 'TagName'"):
        await ww.query("SELECT TagName, TagName FROM Tag")
    with pytest.raises(RequestFailed, match=r"208.*is 'database' right"):
        await ww.query("SELECT * FROM Nowhere")
    assert len(await ww.query("SELECT TOP 2 TagName FROM Tag")) == 2
    await ww.close()


# ---- answers that are too much ----------------------------------------------------------------


async def test_an_answer_that_does_not_end_is_cut_off(
    peer: Wonderware, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gl002.transport.tds.connection._LARGEST_ANSWER", 20_000)
    ww = AsyncWonderwareConnector(peer.config, context=context)
    with pytest.raises(RequestFailed, match="ask for less"):
        await ww.query("SELECT * FROM History WHERE TagName LIKE 'Boiler%' AND "
                       "DateTime > '2025-01-01' AND wwRetrievalMode = 'Cyclic' "
                       "AND wwCycleCount = 5000")  # fmt: skip
    assert (await ww.read([FLOW]))[0].value == 10.0, "the next one has a line of its own"
    await ww.close()


async def test_a_hostile_name_of_a_column_is_only_a_name(ww: AsyncWonderwareConnector) -> None:
    (row,) = await ww.query(
        "SELECT TOP 1 TagName AS [__class__; DROP TABLE Tag --], 1 AS [{x}%s] FROM Tag"
    )
    assert list(row) == ["__class__; DROP TABLE Tag --", "{x}%s"]
