"""PI as an input: every value in order, over outages and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import Busy, ConnectFailed, RequestFailed, RequestTimeout
from gl002.integrations.historians import AsyncPIConnector
from gl002.model import Batch, Quality, now_ns
from gl002.source import Source
from gl002.wire import pi_web_id
from gl002.wire.pi_values import GOOD_EDITED
from integrations.pi_site import (
    ATTRIBUTE,
    SECOND,
    STEAM,
    Make,
    context,
    current_point,
    liar,
    make,
    new_point,
    server,
)
from peers.pi.times import TICKS, now
from peers.pi_web_api import SERVER, PiWebApi
from peers.web_server import Reply, Seen

fixtures = server, context, make


def source_of(connector: AsyncPIConnector, *tags: str, **spec: Any) -> Source:
    given = {"source": "pi_system", "tags": list(tags), "interval": 0.02, **spec}
    return connector.source(connector.Input.parse(given))


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
    name = new_point(server)
    moment = now()
    while not 20_000 < moment * SECOND // TICKS % 1_000_000 < 980_000:
        moment += 1  # a time beside a whole millisecond is told as that, which is another one
    server.put(name, (moment, 1.0))
    corrector = make()
    seen: Batch = []
    async with source_of(make(), name).open() as batches:
        async for batch in batches:
            seen += batch
            if len(seen) == 2:
                break
            (read,) = await corrector.read([name])
            await corrector.write_tag(name, 2.0, read.time)
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
