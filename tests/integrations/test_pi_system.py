"""PI: what the archive has comes whole, what is written arrives once, whatever the server says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import State, first_of
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConfigError,
    ConnectFailed,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
)
from gl002.integrations.historians import AsyncPIConnector, PIConnector
from gl002.model import Batch, Quality, Sample, Tag, is_bad, now_ns, to_ns
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit, read
from gl002.security.network import Network
from gl002.sink import Sink
from gl002.source import Source
from gl002.transport.pi_web_api import browsing
from gl002.wire import pi_web_id
from gl002.wire.pi_values import GOOD_EDITED
from peers.pi import times
from peers.pi_web_api import PASSWORD, SERVER, TOKEN, USER, PiWebApi, assets
from peers.web_server import Reply, Seen, WebServer

ONCE = RetryPolicy(max_attempts=1)
SECOND = 1_000_000_000
DAY = datetime(2025, 1, 1, tzinfo=UTC)
START = times.ticks("2025-01-01T00:00:00Z")
LIMIT = 1000
STEAM = "BA:BOILER1.STEAM_FLOW"
ATTRIBUTE = "Boilers\\Boiler1|Steam Flow"

Make = Callable[..., AsyncPIConnector]


@pytest.fixture(scope="module")
def server() -> Iterator[PiWebApi]:
    with PiWebApi(most=LIMIT) as running:
        running.create(STEAM, unit="lb/hr", descriptor="Steam flow to header")
        running.set(STEAM, 50000.0)
        running.create("TEXT", "String")
        running.set("TEXT", "läuft ✓")
        running.create("MODE", "Digital", digital_set="Modes")
        running.set("MODE", "Auto")
        running.create("COUNT", "Int32")
        running.create("SETPOINT")
        running.set("SETPOINT", 480.0)
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    server: PiWebApi, context: Context, no_leaks: None, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Make]:
    """Connectors that try once; whatever they do, no log at any level shows a password."""
    caplog.set_level(logging.DEBUG)
    made: list[AsyncPIConnector] = []

    def connector(settings: dict[str, Any] | None = None, **changes: Any) -> AsyncPIConnector:
        given = {**server.config, "page_size": LIMIT, **changes} if settings is None else settings
        made.append(AsyncPIConnector(given, context=context))
        made[-1]._retry = ONCE
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()
    assert PASSWORD not in caplog.text
    assert "canary" not in caplog.text


def new_point(
    server: PiWebApi, values: Sequence[tuple[int, Any]] = (), kind: str = "Float64"
) -> str:
    """A point of its own for a test."""
    name = f"TEST.{now_ns()}"
    server.create(name, kind)
    server.put(name, *values)
    return name


def sink_of(connector: AsyncPIConnector, **spec: Any) -> Sink:
    return connector.sink(connector.Output.parse({"destination": "pi_system", **spec}))


def source_of(connector: AsyncPIConnector, *tags: str, **spec: Any) -> Source:
    given = {"source": "pi_system", "tags": list(tags), "interval": 0.02, **spec}
    return connector.source(connector.Input.parse(given))


def current_point(server: PiWebApi, value: Any) -> str:
    """A point with a value of now."""
    name = new_point(server)
    server.set(name, value)
    return name


async def until(source: Source, holds: Callable[[Batch], object], *, within: float = 60) -> Batch:
    """What a source delivers until something holds of it; started again as the flow does."""
    seen: Batch = []
    async with asyncio.timeout(within):
        while True:
            with contextlib.suppress(ConnectFailed, RequestTimeout, Busy):
                async with source.open() as batches:
                    async for batch in batches:
                        seen += batch
                        if holds(seen):
                            return seen
            await asyncio.sleep(0.02)


# ---- current values -----------------------------------------------------------------------------


async def test_many_tags_are_one_request(server: PiWebApi, make: Make) -> None:
    connector = make()
    await connector.connect()
    before = server.requests("POST batch")
    values = await connector.read_tags([STEAM, "TEXT", "MODE", "ABSENT", ATTRIBUTE])
    assert values == [50000.0, "läuft ✓", "Auto", None, 50000.0]
    assert server.requests("POST batch") == before + 1


async def test_more_tags_than_a_batch_takes_are_several(server: PiWebApi, make: Make) -> None:
    connector = make(batch_size=3)
    await connector.connect()
    before = server.requests("POST batch")
    assert await connector.read_tags([STEAM, "TEXT"] * 4) == [50000.0, "läuft ✓"] * 4
    assert server.requests("POST batch") == before + 3


async def test_a_tag_that_is_not_there_is_named(make: Make) -> None:
    with pytest.raises(TagNotFound, match="ABSENT"):
        await make().read_tag("ABSENT")


async def test_states_of_the_system_set_are_bad_and_say_why(server: PiWebApi, make: Make) -> None:
    name = new_point(server)
    connector = make()
    for state, quality in [
        (246, Quality.BAD_NO_COMMUNICATION), (238, Quality.BAD_OUT_OF_SERVICE),
        (255, Quality.BAD), (210, Quality.BAD),
    ]:  # fmt: skip
        server.bad(name, state)
        (sample,) = await connector.read([name])
        assert (sample.value, sample.quality) == (None, quality)
        assert await connector.read_tag(name) is None


async def test_doubt_and_changes_by_others_are_seen(server: PiWebApi, make: Make) -> None:
    name = new_point(server)
    connector = make()
    server.put(name, (times.now(), 1.0), questionable=True)
    assert (await connector.read([name]))[0].quality == Quality.UNCERTAIN
    await connector.write_tag(name, 2.0, DAY)
    await connector.write_tag(name, 3.0, DAY)
    (sample,) = await connector.read_history(name, DAY, DAY)
    assert (sample.value, sample.quality) == (3.0, GOOD_EDITED)


@pytest.mark.parametrize(
    "address",
    [ATTRIBUTE, f"\\\\{assets.SERVER}\\{assets.DATABASE}\\{ATTRIBUTE}", f"\\\\{SERVER}\\{STEAM}"],
)
async def test_an_attribute_and_a_whole_path_name_the_same(address: str, make: Make) -> None:
    assert await make().read_tag(address) == 50000.0


async def test_the_attributes_of_an_element_are_read_together(make: Make) -> None:
    assert await make().read_attributes("Boilers\\Boiler1") == {
        "Steam Flow": 50000.0, "Manufacturer": "Cleaver & Söhne", "Rated Pressure": 150.0,
        "Load": 80.0,
    }  # fmt: skip
    with pytest.raises(TagNotFound):
        await make().read_attributes("Boilers\\Boiler7")


async def test_without_a_database_a_short_address_of_af_says_what_is_missing(make: Make) -> None:
    connector = make(database="")
    (sample,) = await connector.read([ATTRIBUTE])
    assert sample.quality == Quality.BAD_CONFIGURATION_ERROR
    with pytest.raises(ConfigError, match="database"):
        await connector.read_attributes("Boilers\\Boiler1")


async def test_a_data_server_that_is_not_there_is_refused_with_those_that_are(make: Make) -> None:
    with pytest.raises(ConfigError, match=SERVER):
        await make(data_server="OTHER").connect()


async def test_which_of_several_servers_is_meant_must_be_said(make: Make) -> None:
    two = json.dumps({"Items": [{"Name": "PI1"}, {"Name": "PI2", "IsConnected": True}]}).encode()
    with WebServer(lambda _: Reply(body=two)) as other:
        settings = {"server": other.url}
        with pytest.raises(ConfigError, match="say which: data_server: PI1, PI2"):
            await make(settings).connect()
        await make({**settings, "data_server": "pi2"}).connect()


async def test_without_a_data_archive_there_is_no_session_yet(make: Make) -> None:
    none = json.dumps({"Items": [{"Name": "PI1", "IsConnected": False}]}).encode()
    with WebServer(lambda _: Reply(body=none)) as other, pytest.raises(ConnectFailed) as caught:
        await make({"server": other.url}).connect()
    assert caught.value.retryable


def test_a_pi_address_of_the_command_line_is_an_https_address() -> None:
    settings = AsyncPIConnector.settings_of("pi://pi.plant.example:8443")
    assert AsyncPIConnector.Config.parse(settings).base_url == (
        "https://pi.plant.example:8443/piwebapi/"
    )


async def test_web_ids_made_by_the_server_are_asked_for_once(server: PiWebApi, make: Make) -> None:
    connector = make(web_ids="server")
    before = server.requests("GET points")
    for _ in range(3):
        assert await connector.read_tags([STEAM, "TEXT", "ABSENT"]) == [50000.0, "läuft ✓", None]
    assert server.requests("GET points") == before + 2 + 3  # what is not there may come


async def test_a_point_that_is_forgotten_while_another_is_looked_for_is_still_told(
    make: Make,
) -> None:
    """Another output has just heard that it is gone, or there are more than are remembered."""
    asked, forgotten = threading.Event(), threading.Event()

    def answer(seen: Seen) -> Reply:
        if b"%5CB" in seen.body:
            asked.set()
            assert forgotten.wait(60)
        found = {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}
        return Reply(207, json.dumps(dict.fromkeys(json.loads(seen.body), found)).encode())

    with liar(answer) as settings:
        streams = make(settings)._streams
        one, other = f"\\\\{SERVER}\\A", f"\\\\{SERVER}\\B"
        await streams.about([one])
        looking = asyncio.create_task(streams.about([one, other]))
        try:
            await asyncio.to_thread(asked.wait, 60)
            streams.forget(one)
        finally:
            forgotten.set()
        found = await looking
    assert {path: about.type for path, about in found.items()} == {one: "Float64", other: "Float64"}


async def test_a_point_that_was_made_anew_is_found_again(server: PiWebApi, make: Make) -> None:
    connector, name = make(web_ids="server"), current_point(server, 1.0)
    assert await connector.read_tag(name) == 1.0
    server.delete(name)
    server.create(name)
    server.set(name, 2.0)
    with pytest.raises(TagNotFound):
        await connector.read_tag(name)
    assert await connector.read_tag(name) == 2.0


@pytest.mark.parametrize(
    "name", ["../../system", "a?path=x&b", "a#b", "%2e%2e/system", "", "x" * 3000, "*", "a\nb", "'"]
)
async def test_a_hostile_name_is_only_a_name(name: str, server: PiWebApi, make: Make) -> None:
    before = server.requests("GET system")
    (sample,) = await make().read([name])
    assert is_bad(sample.quality)
    assert server.requests("GET system") == before


@pytest.mark.parametrize("web_ids", ["client", "server"])
async def test_points_and_assets_are_browsed(web_ids: str, make: Make) -> None:
    connector = make(web_ids=web_ids)
    found = {f.address: f async for f in connector.browse("BA:*")}
    assert found[STEAM].unit == "lb/hr"
    assert found[STEAM].description == "Steam flow to header"
    below = [f async for f in connector.browse("\\", depth=3)]
    assert [f.path for f in below] == [
        "Boilers", "Boilers/Boiler1", "Boilers/Boiler1/Steam Flow",
        "Boilers/Boiler1/Manufacturer", "Boilers/Boiler1/Rated Pressure", "Boilers/Boiler1/Load",
    ]  # fmt: skip
    assert [f.writable for f in below] == [False, False, True, False, False, False]
    assert await connector.read_tag(below[2].address) == 50000.0


def create_many(server: PiWebApi, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}{number:04d}" for number in range(count)]
    base = server.open()
    base.begin()
    for name in names:
        base.create(name)
    base.commit()
    base.close()
    return names


async def test_more_points_than_a_page_are_all_found(server: PiWebApi, make: Make) -> None:
    names = create_many(server, "MANY.", 2003)
    found = await first_of(make().browse("MANY."), 5000)
    assert [f.name for f in found] == names


async def test_a_browse_that_finds_too_much_says_that_there_is_more(
    server: PiWebApi, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_PAGE", 2)
    monkeypatch.setattr(browsing, "_MOST_FOUND", 4)
    create_many(server, "FOUR.", 4)
    assert len([f async for f in make().browse("FOUR.")]) == 4
    names = create_many(server, "FIVE.", 5)
    with pytest.raises(
        RequestFailed, match=r"browse FIVE\.\*: more than 4; .* 'FIVE\.0003'"
    ) as caught:
        [f async for f in make().browse("FIVE.")]
    assert "narrower" in caught.value.hint
    browsed = make().browse("FIVE.")
    assert [(await anext(browsed)).name for _ in range(4)] == names[:4], "what was found has come"
    with pytest.raises(RequestFailed):
        await anext(browsed)
    monkeypatch.setattr(browsing, "_MOST_FOUND", 2)
    with pytest.raises(RequestFailed, match="more than 2; "):  # attributes of an element
        [f async for f in make().browse("\\", depth=3)]


# ---- the past -----------------------------------------------------------------------------------


async def test_a_history_longer_than_the_server_gives_at_once_is_whole(
    server: PiWebApi, make: Make
) -> None:
    ticks = [START + n * times.TICKS // 2 for n in range(3500)]
    ticks[LIMIT - 1] = ticks[LIMIT - 2]  # two of one time where a page ends
    ticks[2 * LIMIT] = ticks[2 * LIMIT + 1] = ticks[2 * LIMIT - 1]
    name = new_point(server, [(tick, float(n)) for n, tick in enumerate(ticks)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1))
    assert [s.value for s in found] == [float(n) for n in range(3500)]
    assert all(early.time <= late.time for early, late in itertools.pairwise(found))


async def test_the_newest_come_first_where_the_end_is_before_the_start(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(START + n * times.TICKS, float(n)) for n in range(2500)])
    found = await make().read_history(name, DAY + timedelta(hours=1), DAY)
    assert [s.value for s in found] == [float(n) for n in reversed(range(2500))]


async def test_more_values_of_one_time_than_a_page_do_not_keep_us(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [*[(START, 1.0)] * (LIMIT + 5), (START + times.TICKS, 2.0)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1))
    assert [s.value for s in found] == [1.0] * LIMIT + [2.0]


async def test_a_grid_finer_than_the_server_allows_is_asked_for_in_pieces(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(START, 0.0), (START + 3600 * times.TICKS, 3600.0)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1), "1s")
    assert [s.value for s in found] == pytest.approx([float(n) for n in range(3601)])
    assert [s.time for s in found] == [to_ns(DAY) + n * SECOND for n in range(3601)]


async def test_a_plot_and_summaries_are_those_of_the_server(server: PiWebApi, make: Make) -> None:
    name = new_point(server, [(START + n * 60 * times.TICKS, float(n % 60)) for n in range(181)])
    connector, end = make(), DAY + timedelta(hours=3)
    plot = await connector.read_history(name, DAY, end, mode="plot", intervals=3)
    assert {s.value for s in plot} >= {0.0, 59.0}
    assert len(plot) <= 15
    highest = await connector.read_history(name, DAY, end, "1h", mode="summary", summary="Maximum")
    assert [s.value for s in highest] == [59.0, 59.0, 59.0]
    assert [s.time for s in highest] == [to_ns(DAY) + n * 3600 * SECOND for n in range(3)]
    (mean,) = await connector.read_history(name, DAY, end, mode="summary")
    assert mean.value == pytest.approx(29.5, abs=0.5)


async def test_times_without_a_zone_are_local_and_pi_may_count_from_now(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(times.now() - 3600 * times.TICKS, 1.0)])
    connector = make()
    local = (datetime.now() - timedelta(minutes=61)).isoformat(" ", "seconds")  # noqa: DTZ005
    for start in ("*-2h", local, datetime.now() - timedelta(minutes=61)):  # noqa: DTZ005
        values = [s.value for s in await connector.read_history(name, start, "*-30m")]
        assert values == [1.0], start
    assert await connector.read_history(name, "*-59m", "*-30m") == []


@pytest.mark.parametrize(
    ("arguments", "keywords", "word"),
    [
        (("soon",), {}, "no time"),
        (("*-1d", "01-Jan-25"), {}, "local time"),
        (("*-1d", "*", "1 parsec"), {}, "no interval"),
        (("*-1d", "*"), {"mode": "interpolated"}, "take an interval"),
    ],
)
async def test_a_time_that_is_none_is_refused_here(arguments, keywords, word, make: Make) -> None:
    with pytest.raises(DataError, match=word):
        await make().read_history(STEAM, *arguments, **keywords)


async def test_what_the_server_cannot_sum_up_is_refused_in_its_words(make: Make) -> None:
    with pytest.raises(RequestFailed, match="Count is the only summary type"):
        await make().read_history("TEXT", "*-1h", mode="summary")


async def test_a_sample_keeps_its_millisecond_on_the_way_through_pi(make: Make) -> None:
    sink = sink_of(make(), create_points=True)
    start = to_ns(DAY) + now_ns() % SECOND // 1_000_000 * 1_000_000
    batch = [Sample("TEST.ms", float(n), start + n * 1_000_000) for n in range(1000)]
    await sink.write(batch)
    connector = make()
    stored = [s async for b in connector.history(["TEST.ms"], start, batch[-1].time + 1) for s in b]
    assert stored == batch
    bounds = batch[10].time, batch[20].time
    assert [s async for b in connector.history(["TEST.ms"], *bounds) for s in b] == batch[10:20]


@pytest.mark.parametrize("web_ids", ["client", "server"])
async def test_event_frames_that_overlap_a_range_are_read(web_ids: str, make: Make) -> None:
    connector = make(web_ids=web_ids)
    frames = await connector.read_event_frames(DAY, DAY + timedelta(days=1))
    assert [f.name for f in frames] == ["Trip 1", "Trip 2"]
    assert (frames[0].start, frames[0].severity) == (DAY + timedelta(hours=8), "Major")
    assert frames[0].end == DAY + timedelta(hours=8, minutes=30)
    service = await connector.read_event_frames(
        DAY, DAY + timedelta(days=5), element="Boilers\\Boiler1", template="Service"
    )
    assert [f.name for f in service] == ["Cleaning"]


# ---- writing ------------------------------------------------------------------------------------


async def test_a_value_is_written_at_its_time_with_its_option(server: PiWebApi, make: Make) -> None:
    connector, name = make(), new_point(server)
    await connector.write_tag(name, 1.0, DAY)
    await connector.write_tag(name, 2.0, DAY, update="NoReplace")
    assert [s.value for s in await connector.read_history(name, DAY, DAY)] == [1.0]
    await connector.write_tag(name, 2.0, DAY, update="Remove")
    assert await connector.read_history(name, DAY, DAY) == []


@pytest.mark.parametrize(
    ("tag", "value", "error"),
    [
        ("COUNT", 485.5, "no fractions"),
        ("SETPOINT", "no number", "Float64"),
        ("TEXT", 5, "holds text"),
        ("SETPOINT", float("nan"), "cannot hold"),
    ],
)
async def test_what_a_point_cannot_hold_as_it_is_is_not_sent(
    tag: str, value: Any, error: str, server: PiWebApi, make: Make
) -> None:
    before = server.requests(r"POST streams/.*/value")
    with pytest.raises(DataError, match=error):
        await make().write(tag, value)
    assert server.requests(r"POST streams/.*/value") == before


async def test_a_digital_point_takes_the_names_of_its_states(server: PiWebApi, make: Make) -> None:
    connector, name = make(), f"TEST.{now_ns()}"
    server.create(name, "Digital", digital_set="Modes")
    await connector.write(name, "Remote")
    assert await connector.read_tag(name) == "Remote"
    with pytest.raises(RequestFailed, match="Turbo"):
        await connector.write(name, "Turbo")
    assert server.value(name)["Name"] == "Remote"


async def test_many_values_have_an_answer_each_and_one_audit_entry(
    server: PiWebApi, make: Make, context: Context
) -> None:
    connector, name = make(), new_point(server)
    with pytest.raises(PartialWrite) as caught:
        await connector.write_tags(
            [
                Sample(name, 1.5, to_ns(DAY)),
                Sample("ABSENT", 1.0, to_ns(DAY)),
                Sample("MODE", "Turbo", to_ns(DAY)),
                Sample(name, 2.5, to_ns(DAY) + SECOND, Quality.UNCERTAIN),
            ]
        )
    assert set(caught.value.rejected) == {1, 2}
    assert "Turbo" in caught.value.rejected[2]
    stored = await connector.read_history(name, DAY, DAY + timedelta(seconds=1))
    assert [(s.value, s.quality) for s in stored] == [(1.5, 0), (2.5, Quality.UNCERTAIN)]
    context.audit.close()
    (entry,) = [e for e in read(context.audit.path) if e["action"] == "write"]
    assert entry["after"] == [1.5, 1.0, "Turbo", 2.5]
    assert name in entry["subject"]


async def test_values_of_now_are_written_by_name(server: PiWebApi, make: Make) -> None:
    one, two = new_point(server), new_point(server)
    await make().write_tags({one: 1.0, two: 2.0})
    assert (server.value(one), server.value(two)) == (1.0, 2.0)


async def test_a_server_that_takes_no_writes_says_that_a_person_must_act(
    context: Context, make: Make
) -> None:
    with PiWebApi(read_only=True) as server:
        server.create("SETPOINT")
        with pytest.raises(AuthFailed, match="read-only"):
            await make({**server.config}).write("SETPOINT", 1.0)


# ---- the output ---------------------------------------------------------------------------------


def rows_of(server: PiWebApi, *names: str) -> list[tuple[str, Any]]:
    return [
        (n, json.loads(v)) for n, _, v, *_ in server.rows() if n in names and "Created" not in v
    ]


async def test_points_that_are_missing_are_named_and_the_rest_is_written(
    server: PiWebApi, make: Make
) -> None:
    name, now = new_point(server), now_ns()
    with pytest.raises(PartialWrite) as caught:
        await sink_of(make()).write([Sample(name, 1.0, now), Sample("NOT.THERE", 2.0, now)])
    assert set(caught.value.rejected) == {1}
    assert "NOT.THERE" in caught.value.rejected[1]
    assert rows_of(server, name) == [(name, 1.0)]


async def test_a_point_that_is_made_carries_unit_and_description(
    server: PiWebApi, make: Make, context: Context
) -> None:
    context.tags.configure(Tag(name="o2", unit="%", description="Flue gas oxygen"))
    sink = sink_of(make(), create_points=True, point_prefix="GL002.")
    await sink.write([Sample("o2", 3.2, now_ns()), Sample("mode", "auto", now_ns())])
    base = server.open()
    oxygen, mode = base.point("GL002.o2"), base.point("GL002.mode")
    base.close()
    assert oxygen is not None
    assert mode is not None
    assert (oxygen.unit, oxygen.descriptor, oxygen.type) == ("%", "Flue gas oxygen", "Float64")
    assert (mode.type, bool(mode.step)) == ("String", True)


async def test_samples_that_the_archive_cannot_tell_apart_are_merged_and_said(
    server: PiWebApi, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    name, sink = new_point(server), sink_of(make())
    await sink.write([Sample(name, float(n), to_ns(DAY) + n * 1_000) for n in range(5)])
    assert rows_of(server, name) == [(name, 4.0)]
    assert sink.merged == 4  # type: ignore[attr-defined]
    assert sum("keeps the later" in r.message for r in caplog.records) == 1


async def test_a_batch_larger_than_a_request_may_be_is_several(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, kind="String")
    before = server.requests("POST streamsets/recorded")
    batch = [Sample(name, f"{n}{'x' * 900}", to_ns(DAY) + n * SECOND) for n in range(5000)]
    await sink_of(make(timeout=60)).write(batch)
    assert len(rows_of(server, name)) == 5000
    assert server.requests("POST streamsets/recorded") - before == 5


async def test_a_point_that_has_gone_since_is_made_again(server: PiWebApi, make: Make) -> None:
    sink, now = sink_of(make(), create_points=True), now_ns()
    await sink.write([Sample("TEST.gone", 1.0, now)])
    server.delete("TEST.gone")
    with pytest.raises(Busy, match="has just gone"):
        await sink.write([Sample("TEST.gone", 2.0, now)])
    await sink.write([Sample("TEST.gone", 2.0, now)])
    assert rows_of(server, "TEST.gone") == [("TEST.gone", 2.0)]


async def test_no_replace_leaves_what_is_there(server: PiWebApi, make: Make) -> None:
    name, now = new_point(server), to_ns(DAY)
    sink = sink_of(make(), update="NoReplace")
    for value in (1.0, 2.0):
        await sink.write([Sample(name, value, now)])
    assert rows_of(server, name) == [(name, 1.0)]


# ---- the input ----------------------------------------------------------------------------------


async def test_every_value_between_two_cycles_arrives_in_order(
    server: PiWebApi, make: Make
) -> None:
    name = current_point(server, 0.0)
    source = source_of(make(), name, interval=0.2)
    filling: list[asyncio.Task[None]] = []

    def all_there(batch: Batch) -> bool:
        if not filling:
            for number in range(1, 101):  # nothing else runs here: these are between two cycles
                server.set(name, float(number))
            filling.append(asyncio.create_task(_fill(server, name, range(101, 301))))
        return batch[-1].value == 300.0

    seen = await until(source, all_there)
    await filling[0]
    assert [s.value for s in seen] == [float(n) for n in range(301)]


async def _fill(server: PiWebApi, name: str, values: Iterable[int]) -> None:
    for number in values:
        await asyncio.to_thread(server.set, name, float(number))


async def test_what_was_recorded_while_the_link_was_down_comes_first(
    server: PiWebApi, make: Make
) -> None:
    with PiWebApi() as own:
        own.create("A")
        own.create("B")
        own.set("A", 0.0)
        own.set("B", 7.0)
        source = source_of(make(own.config), "A", "B", prefix="x.")
        assert await until(source, lambda b: {s.tag for s in b} == {"x.A", "x.B"})
        own.kill()
        down = now_ns()
        for number in range(1, 6):
            own.set("A", float(number))
        own.start()
        seen = await until(source, lambda b: any(s.tag == "x.B" for s in b))
        assert [s.value for s in seen if s.tag == "x.A"] == [1.0, 2.0, 3.0, 4.0, 5.0]
        (back,) = [s for s in seen if s.tag == "x.B"]
        assert back.value == 7.0
        assert back.time > down, "the outage is on record: the value is of the return"


async def test_a_gateway_that_starts_again_goes_on_where_it_was(
    server: PiWebApi, make: Make
) -> None:
    name, quiet = current_point(server, 0.0), current_point(server, 5.0)
    first = source_of(make(), name, quiet)
    before = await until(first, lambda b: len(b) == 2)
    position = first.position()
    for number in range(1, 4):
        server.set(name, float(number))
    again = source_of(make(), name, quiet)
    again.resume(position)
    seen = await until(again, lambda b: any(s.value == 3.0 for s in b))
    assert [s.value for s in seen if s.tag == name][-3:] == [1.0, 2.0, 3.0]
    assert before[1] in seen, "what has not changed is known again, with its own time"


async def test_a_position_of_another_list_of_tags_is_not_used(server: PiWebApi, make: Make) -> None:
    one, two = current_point(server, 1.0), current_point(server, 2.0)
    first = source_of(make(), one, two)
    await until(first, lambda b: len(b) == 2)
    for tags in ([two, one], [one]):
        other = source_of(make(), *tags)
        other.resume(first.position())
        assert {s.tag for s in await until(other, len)} == set(tags)


async def test_a_tag_that_is_not_there_is_bad_once_and_good_when_it_comes(
    server: PiWebApi, make: Make
) -> None:
    name = f"TEST.{now_ns()}"
    source = source_of(make(), STEAM, name)
    coming: list[asyncio.Task[None]] = []

    def is_there(batch: Batch) -> bool:
        if not coming and any(s.tag == name for s in batch):
            coming.append(asyncio.create_task(_come(server, name)))
        return any(s.tag == name and s.value == 1.5 for s in batch)

    seen = await until(source, is_there)
    await coming[0]
    bad = [s for s in seen if s.tag == name and s.quality == Quality.BAD_NODE_ID_UNKNOWN]
    assert len(bad) == 1
    assert any(s.tag == STEAM and s.value == 50000.0 for s in seen)


async def _come(server: PiWebApi, name: str) -> None:
    """Make the point after some more cycles without it."""
    before = server.requests("POST batch")
    while server.requests("POST batch") < before + 3:
        await asyncio.sleep(0.02)
    server.create(name)
    server.set(name, 1.5)


async def test_an_attribute_without_a_point_comes_as_often_as_it_changes(make: Make) -> None:
    static, formula = "Boilers\\Boiler1|Manufacturer", "Boilers\\Boiler1|Load"
    source = source_of(make(), static, formula)
    seen = await until(source, lambda b: sum(s.tag == formula for s in b) == 3)
    assert [s.value for s in seen if s.tag == static] == ["Cleaver & Söhne"]
    assert [s.value for s in seen if s.tag == formula] == [80.0] * 3


async def test_a_value_that_is_put_right_comes_again(server: PiWebApi, make: Make) -> None:
    name = current_point(server, 1.0)
    corrector = make()
    seen: Batch = []
    async with source_of(make(), name).open() as batches:
        async for batch in batches:
            seen += batch
            if len(seen) == 2:
                break
            (now,) = await corrector.read([name])
            await corrector.write_tag(name, 2.0, now.time)
    assert [(s.value, s.time) for s in seen] == [(1.0, seen[0].time), (2.0, seen[0].time)]
    assert seen[1].quality == GOOD_EDITED


class Breaking:
    """A and B have a newer value from the second cycle on, and that of C is put right.

    What is recorded of the tags in `broken` is nonsense the first time that it is asked for.
    """

    def __init__(self, broken: str) -> None:
        self._broken = broken
        self._asked = {"value": 0, "recorded": 0}
        self._names = {pi_web_id.of_path(f"\\\\{SERVER}\\{name}"): name for name in "ABC"}

    def reply(self, seen: Seen) -> Reply:
        subs = json.loads(seen.body) if seen.path.endswith("batch") else {}
        streams = {
            key: re.search(r"/streams/([^/]+)/(\w+)", sub["Resource"]) for key, sub in subs.items()
        }
        for what in {found[2] for found in streams.values() if found}:
            self._asked[what] += 1
        answers = {
            key: {"Status": 200, "Content": self._content(self._names[found[1]], found[2])}
            if found else {"Status": 404, "Content": {}}
            for key, found in streams.items()
        }  # fmt: skip
        return Reply(207, json.dumps(answers).encode())

    def _content(self, name: str, what: str) -> dict[str, Any]:
        newer = self._asked["value"] > 1
        if what == "value":
            return _item(2 if newer and name != "C" else 1, 2.0 if newer else 1.0)
        if name in self._broken and self._asked["recorded"] == 1:
            return {"Items": [5]}
        return {"Items": [_item(1, 1.0), _item(2, 2.0)]}


def _item(second: int, value: float) -> dict[str, Any]:
    return {"Timestamp": f"2025-01-01T00:00:0{second}Z", "Value": value, "Good": True}


@pytest.mark.parametrize("broken", ["A", "B", "AB"])
async def test_a_cycle_that_breaks_off_takes_along_nothing_of_what_it_has_read(
    broken: str, make: Make
) -> None:
    with liar(Breaking(broken).reply) as settings:
        source = source_of(make(settings), "A", "B", "C")
        seen: Batch = []
        for _ in range(2):  # the second time begins anew, as the flow does
            with contextlib.suppress(RequestFailed):
                async with source.open() as batches:
                    async for batch in batches:
                        seen += batch
                        if len(seen) == 6:
                            break
    found = {t: [(s.value, s.time // SECOND % 60) for s in seen if s.tag == t] for t in "ABC"}
    assert found == {"A": [(1, 1), (2, 2)], "B": [(1, 1), (2, 2)], "C": [(1, 1), (2, 1)]}


async def test_what_pi_knows_of_a_tag_is_in_the_tag_table(make: Make, context: Context) -> None:
    source = source_of(make(), STEAM, ATTRIBUTE, prefix="p.")
    await until(source, lambda b: len(b) == 2)
    tag = context.tags[f"p.{STEAM}"]
    assert (tag.unit, tag.description) == ("lb/hr", "Steam flow to header")
    assert tag.address == STEAM
    assert f"p.{ATTRIBUTE}" in context.tags


# ---- logging in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "keys"),
    [
        ("bearer", {"token": TOKEN}),
        (
            "negotiate",
            {"authentication": "negotiate", "username": f"PLANT\\{USER}", "password": PASSWORD},
        ),
        ("anonymous", {}),
    ],
)  # fmt: skip
async def test_each_way_of_logging_in_works(auth: str, keys: dict[str, Any], make: Make) -> None:
    with PiWebApi(auth=auth) as server:
        server.create("A")
        server.set("A", 1.0)
        connector = make({"server": server.url, **keys})
        assert await connector.read_tag("A") == 1.0
        await connector.write("A", 2.0)
        assert await asyncio.gather(*(connector.read_tag("A") for _ in range(5))) == [2.0] * 5
        health = await connector.check()
        assert health.ok
        assert "PI Web API 2023" in health.detail


@pytest.mark.parametrize(
    ("auth", "keys"),
    [
        ("bearer", {"token": "wrong-canary-0815"}),
        (
            "negotiate",
            {"authentication": "negotiate", "username": USER, "password": "wrong-canary"},
        ),
        ("negotiate", {"username": USER, "password": "wrong-canary"}),
        ("basic", {"username": USER, "password": "wrong-canary"}),
        ("basic", {}),
    ],
)  # fmt: skip
async def test_a_wrong_log_in_is_refused_and_waits_for_a_person(
    auth: str, keys: dict[str, Any], make: Make
) -> None:
    with PiWebApi(auth=auth) as server:
        connector = make({"server": server.url, **keys})
        with pytest.raises(AuthFailed):
            await connector.connect()
        assert connector.state is State.FAILED


# ---- servers that lie ---------------------------------------------------------------------------

SERVERS = json.dumps({"Items": [{"Name": SERVER, "IsConnected": True}]}).encode()


@contextlib.contextmanager
def liar(answer: Callable[[Seen], Reply]) -> Iterator[dict[str, Any]]:
    """A server that greets well, and then answers as told; settings that reach it."""

    def reply(seen: Seen) -> Reply:
        return Reply(body=SERVERS) if seen.path.endswith("dataservers") else answer(seen)

    with WebServer(reply) as server:
        yield {"server": f"{server.url}/piwebapi"}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>log in</html>", b"\xff\xfe", b"null", b"[]", b"{}", b'{"0": 5}',
        b'{"0": {"Status": "x"}}', b'{"0": {"Status": 200}}', b'{"7": {"Status": 200}}',
        b'{"0": {"Status": 200, "Content": []}}',
        b'{"0": {"Status": 200, "Content": {"Value": 1}}}',
        b'{"0": {"Status": 200, "Content": {"Value": 1, "Timestamp": "soon"}}}',
        b'{"0": {"Status": 200, "Content": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"0": {"Status": 200, "Content": {"Value": NaN}}}',
    ],
)  # fmt: skip
async def test_an_answer_of_another_form_is_an_error_of_ours(body: bytes, make: Make) -> None:
    with liar(lambda _: Reply(body=body)) as settings, pytest.raises(GL002Error):
        await make(settings).read(["A"])


async def test_an_answer_that_is_cut_short_comes_again(make: Make) -> None:
    with (
        liar(lambda _: Reply(body=b'{"0"', promised=100)) as settings,
        pytest.raises(ConnectFailed) as caught,
    ):
        await make(settings).read(["A"])
    assert caught.value.retryable


async def test_an_answer_that_does_not_come_is_a_time_out(make: Make) -> None:
    over = threading.Event()

    def never(_: Seen) -> Reply:
        over.wait()
        return Reply(body=b"{}")

    with liar(never) as settings:
        connector = make(settings)
        await connector.connect()
        connector.set_timeout(200)
        try:
            with pytest.raises(RequestTimeout):
                await connector.read(["A"])
        finally:
            over.set()


async def test_an_answer_without_end_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AsyncPIConnector, "largest", 100_000)
    with (
        liar(lambda _: Reply(body=b" " * 200_000)) as settings,
        pytest.raises(RequestFailed, match="more than 100000 bytes"),
    ):
        await make(settings).read(["A"])


async def test_an_answer_that_failed_on_the_way_is_no_answer(make: Make) -> None:
    content = {"Items": [], "WebException": {"StatusCode": 502, "Errors": ["archive offline"]}}
    with (
        liar(lambda _: Reply(body=json.dumps(content).encode())) as settings,
        pytest.raises(Busy, match="archive offline"),
    ):
        await make(settings).read_history("A", "*-1d")


async def test_a_data_archive_that_is_away_is_an_outage_and_one_tag_is_not(make: Make) -> None:
    def answer(statuses: dict[str, int]) -> Reply:
        gone = {"Errors": ["PI Data Archive is not available"]}
        content = {k: {"Status": s, "Content": gone} for k, s in statuses.items()}
        return Reply(207, json.dumps(content).encode())

    with liar(lambda _: answer({"0": 502, "1": 502})) as settings:
        with pytest.raises(Busy, match="not available") as caught:
            await make(settings).read(["A", "B"])
        assert caught.value.retryable
    with liar(lambda _: answer({"0": 502, "1": 403})) as settings:
        samples = await make(settings).read(["A", "B"])
        assert [s.quality for s in samples] == [Quality.BAD_NO_COMMUNICATION, 0x801F0000]


@pytest.mark.parametrize(
    "body",
    [{}, {"Items": 5}, {"Items": []}, {"Items": [{"Items": []}]}, {"Items": [{"Items": [5]}]},
     {"Items": [{"Items": [{"Substatus": "x"}]}]}],
)  # fmt: skip
async def test_a_write_whose_answer_cannot_be_matched_is_not_delivered(
    body: dict[str, Any], make: Make
) -> None:
    def reply(seen: Seen) -> Reply:
        if seen.path.endswith("batch"):
            found = {"0": {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}}
            return Reply(207, json.dumps(found).encode())
        return Reply(207, json.dumps(body).encode())

    with liar(reply) as settings, pytest.raises(RequestFailed):
        await sink_of(make(settings)).write([Sample("A", 1.0, now_ns())])


@pytest.mark.parametrize(
    ("statuses", "error"), [((403, 403), AuthFailed), ((403, 204), PartialWrite)]
)
async def test_a_missing_right_stops_the_output_where_nothing_can_be_written(
    statuses: tuple[int, int], error: type[GL002Error], make: Make
) -> None:
    def reply(seen: Seen) -> Reply:
        if seen.path.endswith("batch"):
            found = {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}
            return Reply(207, json.dumps({"0": found, "1": found}).encode())
        items = [{"Items": [{"Substatus": s, "Message": "No Write Access"}]} for s in statuses]
        return Reply(207, json.dumps({"Items": items}).encode())

    batch = [Sample("A", 1.0, now_ns()), Sample("B", 1.0, now_ns())]
    with liar(reply) as settings:
        connector = make(settings)
        with pytest.raises(error, match="No Write Access"):
            await sink_of(connector).write(batch)
        assert connector.state is State.UP  # what it reads meanwhile is not cut off


async def test_without_the_right_to_make_points_the_output_waits(make: Make) -> None:
    def reply(seen: Seen) -> Reply:
        status = 403 if b"POST" in seen.body else 404
        answer = {"Status": status, "Content": {"Errors": ["No Write Access"]}}
        return Reply(207, json.dumps({"0": answer}).encode())

    with liar(reply) as settings, pytest.raises(AuthFailed, match="PIPOINT"):
        await sink_of(make(settings), create_points=True).write([Sample("A", 1.0, now_ns())])


async def test_a_sample_of_a_point_that_is_there_and_hidden_from_us_is_refused_and_not_lost(
    make: Make,
) -> None:
    """PI does not show a point to who may not read it, and does not make another of that name."""

    def reply(seen: Seen) -> Reply:
        if "recorded" in seen.path:
            return Reply(204)
        status = 409 if b"POST" in seen.body else 404
        answer = {"Status": status, "Content": {"Errors": ["PI Point hidden"]}}
        return Reply(207, json.dumps({"0": answer}).encode())

    with liar(reply) as settings, pytest.raises(PartialWrite, match="PI Point hidden") as caught:
        await sink_of(make(settings), create_points=True).write([Sample("A", 1.0, now_ns())])
    assert set(caught.value.rejected) == {0}


async def test_a_server_that_asks_for_time_is_given_it(make: Make) -> None:
    with (
        liar(lambda _: Reply(429, b"{}", {"Retry-After": "7"})) as settings,
        pytest.raises(Busy) as caught,
    ):
        await make(settings).read(["A"])
    assert caught.value.retry_after == 7


def test_the_blocking_face_does_what_the_guide_shows(server: PiWebApi, context: Context) -> None:
    with PIConnector(server.config, context=context) as pi:
        assert pi.read_tag("SETPOINT") == 480.0
        assert pi.read_tags([STEAM, "TEXT"]) == [50000.0, "läuft ✓"]
        assert [f.name for f in pi.browse("SETP")] == ["SETPOINT"]
