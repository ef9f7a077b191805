"""STORE: everything arrives, twice does no harm, and what is refused is named."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gl002.connector import Capability, Connector
from gl002.errors import GL002Error, PartialWrite
from gl002.model import Batch, Quality, Sample, Value, is_bad, now_ns
from gl002.sink import Sink
from gl002.testing.contract.requests import SOON, eventually
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_MILLISECOND = 1_000_000  # the resolution that every destination has
_names = itertools.count(1)
STORED = "contract.t"
"""How the names of tags begin that this suite stores."""


def numbered(count: int, *, tags: int = 3) -> Batch:
    """Samples of tags never used before; each value is its own number, each time its own."""
    start = now_ns() // _MILLISECOND * _MILLISECOND - count * _MILLISECOND
    names = [f"{STORED}{next(_names)}_{start}" for _ in range(tags)]
    return [
        Sample(names[i % tags], float(i // tags), start + i * _MILLISECOND) for i in range(count)
    ]


@asynccontextmanager
async def _sink(rig: Rig, connector: Connector[Any]) -> AsyncIterator[Sink]:
    assert connector.Output is not None
    sink = connector.sink(connector.Output.parse(rig.output))
    await sink.prepare()
    try:
        yield sink
    finally:
        await sink.close()


def _stored(rig: Rig, batch: Batch) -> Batch:
    """What the counterpart has of the tags of a batch, oldest first."""
    tags = {sample.tag for sample in batch}
    return sorted((s for s in rig.stored() if s.tag in tags), key=lambda s: (s.time, s.tag))


def holds(rig: Rig, batch: Batch) -> bool:
    """Whether the counterpart has something of every tag and time of a batch: all, not the last."""
    return {(s.tag, s.time) for s in batch} <= {(s.tag, s.time) for s in rig.stored()}


async def _arrived(rig: Rig, batch: Batch) -> None:
    """Every sample of a batch has arrived exactly once, with its value, time and quality."""
    await eventually(
        lambda: holds(rig, batch), lambda: f"{len(_stored(rig, batch))} of {len(batch)} arrived"
    )
    stored = _stored(rig, batch)
    doubled = [key for key, n in Counter((s.tag, s.time) for s in stored).items() if n > 1]
    assert doubled == []
    expected = sorted(batch, key=lambda s: (s.time, s.tag))
    assert [_facts(s) for s in stored] == [_facts(s) for s in expected]


def _facts(sample: Sample) -> tuple[str, int, Value, int]:
    return sample.tag, sample.time, sample.value, sample.quality


@needs(Capability.STORE)
async def test_a_batch_arrives_whole(rig: Rig, make: Maker) -> None:
    batch = numbered(1000)
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_every_type_of_value_arrives_as_it_is(rig: Rig, make: Maker) -> None:
    values: list[Value] = [True, False, 0, -1, 2**31, 0.0, 1e-300, -2.5, "", "text", "läuft ✓ 中文"]
    batch = [
        Sample(f"{sample.tag}_{i}", value, sample.time)
        for i, (sample, value) in enumerate(zip(numbered(len(values)), values, strict=True))
    ]
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await _arrived(rig, batch)
        by_tag = {sample.tag: sample.value for sample in _stored(rig, batch)}
        for sample in batch:
            assert isinstance(by_tag[sample.tag], str) == isinstance(sample.value, str), sample


@needs(Capability.STORE)
async def test_quality_and_the_absence_of_a_value_arrive(rig: Rig, make: Maker) -> None:
    good, uncertain, bad = numbered(3)
    batch = [
        good,
        Sample(uncertain.tag, 1.5, uncertain.time, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE),
        Sample(bad.tag, None, bad.time, Quality.BAD_NO_COMMUNICATION),
    ]
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_the_same_batch_twice_does_no_harm(rig: Rig, make: Maker) -> None:
    batch = numbered(300)
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await sink.write(batch)
        await _arrived(rig, batch)
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_a_sample_twice_in_one_batch_arrives_once(rig: Rig, make: Maker) -> None:
    batch = numbered(10)
    async with _sink(rig, make()) as sink:
        await sink.write([*batch, *batch])
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_nothing_to_write_is_harmless(rig: Rig, make: Maker) -> None:
    async with _sink(rig, make()) as sink:
        await sink.write([])


@needs(Capability.STORE)
async def test_preparing_again_and_closing_twice_are_harmless(rig: Rig, make: Maker) -> None:
    batch = numbered(3)
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await sink.prepare()
        await _arrived(rig, batch)
        await sink.close()


@needs(Capability.STORE)
async def test_late_samples_arrive_beside_newer_ones(rig: Rig, make: Maker) -> None:
    batch = numbered(100)
    async with _sink(rig, make()) as sink:
        await sink.write(batch[50:])
        await sink.write(batch[:50])
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_names_that_look_like_code_are_only_names(rig: Rig, make: Maker) -> None:
    names = ["it's; DROP TABLE samples; --", 'a"b', "a/b+c#d", "boiler 1 ü", "%s {tag} $1"]
    batch = [
        Sample(f"{sample.tag} {name}", 1.0, sample.time)
        for sample, name in zip(numbered(len(names)), names, strict=True)
    ]
    async with _sink(rig, make()) as sink:
        await sink.write(batch)
        await _arrived(rig, batch)


@needs(Capability.STORE)
async def test_numbers_that_are_none_harm_no_other_sample(rig: Rig, make: Maker) -> None:
    batch = numbered(9)
    odd = {2: math.nan, 4: math.inf, 6: -math.inf}
    mixed = [Sample(s.tag, odd.get(i, s.value), s.time) for i, s in enumerate(batch)]
    rejected: set[int] = set()
    async with _sink(rig, make()) as sink:
        try:
            await sink.write(mixed)
        except PartialWrite as error:
            rejected = set(error.rejected)
        assert rejected <= set(odd)
        plain = {(s.tag, s.time): s for i, s in enumerate(batch) if i not in odd}
        await eventually(lambda: holds(rig, list(plain.values())), "all arrived")
        for sample in _stored(rig, batch):
            if (sample.tag, sample.time) in plain:
                assert sample.value == plain[sample.tag, sample.time].value
            else:
                kept = isinstance(sample.value, float) and not math.isfinite(sample.value)
                assert kept or is_bad(sample.quality), f"a number was made up: {sample}"


@needs(Capability.STORE, "refused")
async def test_what_is_refused_is_named_and_harms_no_other(rig: Rig, make: Maker) -> None:
    batch = numbered(50)
    with_refused = list(batch)
    for place in (40, 17, 0):
        with_refused.insert(place, _at(rig.refused(), now_ns() + place * _MILLISECOND))
    places = {i for i, s in enumerate(with_refused) if s not in batch}
    async with _sink(rig, make()) as sink:
        with pytest.raises(PartialWrite) as caught:
            await sink.write(with_refused)
        assert set(caught.value.rejected) == places
        assert all(caught.value.rejected.values()), "each with a reason"
        await _arrived(rig, batch)


def _at(sample: Sample, time: int) -> Sample:
    return Sample(sample.tag, sample.value, time // _MILLISECOND * _MILLISECOND, sample.quality)


@needs(Capability.STORE, "network")
async def test_a_write_over_a_cut_link_comes_again_and_arrives_once(rig: Rig, make: Maker) -> None:
    batch = numbered(300)
    async with _sink(rig, make()) as sink:
        await sink.write(batch[:100])
        rig.link.cut()
        with pytest.raises(GL002Error) as caught:
            await sink.write(batch[100:])
        assert caught.value.retryable
        rig.link.restore()
        await _until_written(sink, batch[100:])
        await _arrived(rig, batch)


@needs(Capability.STORE, "network")
async def test_a_write_whose_answer_is_lost_comes_again_and_arrives_once(
    rig: Rig, make: Maker
) -> None:
    batch = numbered(300)
    connector = make()
    async with _sink(rig, connector) as sink:
        await sink.write(batch[:100])
        connector.set_timeout(500)
        rig.link.drop_replies()
        with pytest.raises(GL002Error) as caught:
            async with asyncio.timeout(SOON):
                await sink.write(batch[100:])
        assert caught.value.retryable
        rig.link.restore()
        connector.set_timeout(10_000)
        await _until_written(sink, batch[100:])
        await _arrived(rig, batch)


@needs(Capability.STORE, "restart")
async def test_a_restart_of_the_counterpart_loses_and_doubles_nothing(
    rig: Rig, make: Maker
) -> None:
    batch = numbered(300)
    async with _sink(rig, make()) as sink:
        await sink.write(batch[:150])
        await asyncio.to_thread(rig.restart)
        await _until_written(sink, batch[150:])
        await _arrived(rig, batch)


async def _until_written(sink: Sink, batch: Batch) -> None:
    """Write as the flow does: prepare and try again until it is delivered."""
    async with asyncio.timeout(SOON):
        while True:
            with suppress(GL002Error):
                await sink.prepare()
                await sink.write(batch)
                return
            await asyncio.sleep(0.05)


@needs(Capability.STORE)
async def test_an_output_with_an_unknown_key_is_refused(rig: Rig, make: Maker) -> None:
    spec = make().Output
    assert spec is not None
    with pytest.raises(ValueError, match="unknown key 'nonsense_key'"):
        spec.parse({**rig.output, "nonsense_key": 1})
