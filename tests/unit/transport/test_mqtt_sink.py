"""Samples as messages: what repeats after a failure carries the id it had."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from gl002.errors import ConnectFailed, DataError, PartialWrite
from gl002.model import Sample, TagTable
from gl002.transport.mqtt.sink import MQTTSink, Outgoing
from gl002.wire.sample_topic import topic_template


class Line:
    """Takes messages; what it has when it fails may have arrived all the same."""

    def __init__(self) -> None:
        self.down = False
        self.arrived: list[dict] = []

    async def __call__(self, messages: Sequence[Outgoing]) -> Sequence[DataError | None]:
        self.arrived += [json.loads(message.payload) for message in messages]
        if self.down:
            raise ConnectFailed("cut")
        return [None] * len(messages)

    def numbers(self) -> list[float]:
        """What a consumer has that drops messages whose id it knows."""
        by_id = {message["id"]: message["samples"] for message in self.arrived}
        return [sample["value"] for samples in by_id.values() for sample in samples]


def _sink(line: Line) -> MQTTSink:
    return MQTTSink(
        "mqtt", topic_template("t"), line, gateway="g", tags=TagTable(), largest=100_000
    )  # fmt: skip


def _samples(*numbers: float) -> list[Sample]:
    return [Sample("a", number, int(number)) for number in numbers]


async def test_a_batch_that_has_grown_while_the_line_was_down_repeats_known_messages() -> None:
    line = Line()
    sink = _sink(line)
    line.down = True
    for batch in (_samples(1, 2), _samples(1, 2, 3), _samples(1, 2, 3, 4, 5)):
        with pytest.raises(ConnectFailed):
            await sink.write(batch)
    line.down = False
    await sink.write(_samples(1, 2, 3, 4, 5, 6))
    assert line.numbers() == [1, 2, 3, 4, 5, 6]


async def test_what_was_delivered_is_not_remembered_and_another_batch_is_cut_anew() -> None:
    line = Line()
    sink = _sink(line)
    await sink.write(_samples(1, 2))
    await sink.write(_samples(1, 2, 3))
    assert [len(message["samples"]) for message in line.arrived] == [2, 3]
    line.down = True
    with pytest.raises(ConnectFailed):
        await sink.write(_samples(4, 5))
    line.down = False
    await sink.write(_samples(5, 6))
    assert [len(message["samples"]) for message in line.arrived] == [2, 3, 2, 2]


async def test_what_is_refused_is_named_by_its_place_in_the_whole_batch() -> None:
    line = Line()
    sink = _sink(line)
    line.down = True
    with pytest.raises(ConnectFailed):
        await sink.write(_samples(1, 2))
    line.down = False
    with pytest.raises(PartialWrite) as caught:
        await sink.write([*_samples(1, 2, 3), Sample("b", "x" * 200_000, 4), *_samples(5)])
    assert set(caught.value.rejected) == {3}
    assert line.numbers() == [1, 2, 3, 5]
