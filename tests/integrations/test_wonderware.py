"""What is special to the historian: retrieval modes, qualities, streams, clients of others."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import ConfigError, DataError, RequestFailed
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.model import Quality, Tag
from gl002.transport.narrow import PAGE
from gl002.transport.wonderware.settings import WonderwareInput
from gl002.wire import opc_classic, wonderware
from integrations.wonderware_site import FLOW, SECOND, START, at, context, history, only, peer, ww
from peers.wonderware import PASSWORD, USER, Wonderware

fixtures = peer, context, ww, only


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


# ---- retrieval --------------------------------------------------------------------------------


async def test_the_value_before_the_start_is_not_taken_for_one_of_the_start(
    ww: AsyncWonderwareConnector,
) -> None:
    for mode in ("Full", "Delta"):
        samples = await history(ww, [FLOW], at(0.5), at(3), mode)
        assert [(s.time, s.value) for s in samples] == [(at(1), 1.0), (at(2), 2.0)], mode
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
    expected = [(at(second), value) for second, value in MODES[mode]]
    by_count = await history(ww, ["Boiler1.Unrest"], at(0.5), at(8.5), mode, cycles=4)
    assert [(s.time, s.value) for s in by_count] == expected
    by_length = await history(ww, ["Boiler1.Unrest"], at(0.5), at(8.5), mode, resolution=2000)
    assert [(s.time, s.value) for s in by_length] == expected


async def test_times_without_a_zone_are_local_and_names_have_no_case(
    ww: AsyncWonderwareConnector,
) -> None:
    local = datetime.fromtimestamp(START / SECOND)  # noqa: DTZ006 (local, on purpose)
    (first, *_rest) = await history(ww, [FLOW.upper()], local.isoformat(), at(2))
    assert (first.tag, first.time, first.value) == (FLOW.upper(), at(0), 0.0)


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
        assert [(s.time, s.value) for s in await history(ww, [FLOW], at(0), at(1))] == [
            (at(0), 1.5)
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
    samples = await history(ww, ["Boiler1.Fast"], at(0), at(count))
    assert [s.value for s in samples] == [float(n) for n in range(count)]
    assert samples[1].time == at(0) + 1_000_000, "shown without the tenths"


async def test_states_and_summaries_give_their_statistics(ww: AsyncWonderwareConnector) -> None:
    rows = await ww.states(["Boiler1.State"], at(0), at(10), cycles=1, calculation="Percent")
    assert {row["vValue"]: row["StateTime"] for row in rows} == {"run": 40.0, "stop": 60.0}
    (row,) = await ww.summaries([FLOW], at(0), at(10), cycles=1)
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
        arguments: dict[str, Any] = {"tags": [FLOW], "start": at(0), "end": at(1), **keys}
        with pytest.raises(DataError, match=word):
            await history(ww, **arguments)


async def test_a_time_domain_extension_in_an_or_is_refused_by_the_historian(
    ww: AsyncWonderwareConnector,
) -> None:
    with pytest.raises(RequestFailed, match="7320"):
        await ww.query("SELECT * FROM History WHERE TagName = 'x' AND "
                       "(wwCycleCount = 1 OR wwCycleCount = 2)")  # fmt: skip


# ---- qualities and types ----------------------------------------------------------------------


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


# ---- streams ----------------------------------------------------------------------------------


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


# ---- other people's clients -------------------------------------------------------------------


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
