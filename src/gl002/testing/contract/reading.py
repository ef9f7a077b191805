"""READ: current values, in order, with type, quality and time."""

from __future__ import annotations

import asyncio

import pytest

from gl002.connector import Capability
from gl002.errors import ConnectFailed, DataError, RequestTimeout
from gl002.model import is_bad, is_good, now_ns
from gl002.testing.contract.requests import hurried, other, same, until_it_works
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_DAY = 86_400 * 1_000_000_000


@needs(Capability.READ)
async def test_read_gives_values_in_the_order_asked_for(rig: Rig, make: Maker) -> None:
    tags = list(rig.readable)
    assert len(tags) >= 3, "a rig offers at least three readable values"
    for asked in (tags, tags[::-1]):
        samples = await make().read(asked)
        assert [sample.tag for sample in samples] == asked
        for sample in samples:
            expected = rig.readable[sample.tag]
            assert same(sample.value, expected), f"{sample.tag}: {sample.value!r}, not {expected!r}"
            assert is_good(sample.quality), sample


@needs(Capability.READ)
async def test_a_sample_read_has_a_time_of_its_source_in_nanoseconds(rig: Rig, make: Maker) -> None:
    for sample in await make().read(list(rig.readable)):
        assert now_ns() - _DAY < sample.time <= now_ns() + 5 * 1_000_000_000, sample


@needs(Capability.READ)
async def test_an_unknown_tag_is_a_bad_sample_and_harms_no_other(rig: Rig, make: Maker) -> None:
    tags = list(rig.readable)
    asked = [tags[0], rig.unknown, *tags[1:]]
    samples = await make().read(asked)
    assert [sample.tag for sample in samples] == asked
    assert [sample.tag for sample in samples if is_bad(sample.quality)] == [rig.unknown]
    assert samples[1].value is None


@needs(Capability.READ)
async def test_reading_nothing_gives_nothing(make: Maker) -> None:
    assert await make().read([]) == []


@needs(Capability.READ)
async def test_a_tag_asked_for_twice_comes_twice(rig: Rig, make: Maker) -> None:
    tag = next(iter(rig.readable))
    first, second = await make().read([tag, tag])
    assert (first.tag, first.value) == (second.tag, second.value) == (tag, first.value)


@needs(Capability.READ)
async def test_a_text_in_the_place_of_a_list_is_not_read_as_its_letters(make: Maker) -> None:
    with pytest.raises(DataError, match="is no list of tags"):
        await make().read("boiler1")


@needs(Capability.READ)
async def test_one_read_of_many_equals_many_reads_of_one(rig: Rig, make: Maker) -> None:
    connector = make()
    together = await connector.read(list(rig.readable))
    one_by_one = [sample for tag in rig.readable for sample in await connector.read([tag])]
    assert [(s.tag, s.value) for s in together] == [(s.tag, s.value) for s in one_by_one]


@needs(Capability.READ)
async def test_reads_that_overlap_do_not_mix_their_answers(rig: Rig, make: Maker) -> None:
    connector = make()
    tags = list(rig.readable) * 10
    answers = await asyncio.gather(*(connector.read([tag]) for tag in tags))
    for tag, (sample,) in zip(tags, answers, strict=True):
        assert sample.tag == tag
        assert same(sample.value, rig.readable[tag]), sample


@needs(Capability.READ, "set")
async def test_a_read_sees_the_value_of_now(rig: Rig, make: Maker) -> None:
    connector = make()
    tag, value = next(iter(rig.readable.items()))
    assert same((await connector.read([tag]))[0].value, value)
    rig.set(tag, other(value))
    try:
        (sample,) = await connector.read([tag])
        assert same(sample.value, other(value)), sample
    finally:
        rig.set(tag, value)


@needs(Capability.READ, "network")
async def test_a_read_over_a_cut_link_is_an_error_and_never_an_old_value(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    await connector.read(list(rig.readable))
    rig.link.cut()
    with hurried(connector), pytest.raises((ConnectFailed, RequestTimeout)):
        await connector.read(list(rig.readable))
    rig.link.restore()
    await until_it_works(rig, connector)
