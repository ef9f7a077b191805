"""The desired state of an AWS shadow as an input."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gl002.errors import RequestFailed
from gl002.integrations.cloud import AWSIoTConnector
from gl002.model import Quality, Sample, is_bad
from gl002.testing.contract.requests import eventually
from integrations.aws_site import Make, cloud, make, shared
from peers.aws_iot import THING

fixtures = shared, cloud, make


class Following:
    """Takes what a source delivers, and keeps it."""

    def __init__(self, aws: AWSIoTConnector, **spec: Any) -> None:
        self.samples: list[Sample] = []
        self.source = aws.source(AWSIoTConnector.Input.parse({"source": "aws", **spec}))
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.source.open() as batches:
            async for batch in batches:
                self.samples += batch

    def last(self) -> dict[str, Any]:
        return {sample.tag: sample.value for sample in self.samples}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_the_desired_state_becomes_tags_with_the_time_it_was_set(make: Make, cloud) -> None:
    cloud.shadows.desire({"o2": {"setpoint": 3.1}, "mode": "auto"})
    async with Following(make(), shadow="classic") as following:
        await eventually(lambda: len(following.samples) == 2, "the state now came")
        assert following.last() == {"desired.o2.setpoint": 3.1, "desired.mode": "auto"}
        stamped = cloud.shadows.shadow().metadata["desired"]["mode"]["timestamp"]
        assert {sample.time for sample in following.samples} == {stamped * 1_000_000_000}


async def test_a_wish_that_comes_true_again_is_seen_although_there_is_no_delta(
    make: Make, cloud
) -> None:
    aws = make()
    async with Following(aws, shadow="classic") as following:
        cloud.shadows.desire({"o2": 3.0})
        await eventually(lambda: following.last() == {"desired.o2": 3.0}, "the wish came")
        await aws.update_shadow({"state": {"reported": {"o2": 5.0}}})
        cloud.shadows.desire({"o2": 5.0})
        assert cloud.shadows.shadow().delta() == {}
        await eventually(lambda: following.last() == {"desired.o2": 5.0}, "no old wish stays")


async def test_what_is_no_longer_desired_loses_its_value(make: Make, cloud) -> None:
    cloud.shadows.desire({"o2": 3.1, "mode": "auto"})
    async with Following(make(), shadow="classic", prefix="wish.") as following:
        await eventually(lambda: len(following.samples) == 2, "the state came")
        cloud.shadows.desire({"o2": None})
        await eventually(lambda: following.last().get("wish.o2", 1) is None, "it is gone")
        assert is_bad(following.samples[-1].quality) or is_bad(following.samples[-2].quality)


async def test_an_older_document_brings_no_old_wish_back(make: Make, cloud) -> None:
    cloud.shadows.desire({"o2": 3.1})
    cloud.shadows.desire({"o2": 3.2})
    async with Following(make(), shadow="classic") as following:
        await eventually(lambda: following.last() == {"desired.o2": 3.2}, "the state came")
        late = {"current": {"state": {"desired": {"o2": 9}}, "metadata": {}, "version": 1}}
        cloud.shadows.publish(f"$aws/things/{THING}/shadow/update/documents", json.dumps(late))
        cloud.shadows.publish(f"$aws/things/{THING}/shadow/update/documents", "no JSON")
        await eventually(lambda: len(following.samples) == 2, "what cannot be read is told of")
        assert following.samples[-1].quality == Quality.BAD_DECODING_ERROR
        assert following.last()["desired.o2"] == 3.2


async def test_the_input_never_writes_and_the_connector_cannot(make: Make) -> None:
    with pytest.raises(RequestFailed, match="cannot be written"):
        await make().write("desired.o2", 3.1)
