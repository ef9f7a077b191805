"""Live values: what each stage shows, and what a reader that does not keep up costs."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from gl002.errors import ConnectFailed
from gl002.flow import hub
from gl002.flow.status import GatewayStatus
from gl002.model import Quality, Sample, now_ns
from gl002.testing.stalls import Stalls
from gl002.web import stream
from web.client import ask, bearer, events
from web.house import until


async def first(stream_, name: str, count: int = 1) -> list:
    """The data of the first events of a name."""
    found = []
    async with asyncio.timeout(60):
        async for event, data in stream_:
            if event == name:
                found.append(data)
                if len(found) == count:
                    return found
    raise AssertionError(f"the stream ended with {len(found)} of {count} '{name}' events")


async def test_latest_begins_with_every_tag_and_goes_on_with_what_changed(house):
    house.source.also = [Sample("once", 1.0, now_ns())]
    await until(lambda: "once" in house.gateway.hub.latest)
    await asyncio.sleep(1.05)  # a beat
    before = set(house.gateway.hub.latest)
    async with events(house.port, "/api/stream", house.token) as live:
        whole, later = await first(live, "batch", 2)
    assert before <= {r["tag"] for r in whole} <= set(house.gateway.hub.latest)
    tags = [r["tag"] for r in later]
    assert len(tags) == len(set(tags))
    assert "boiler1.AT301" in tags
    assert "once" not in tags


async def test_a_reading_has_value_unit_time_and_quality(house):
    async with events(house.port, "/api/stream?tag=boiler1.AT301", house.token) as live:
        ((reading,),) = await first(live, "batch")
    assert set(reading) == {
        "tag", "value", "unit", "time", "quality", "quality_name", "severity",
    }  # fmt: skip
    assert (reading["tag"], reading["unit"], reading["severity"]) == ("boiler1.AT301", "%", "good")


async def test_status_comes_every_second_whatever_else_there_is_to_say(house):
    times = []
    with Stalls() as stalls:
        async with (
            asyncio.timeout(60),
            events(house.port, "/api/stream?tag=nothing", house.token) as live,
        ):
            async for name, data in live:
                assert name == "status"
                assert msgspec.convert(data, GatewayStatus).name == "Boiler house 1"
                times.append(time.monotonic())
                if len(times) == 4:
                    break
    took = times[-1] - times[1]  # two beats; one that the machine has delayed shortens the next
    assert 2 * 0.8 - stalls.total < took < 2 * 1.5 + stalls.total, times


@pytest.mark.parametrize("stage", ["source", "store", "output:sqlite"])
async def test_a_stage_shows_every_value_that_passes_it_in_order(house, stage):
    async with events(house.port, f"/api/stream?stage={stage}&tag=count", house.token) as live:
        await until(lambda: house.gateway.hub._listeners.get(stage))
        sent = asyncio.create_task(count_up(house, 30))
        found: list[int] = []
        async with asyncio.timeout(60):
            async for name, data in live:
                if name == "batch":
                    found += [r["value"] for r in data]
                if len(found) >= 30:
                    break
        await sent
    assert found == list(range(len(found)))


async def count_up(house, count: int) -> None:
    for i in range(count):
        await until(lambda: not house.source.also)
        house.source.also = [Sample("count", i, now_ns())]


async def test_the_source_stage_shows_values_as_they_came_and_in_json(house):
    odd = [
        Sample("odd", float("nan"), now_ns()),
        Sample("odd", 2**70, now_ns()),
        Sample("odd", "\ud800<b>", now_ns()),
    ]
    path = "/api/stream?stage=source&tag=odd"
    async with events(house.port, path, house.token) as live:
        await until(lambda: house.gateway.hub._listeners.get("source"))
        house.source.also = odd
        (readings,) = await first(live, "batch")
    assert [r["value"] for r in readings] == [None, 2**70, "\\ud800<b>"]


async def test_an_unknown_stage_is_refused_with_those_there_are(house):
    answer = await ask(house.port, "/api/stream?stage=sore", headers=bearer(house.token))
    assert answer.status == 404
    assert answer.json["hint"] == "stages: latest, source, store, output:sqlite"


async def test_a_tag_that_says_nothing_for_three_times_its_usual_time_is_told_as_stale(house):
    await asyncio.sleep(2.1)  # two beats: the usual time is known
    async with events(house.port, "/api/stream?tag=boiler1.AT*", house.token) as live:
        house.source.silent = True
        async with asyncio.timeout(60):
            async for name, stale in live:
                if name != "stale" or "boiler1.AT301" not in stale:
                    continue
                assert not [tag for tag in stale if "efficiency" in tag or "loss" in tag]
                values = (await ask(house.port, "/api/values", headers=bearer(house.token))).json
                if {v["tag"] for v in values if v["stale"]} == set(stale):
                    break  # else the next event tells of those that came since
        house.source.silent = False
        async with asyncio.timeout(60):
            async for name, stale in live:
                if name == "stale" and stale == []:
                    break


async def test_what_is_reported_by_exception_never_grows_stale(house):
    await asyncio.sleep(2.1)
    house.gateway.hub.by_exception.update(house.gateway.hub.latest)
    house.source.silent = True
    async with events(house.port, "/api/stream", house.token) as live:
        for told in await first(live, "status", 6):
            assert told["name"]
    values = (await ask(house.port, "/api/values", headers=bearer(house.token))).json
    assert not [v["tag"] for v in values if v["stale"]]


async def test_a_reader_that_stops_reading_loses_values_is_told_and_costs_bounded_memory(
    house, monkeypatch
):
    monkeypatch.setattr(hub, "_MOST_UNREAD", 500)
    path, text = "/api/stream?stage=store&tag=flood", "x" * 1000
    async with events(house.port, path, house.token, limit=2**12) as live:
        await first(live, "status")
        sent = 0
        while not (missed := missed_by(house)) and sent < 100_000:
            now = now_ns()
            house.gateway.hub.accepted([Sample("flood", text, now + i) for i in range(500)])
            sent += 500
            await asyncio.sleep(0.01)
        (listener,) = house.gateway.hub._listeners["store"]
        assert missed > 0
        assert len(listener._unread) <= 500
        (told,) = await first(live, "missed")
        assert told >= missed
    assert await still_answers(house)


def missed_by(house) -> int:
    return sum(listener.missed for listener in house.gateway.hub._listeners.get("store", ()))


async def still_answers(house) -> bool:
    return (await ask(house.port, "/healthz")).status == 200


@pytest.mark.parametrize("stage", ["latest", "store"])
async def test_a_reader_that_leaves_frees_its_place_and_its_listener(house, stage, monkeypatch):
    monkeypatch.setattr(stream, "MOST", 1)
    path = f"/api/stream?stage={stage}"
    async with events(house.port, path, house.token) as live:
        await first(live, "status")
        refused = await ask(house.port, path, headers=bearer(house.token))
        assert refused.status == 503
        assert "dashboard" in refused.json["hint"]
    async with asyncio.timeout(60):
        while (await ask_status(house, path)) == 503:
            await asyncio.sleep(0.05)
    await until(lambda: not house.gateway.hub._listeners.get("store"))


async def ask_status(house, path: str) -> int:
    """The status of a stream that is left at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.token}\r\n\r\n"
    writer.write(head.encode())
    line = await reader.readline()
    writer.transport.abort()
    return int(line.split()[1])


async def test_an_outage_is_seen_as_bad_quality_at_once(house):
    async with events(house.port, "/api/stream?stage=store&tag=boiler1.AT301", house.token) as live:
        await first(live, "batch")
        house.source.trouble = ConnectFailed("opc.tcp://10.0.0.1:4840: connection refused")
        async with asyncio.timeout(60):
            async for name, data in live:
                if name == "batch" and data[-1]["severity"] == "bad":
                    break
    assert data[-1]["quality"] == Quality.BAD_NO_COMMUNICATION
    assert data[-1]["value"] is None
