"""HISTORY: what was stored comes back, within its bounds, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gl002.connector import Capability, Connector, first_of
from gl002.model import Batch
from gl002.testing.contract.requests import eventually
from gl002.testing.contract.storing import holds, numbered
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig


async def _store(rig: Rig, connector: Connector[Any], batch: Batch) -> None:
    assert connector.Output is not None
    sink = connector.sink(connector.Output.parse(rig.output))
    await sink.prepare()
    await sink.write(batch)
    await sink.close()
    await eventually(lambda: holds(rig, batch), "what was written is there")


async def _recorded(connector: Connector[Any], tags: Sequence[str], start: int, end: int) -> Batch:
    return [s async for batch in connector.history(tags, start, end) for s in batch]


@needs(Capability.HISTORY, Capability.STORE)
async def test_history_gives_back_what_was_stored(rig: Rig, make: Maker) -> None:
    connector, batch = make(), numbered(12_000)
    await _store(rig, connector, batch)
    tags = sorted({s.tag for s in batch})
    recorded = await _recorded(connector, tags, batch[0].time, batch[-1].time + 1)
    for tag in tags:
        of_tag = [s for s in recorded if s.tag == tag]
        assert of_tag == [s for s in batch if s.tag == tag]


@needs(Capability.HISTORY, Capability.STORE)
async def test_the_start_is_included_and_the_end_is_not(rig: Rig, make: Maker) -> None:
    connector, batch = make(), numbered(10, tags=1)
    await _store(rig, connector, batch)
    tag, start, end = batch[0].tag, batch[3].time, batch[7].time
    assert await _recorded(connector, [tag], start, end) == batch[3:7]
    assert await _recorded(connector, [tag], start, start) == []
    assert await _recorded(connector, [tag], 0, batch[0].time) == []


@needs(Capability.HISTORY, Capability.STORE)
async def test_history_has_only_the_tags_asked_for(rig: Rig, make: Maker) -> None:
    connector, batch = make(), numbered(9)
    await _store(rig, connector, batch)
    bounds = (batch[0].time, batch[-1].time + 1)
    assert {s.tag for s in await _recorded(connector, [batch[1].tag], *bounds)} == {batch[1].tag}
    assert await _recorded(connector, [], *bounds) == []
    assert await _recorded(connector, ["never.stored"], *bounds) == []


@needs(Capability.HISTORY, Capability.STORE)
async def test_history_left_early_leaves_the_session_usable(rig: Rig, make: Maker) -> None:
    connector, batch = make(), numbered(12_000, tags=1)
    await _store(rig, connector, batch)
    tag, bounds = batch[0].tag, (batch[0].time, batch[-1].time + 1)
    (first,) = await first_of(connector.history([tag], *bounds), 1)
    assert first[0] == batch[0]
    assert len(await _recorded(connector, [tag], *bounds)) == len(batch)
