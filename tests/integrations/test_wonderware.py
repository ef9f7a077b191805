"""What is special to the historian: retrieval modes, qualities, manual tags, log-in, TLS."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    ConfigError,
    ConnectFailed,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    TagNotFound,
)
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.integrations.historians.wonderware import WonderwareConfig
from gl002.model import Quality, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.narrow import PAGE
from gl002.transport.tds.statements import check_reads
from gl002.transport.wonderware.settings import WonderwareInput, WonderwareOutput
from gl002.wire import opc_classic, wonderware
from peers.wonderware import DISCRETE, PASSWORD, READER, STRING, USER, Wonderware

SECOND = 1_000_000
START = 1_735_689_600 * SECOND  # 2025-01-01T00:00:00Z in microseconds
FLOW = "Boiler1.SteamFlow"
UNREST = (5.0, 1.0, 8.0, 2.0, 9.0, 3.0, 7.0, 0.0, 6.0, 4.0)


def _each(*values: float) -> list[tuple[float, float]]:
    """A value for the beginning of each cycle."""
    return list(zip((0.5, 2.5, 4.5, 6.5), values, strict=True))


MODES = {
    "Cyclic": _each(5.0, 8.0, 9.0, 7.0),
    "Interpolated": _each(3.0, 5.0, 6.0, 3.5),
    "BestFit": [(0.5, 5.0), (1, 1.0), (2, 8.0), (2.5, 8.0), (3, 2.0), (4, 9.0), (4.5, 9.0),
                (5, 3.0), (6, 7.0), (6.5, 7.0), (7, 0.0), (8, 6.0)],
    "Average": _each(3.75, 5.25, 5.5, 3.25),
    "Minimum": [(1, 1.0), (3, 2.0), (5, 3.0), (7, 0.0)],
    "Maximum": [(2, 8.0), (4, 9.0), (4.5, 9.0), (6.5, 7.0)],
    "Integral": _each(7.5, 10.5, 11.0, 6.5),
    "Slope": _each(1.5, 0.5, -1.0, -0.5),
    "Counter": _each(7.0, 7.0, 4.0, 6.0),
}  # fmt: skip
"""What each makes of `UNREST`, a value a second, from 0.5 to 8.5 s in cycles of 2 s; by hand."""


@pytest.fixture(scope="module")
def peer() -> Iterator[Wonderware]:
    with Wonderware() as server:
        server.create(FLOW, unit="lb/hr", description="steam to the header", acquisition=1)
        server.put(FLOW, (START - 5 * SECOND, -1.0))
        server.put(FLOW, *[(START + n * SECOND, float(n)) for n in range(11)])
        server.create("Boiler1.Unrest")
        server.put("Boiler1.Unrest", *[(START + n * SECOND, v) for n, v in enumerate(UNREST)])
        server.create("Boiler1.State", STRING)
        server.put("Boiler1.State", (START, "run"), (START + 4 * SECOND, "stop"))
        server.create("Boiler1.Burner", DISCRETE)
        server.put("Boiler1.Burner", (START, 1))
        server.create("Manual.Level")
        server.create("Manual.Remark", STRING, longest=16)
        yield server


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def ww(peer: Wonderware, context: Context) -> Any:
    connector = AsyncWonderwareConnector(peer.config, context=context)
    yield connector
    await connector.close()


async def _history(ww: AsyncWonderwareConnector, *args: Any, **keys: Any) -> list[Sample]:
    return [s async for batch in ww.history(*args, **keys) for s in batch]


def _at(seconds: float) -> int:
    return (START + int(seconds * SECOND)) * 1000


# ---- retrieval -------------------------------------------------------------------------------


async def test_the_value_before_the_start_is_not_taken_for_one_of_the_start(
    ww: AsyncWonderwareConnector,
) -> None:
    for mode in ("Full", "Delta"):
        samples = await _history(ww, [FLOW], _at(0.5), _at(3), mode)
        assert [(s.time, s.value) for s in samples] == [(_at(1), 1.0), (_at(2), 2.0)], mode
    inclusive = await ww.query(
        "SELECT DateTime, Value, Quality FROM History WHERE TagName = %s AND DateTime >= %s "
        "AND DateTime < %s AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC'",
        [FLOW, datetime(2025, 1, 1, 0, 0, 0, 500_000), datetime(2025, 1, 1, 0, 0, 2)],  # noqa: DTZ001 (as the historian's)
    )
    assert inclusive[0]["Quality"] == 133, "the historian does give it to those who ask so"


@pytest.mark.parametrize("mode", MODES)
async def test_every_computed_mode_gives_its_cycles(
    ww: AsyncWonderwareConnector, mode: Any
) -> None:
    expected = [(_at(second), value) for second, value in MODES[mode]]
    by_count = await _history(ww, ["Boiler1.Unrest"], _at(0.5), _at(8.5), mode, cycles=4)
    assert [(s.time, s.value) for s in by_count] == expected
    by_length = await _history(ww, ["Boiler1.Unrest"], _at(0.5), _at(8.5), mode, resolution=2000)
    assert [(s.time, s.value) for s in by_length] == expected


async def test_times_without_a_zone_are_local_and_names_have_no_case(
    ww: AsyncWonderwareConnector,
) -> None:
    local = datetime.fromtimestamp(START / SECOND)  # noqa: DTZ006 (local, on purpose)
    (first, *_rest) = await _history(ww, [FLOW.upper()], local.isoformat(), _at(2))
    assert (first.tag, first.time, first.value) == (FLOW.upper(), _at(0), 0.0)


async def test_utc_is_asked_for_as_the_language_of_the_historian_calls_it(
    context: Context,
) -> None:
    with Wonderware() as server:
        server.create(FLOW)
        server.put(FLOW, (START, 1.5))
        base = server.open()
        base.base.execute(
            "UPDATE TimeZone SET TimeZone = 'Temps universel d''ici' WHERE TimeZoneID = 1"
        )
        base.close()
        ww = AsyncWonderwareConnector(server.config, context=context)
        assert [(s.time, s.value) for s in await _history(ww, [FLOW], _at(0), _at(1))] == [
            (_at(0), 1.5)
        ]
        with pytest.raises(RequestFailed, match="Invalid wwTimeZone"):
            await ww.query("SELECT * FROM Live WHERE TagName = %s AND wwTimeZone = 'UTC'", [FLOW])
        await ww.close()


async def test_a_row_between_two_microseconds_does_not_end_the_history(
    peer: Wonderware, ww: AsyncWonderwareConnector
) -> None:
    """The historian keeps tenths of microseconds, which its answers do not show.

    What was the last row of a full page comes again as the first of the next one, which then has
    a new row less than it has rows.
    """
    count = 2 * PAGE + 10
    peer.create("Boiler1.Fast")
    peer.put("Boiler1.Fast", *[(START + n * 1000 + 0.7, float(n)) for n in range(count)])
    samples = await _history(ww, ["Boiler1.Fast"], _at(0), _at(count))
    assert [s.value for s in samples] == [float(n) for n in range(count)]
    assert samples[1].time == _at(0) + 1_000_000, "shown without the tenths"


async def test_states_and_summaries_give_their_statistics(ww: AsyncWonderwareConnector) -> None:
    rows = await ww.states(["Boiler1.State"], _at(0), _at(10), cycles=1, calculation="Percent")
    assert {row["vValue"]: row["StateTime"] for row in rows} == {"run": 40.0, "stop": 60.0}
    (row,) = await ww.summaries([FLOW], _at(0), _at(10), cycles=1)
    assert (row["Minimum"], row["Maximum"], row["Average"]) == (0.0, 9.0, 4.5)
    assert (row["Integral"], row["ValueCount"], row["OPCQuality"]) == (45.0, 10, 192)


async def test_what_makes_no_sense_is_refused_before_it_is_asked(
    ww: AsyncWonderwareConnector,
) -> None:
    for keys, word in (
        ({"mode": "Cyclical"}, "Cyclic"), ({"mode": "ValueState"}, "states()"),
        ({"cycles": 1, "resolution": 1}, "either"), ({"mode": "Full", "cycles": 5}, "no cycles"),
        ({"cycles": 0}, "cuts nothing"), ({"start": "yesterday"}, "no time"),
    ):  # fmt: skip
        arguments: dict[str, Any] = {"tags": [FLOW], "start": _at(0), "end": _at(1), **keys}
        with pytest.raises(DataError, match=word):
            await _history(ww, **arguments)


async def test_a_time_domain_extension_in_an_or_is_refused_by_the_historian(
    ww: AsyncWonderwareConnector,
) -> None:
    with pytest.raises(RequestFailed, match="7320"):
        await ww.query("SELECT * FROM History WHERE TagName = 'x' AND "
                       "(wwCycleCount = 1 OR wwCycleCount = 2)")  # fmt: skip


# ---- queries ---------------------------------------------------------------------------------


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


# ---- qualities and types ---------------------------------------------------------------------


def test_qualities_of_opc_classic_survive_the_way_there_and_back() -> None:
    for ua in (Quality.GOOD, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE, Quality.BAD_NO_COMMUNICATION,
               Quality.BAD_OUT_OF_SERVICE, Quality.UNCERTAIN_LAST_USABLE_VALUE):  # fmt: skip
        assert opc_classic.to_ua(opc_classic.from_ua(int(ua))) == ua
    assert opc_classic.to_ua(0xC3) == Quality.GOOD, "a limit is no reason for doubt"
    assert opc_classic.to_ua(0x7C) == Quality.UNCERTAIN, "unknown, but of a known kind"
    assert opc_classic.from_ua(Quality.BAD_TIMEOUT) == opc_classic.BAD


@pytest.mark.parametrize(
    ("row", "quality"),
    [
        ({"OPCQuality": 192, "QualityDetail": 192, "Quality": 0}, Quality.GOOD),
        ({"OPCQuality": 0, "QualityDetail": 65536, "Quality": 1}, Quality.BAD_NO_DATA),
        ({"OPCQuality": 0, "QualityDetail": 24, "Quality": 1}, Quality.BAD_NO_COMMUNICATION),
        ({"OPCQuality": 64, "QualityDetail": 64, "Quality": 16}, Quality.UNCERTAIN),
        ({"OPCQuality": None, "QualityDetail": None, "Quality": 1}, Quality.BAD),
        ({"OPCQuality": None, "QualityDetail": None, "Quality": 16}, Quality.UNCERTAIN),
    ],
)
def test_the_quality_of_a_row(row: dict[str, Any], quality: Quality) -> None:
    assert wonderware.quality(row) == quality


async def test_values_have_the_type_of_their_tag(ww: AsyncWonderwareConnector) -> None:
    flow, state, burner = await ww.read([FLOW, "Boiler1.State", "Boiler1.Burner"])
    assert (flow.value, state.value, burner.value) == (10.0, "stop", True)
    found = {f.address: f async for f in ww.browse("Boiler1")}
    assert (found[FLOW].unit, found[FLOW].description) == ("lb/hr", "steam to the header")
    assert not found[FLOW].writable, "its values come from an I/O server"
    assert [f.address async for f in ww.browse("*State")] == ["Boiler1.State"]
    assert [f.address async for f in ww.browse("%")] == [], "no wildcard of LIKE"


# ---- writing ---------------------------------------------------------------------------------


async def test_a_tag_of_an_instrument_is_never_written(
    ww: AsyncWonderwareConnector, peer: Wonderware
) -> None:
    before = peer.newest(FLOW)
    with pytest.raises(DataError, match="acquired by the historian"):
        await ww.write(FLOW, 1.0)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    with pytest.raises(PartialWrite, match="1 samples") as caught:
        await sink.write([Sample(FLOW, 1.0, now_ns()), Sample("Manual.Level", 2.0, _at(1))])
    assert "AcquisitionType 2" in caught.value.rejected[0]
    assert peer.newest(FLOW) == before
    (stored,) = await _history(ww, ["Manual.Level"], _at(1), _at(2))
    assert stored.value == 2.0


async def test_what_a_manual_tag_cannot_hold_is_refused(ww: AsyncWonderwareConnector) -> None:
    with pytest.raises(DataError, match="no number"):
        await ww.write("Manual.Level", "high")
    with pytest.raises(TagNotFound):
        await ww.write("Manual.Absent", 1.0)
    with pytest.raises(DataError, match="8152"):
        await ww.write("Manual.Remark", "more than sixteen characters")
    await ww.write("Manual.Remark", "läuft ✓")
    (sample,) = await ww.read(["Manual.Remark"])
    assert sample.value == "läuft ✓"


async def test_a_value_put_right_is_the_latest_version_and_the_original_is_kept(
    ww: AsyncWonderwareConnector,
) -> None:
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    await sink.write([Sample("Manual.Level", 1.0, _at(100))])
    await sink.write([Sample("Manual.Level", 1.5, _at(100))])
    asked = (["Manual.Level"], _at(99), _at(101))
    assert [s.value for s in await _history(ww, *asked)] == [1.5]
    assert [s.value for s in await _history(ww, *asked, version="Original")] == [1.0]


async def test_a_sample_of_the_future_is_named_and_the_others_stored(
    ww: AsyncWonderwareConnector,
) -> None:
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    batch = [Sample("Manual.Level", float(n), _at(200 + n)) for n in range(9)]
    batch.insert(4, Sample("Manual.Level", 0.0, now_ns() + 3600 * 10**9))
    with pytest.raises(PartialWrite) as caught:
        await sink.write(batch)
    assert set(caught.value.rejected) == {4}
    assert "future" in caught.value.rejected[4]
    assert len(await _history(ww, ["Manual.Level"], _at(200), _at(300))) == 9


TROUBLES = [
    (7303, 'Cannot initialize the data source object of OLE DB provider "INSQL".', 16, True),
    (7302, 'Cannot create an instance of OLE DB provider "INSQL".', 16, True),
    (701, "There is insufficient system memory in resource pool 'default'.", 17, True),
    (9002, "The transaction log for database 'Runtime' is full.", 17, True),
    (6005, "SHUTDOWN is in progress.", 14, True),
    (596, "Cannot continue the execution because the session is in the kill state.", 21, True),
    (208, "Invalid object name 'INSQL.Runtime.dbo.History'.", 16, False),
    (7202, "Could not find server 'INSQL' in sys.servers.", 11, False),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: str(trouble[0]))
async def test_trouble_of_the_server_refuses_no_sample(
    peer: Wonderware, context: Context, trouble: tuple[int, str, int, bool]
) -> None:
    """What is not about the values keeps the whole batch in the store: nothing is a dead letter."""
    number, text, severity, comes_again = trouble
    ww = AsyncWonderwareConnector(peer.config, context=context)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    batch = [Sample("Manual.Level", float(n), _at(400 + number * 10 + n)) for n in range(3)]
    await ww.read([FLOW])
    peer.fail(number, text, severity)
    try:
        with pytest.raises(GL002Error, match=str(number)) as caught:
            await sink.write(batch)
    finally:
        peer.works()
    assert not isinstance(caught.value, PartialWrite)
    assert caught.value.retryable == comes_again
    await sink.write(batch)
    since = _at(400 + number * 10)
    assert len(await _history(ww, ["Manual.Level"], since, since + 10**10)) == 3
    await ww.close()


async def test_a_right_that_is_missing_refuses_no_sample(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "username": READER}, context=context)
    sink = ww.sink(WonderwareOutput.parse({"destination": "wonderware"}))
    with pytest.raises(RequestFailed, match=r"229.*GRANT") as caught:
        await sink.write([Sample("Manual.Level", 1.0, _at(390))])
    assert not isinstance(caught.value, PartialWrite)
    await ww.close()


async def test_a_login_that_may_only_read_is_told_what_it_lacks(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "username": READER}, context=context)
    assert (await ww.read([FLOW]))[0].value == 10.0
    with pytest.raises(RequestFailed, match=r"229.*GRANT"):
        await ww.write("Manual.Level", 1.0)
    await ww.close()


# ---- streams ---------------------------------------------------------------------------------


async def test_a_live_input_gives_what_tags_are(ww: AsyncWonderwareConnector) -> None:
    spec = WonderwareInput.parse({
        "source": "wonderware", "read": "live", "tags": [FLOW, "Absent"], "prefix": "ww.",
        "interval": 0.05,
    })  # fmt: skip
    source = ww.source(spec)
    async with source.open() as batches:
        batch = await anext(batches)
    assert [(s.tag, s.value) for s in batch] == [(f"ww.{FLOW}", 10.0), ("ww.Absent", None)]
    tag: Tag = ww.context.tags[f"ww.{FLOW}"]
    assert (tag.unit, tag.address) == ("lb/hr", FLOW)
    with pytest.raises(ConfigError, match="without"):
        WonderwareInput.parse({"source": "wonderware", "read": "live", "tags": ["Boiler*"]})


async def test_what_was_stored_during_an_outage_of_the_gateway_comes_first(
    ww: AsyncWonderwareConnector, peer: Wonderware
) -> None:
    peer.create("Outage.Flow")
    peer.put("Outage.Flow", (START, 1.0))
    spec = WonderwareInput.parse({
        "source": "wonderware", "tags": ["Outage.*"], "interval": 0.05, "lookback": 1,
    })  # fmt: skip
    source = ww.source(spec)
    async with source.open() as batches:
        assert [s.value for s in await anext(batches)] == [1.0]
    peer.put("Outage.Flow", *[(START + n * SECOND, 1.0 + n) for n in range(1, 4)])
    again = ww.source(spec)
    again.resume(source.position())
    async with asyncio.timeout(60), again.open() as batches:
        seen = [s.value for s in await anext(batches)]
    assert seen[-3:] == [2.0, 3.0, 4.0]


# ---- logging in ------------------------------------------------------------------------------


async def test_a_windows_account_logs_in(peer: Wonderware, context: Context) -> None:
    config = {"server": peer.config["server"], "integrated_security": True,
              "username": f"PLANT\\{USER}", "password": PASSWORD}  # fmt: skip
    ww = AsyncWonderwareConnector(config, context=context)
    assert (await ww.read([FLOW]))[0].value == 10.0
    await ww.close()
    wrong = AsyncWonderwareConnector({**config, "password": "wrong"}, context=context)
    with pytest.raises(AuthFailed, match="18452"):
        await wrong.connect()
    await wrong.close()


async def test_an_unknown_database_is_named(peer: Wonderware, context: Context) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "database": "Holding"}, context=context)
    with pytest.raises(AuthFailed, match=r"4060.*is 'database' right"):
        await ww.connect()
    await ww.close()


def test_without_a_user_name_it_is_integrated_security() -> None:
    assert WonderwareConfig.parse({"server": "hist"}).integrated
    assert not WonderwareConfig.parse(
        {"server": "hist", "username": "u", "password": "p"}
    ).integrated
    assert str(WonderwareConfig.parse({"server": "hist"}).endpoint) == "hist:1433"


# ---- encryption ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def only() -> Iterator[Wonderware]:
    with Wonderware("only") as server:
        server.create(FLOW)
        server.put(FLOW, (START, 1.0))
        yield server


async def test_over_tls_everything_is_encrypted(only: Wonderware, context: Context) -> None:
    config = {**only.config, "server": f"localhost:{only.port}", "tls": {"ca": str(only.ca)}}
    ww = AsyncWonderwareConnector(config, context=context)
    assert "TLS" in (await ww.check()).detail
    assert (await ww.read([FLOW]))[0].value == 1.0
    await ww.close()


async def test_a_certificate_that_cannot_be_checked_is_refused(
    only: Wonderware, context: Context
) -> None:
    here = f"localhost:{only.port}"
    for changes, words in (
        ({"server": here, "tls": {}}, "not trusted"),
        ({"server": here, "tls": {"ca": str(only.ca), "server_name": "other"}}, "not trusted"),
        ({"tls": False}, "tls"),
    ):
        ww = AsyncWonderwareConnector({**only.config, **changes}, context=context)
        with pytest.raises(AuthFailed, match=words):
            await ww.connect()
        await ww.close()


async def test_a_server_that_does_not_encrypt_gets_no_password(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "tls": {}}, context=context)
    with pytest.raises(AuthFailed, match="does not encrypt"):
        await ww.connect()
    await ww.close()


async def test_what_speaks_no_tds_is_an_error_that_comes_again(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def lie() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        lying = asyncio.create_task(asyncio.to_thread(lie))
        ww = AsyncWonderwareConnector(
            {"server": f"127.0.0.1:{port}", "username": "u", "password": "p"}, context=context
        )
        with pytest.raises(ConnectFailed) as caught:
            await ww.connect()
        assert isinstance(caught.value, GL002Error)
        await lying
        await ww.close()


# ---- other people's clients ------------------------------------------------------------------

_QUESTION = (
    "SELECT TagName, Value, DateTime FROM History WHERE TagName LIKE 'Boiler1.S%' "
    "AND DateTime >= '2025-01-01' AND DateTime <= '2025-01-01 00:00:10' "
    "AND wwRetrievalMode = 'Cyclic' AND wwCycleCount = 11 AND wwTimeZone = 'UTC'"
)


async def test_freetds_reads_the_same_rows_from_our_server(
    ww: AsyncWonderwareConnector, peer: Wonderware
) -> None:
    import pymssql

    def ask() -> list[Any]:
        with pymssql.connect(
            server="127.0.0.1", port=str(peer.port), user=USER, password=PASSWORD,
            database="Runtime",
        ) as other, other.cursor(as_dict=True) as cursor:  # fmt: skip
            cursor.execute(_QUESTION)
            return list(cursor.fetchall())

    theirs = await asyncio.to_thread(ask)
    ours = await ww.query(_QUESTION)
    assert len(theirs) == 22
    assert [(r["TagName"], r["Value"], r["DateTime"]) for r in theirs] == [
        (r["TagName"], r["Value"], r["DateTime"]) for r in ours
    ]


def test_tsql_talks_to_our_server_in_clear_and_over_tls(
    peer: Wonderware, only: Wonderware, tmp_path: Path
) -> None:
    program = shutil.which("tsql")
    assert program is not None, "make peers (apt-get install freetds-bin)"
    file = tmp_path / "freetds.conf"
    file.write_text(
        "[global]\n\ttds version = 7.4\n"
        f"[clear]\n\thost = 127.0.0.1\n\tport = {peer.port}\n"
        f"[tls]\n\thost = localhost\n\tport = {only.port}\n\tencryption = require\n"
        f"\tca file = {only.ca}\n\tcheck certificate hostname = yes\n"
    )
    for server in ("clear", "tls"):
        done = subprocess.run(
            [program, "-S", server, "-U", USER, "-P", PASSWORD, "-D", "Runtime"],
            env={"FREETDSCONF": str(file), "PATH": "/usr/bin"},
            input=f"SELECT TagName, Description FROM Tag WHERE TagName = '{FLOW}'\ngo\nexit\n",
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert FLOW in done.stdout, done.stdout + done.stderr
        assert "(1 row affected)" in done.stdout


# ---- answers that are too much -----------------------------------------------------------------


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
