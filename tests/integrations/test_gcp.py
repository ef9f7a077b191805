"""Pub/Sub: messages and outputs, against a server of ours and Google's emulator."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import ConfigError, ConnectFailed, DataError, TagNotFound
from gl002.integrations.cloud import GCPIoTConnector, SyncGCPIoTConnector
from gl002.model import Sample, now_ns
from gl002.retry import RetryPolicy
from gl002.wire.pubsub import LARGEST_REQUEST, Message, requests
from integrations.gcp_site import Make, cloud, make, shared, topic
from peers.google_pubsub import PROJECT, Emulator, PubSub
from peers.web_server import Reply, WebServer
from rigs.messages import samples_in

fixtures = shared, cloud, topic, make


# ---- publishing -------------------------------------------------------------------------------


async def test_a_message_arrives_with_its_attributes_and_its_ordering_key(
    make: Make, cloud: PubSub, topic: str
) -> None:
    given = await make().publish(
        topic, {"efficiency": 85.4}, attributes={"boiler": "B001"}, ordering_key="b1",
        message_id="m1",
    )  # fmt: skip
    assert given
    assert cloud.messages(topic) == [(b'{"efficiency":85.4}', {"id": "m1", "boiler": "B001"}, "b1")]


async def test_a_batch_goes_in_few_requests_and_in_order(
    make: Make, cloud: PubSub, topic: str
) -> None:
    before = len(cloud.control())
    ids = await make(messages_per_second=100_000).publish_batch(
        topic, list(range(2500)), ordering_key="b1"
    )
    assert len(set(ids)) == 2500
    asked = [line for line in cloud.control()[before:] if line.endswith(":publish")]
    assert len(asked) == 3
    assert [int(data) for data, _, _ in cloud.messages(topic)] == list(range(2500))


def test_requests_keep_to_the_limits_of_the_service() -> None:
    large = [Message(data=b"x" * 3_000_000) for _ in range(5)]
    assert [len(part) for part in requests(large)] == [2, 2, 1]
    for part in requests(large):
        assert sum(len(base64.b64encode(m.data)) for m in part) < LARGEST_REQUEST
    keys = [Message(data=b"x", ordering_key=key) for key in ("a", "a", "b", "a")]
    assert [len(part) for part in requests(keys)] == [2, 1, 1], "a request has one ordering key"
    assert [len(part) for part in requests([Message(data=b"x")] * 1001)] == [1000, 1]
    assert list(requests([])) == []


@pytest.mark.parametrize(
    ("payload", "more", "word"),
    [
        (b"x" * 7_000_001, {}, "at most 7000000"),
        (b"x", {"attributes": {"a": "x" * 1025}}, "more than 1024"),
        (b"x", {"attributes": {"googclient": "x"}}, "no name of an attribute"),
        (b"x", {"attributes": {str(i): "x" for i in range(100)}}, "at most 100"),
        (b"x", {"ordering_key": "x" * 1025}, "ordering key"),
        (object(), {}, "no form"),
    ],
)
async def test_what_the_service_would_refuse_is_refused_before_it_is_sent(
    make: Make, payload: Any, more: Any, word: str
) -> None:
    gcp = make()
    with pytest.raises(DataError, match=word):
        await gcp.publish("any-topic", payload, **more)
    assert gcp.state is State.NEW


@pytest.mark.parametrize("name", ["ab", "1st", "goog-x", "a b c", "a/../b", "projects/p/topics/x"])
async def test_a_name_that_no_topic_can_have_is_refused(make: Make, name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a topic"):
        await make().publish(name, b"x")


async def test_a_topic_that_is_not_there_is_named_with_what_to_do(make: Make) -> None:
    with pytest.raises(TagNotFound, match=r"no-such-topic.*gcloud pubsub topics create"):
        await make().publish("no-such-topic", b"x")
    with pytest.raises(TagNotFound, match="gcloud pubsub subscriptions create"):
        await make().pull("no-such-subscription")


async def test_samples_are_not_at_fault_for_an_answer_of_somebody_else(make: Make) -> None:
    """They come again, and none is set aside as one that Pub/Sub does not take."""
    with WebServer(lambda seen: Reply(200, b"<html>login")) as proxy:
        gcp = make(emulator=f"127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectFailed, match="none of Pub/Sub") as caught:
            await _written(gcp, _batch(3), topic="any-topic")
        assert RetryPolicy.worth_it(caught.value)


# ---- outputs ----------------------------------------------------------------------------------


def _batch(count: int, tags: int = 2) -> list[Sample]:
    start = now_ns()
    return [Sample(f"t{i % tags}", float(i), start + i * 1000) for i in range(count)]


async def _written(gcp: GCPIoTConnector, batch: list[Sample], **spec: Any) -> None:
    sink = gcp.sink(gcp.Output.parse({"destination": "gcp", **spec}))
    await sink.write(batch)


async def test_an_output_identifies_its_messages_so_that_repeats_are_known(
    make: Make, cloud: PubSub, topic: str
) -> None:
    batch = _batch(50)
    for _ in range(2):
        await _written(make(), batch, topic=topic, attributes={"plant": "north"})
    first, second = cloud.messages(topic)
    assert first == second
    assert first[1] == {"id": json.loads(first[0])["id"], "plant": "north"}
    assert [s.value for s in samples_in([first[0]])] == [s.value for s in batch]


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ({}, {""}),
        ({"ordering_key": "{gateway}"}, {"gl002"}),
        ({"ordering_key": "{tag}"}, {"t0", "t1"}),
        ({"one_message": True}, {""}),
        ({"one_message": True, "ordering_key": "north"}, {"north"}),
    ],
)
async def test_an_ordering_key_decides_what_stays_in_order(
    make: Make, cloud: PubSub, topic: str, spec: Any, keys: set[str]
) -> None:
    await _written(make(), _batch(6), topic=topic, **spec)
    messages = cloud.messages(topic)
    assert {key for _, _, key in messages} == keys
    single = spec.get("one_message") or "tag" in spec.get("ordering_key", "")
    assert len(messages) == (6 if single else 1)
    assert [s.value for s in samples_in(d for d, _, _ in messages)] == [0, 1, 2, 3, 4, 5]


async def test_outputs_keep_the_pace_that_is_configured(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make(messages_per_second=100)
    await gcp.connect()
    start = time.monotonic()
    await _written(gcp, _batch(101), topic=topic, one_message=True)
    assert time.monotonic() - start > 0.9


# ---- the emulator -----------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [lambda: PubSub(open_to_all=True), *(
    [Emulator] if Emulator.installed() else [])])  # fmt: skip
async def test_an_emulator_named_by_the_usual_variable_needs_no_credentials(
    peer: Any, monkeypatch, caplog
) -> None:
    with peer() as there:
        there.create("samples", "samples")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{there.port}")
        async with GCPIoTConnector({"project": PROJECT}) as gcp:
            await _written(gcp, _batch(2500), topic="samples", one_message=True, interval=0)
            seen: dict[str, Any] = {}
            async with asyncio.timeout(90):
                while len(seen) < 2500:
                    messages = await gcp.pull("samples", most=1000)
                    seen |= {m.attributes["id"]: m.json() for m in messages}
                    await gcp.acknowledge("samples", messages)
            with pytest.raises(TagNotFound):
                await gcp.publish("absent", b"x")
    assert sorted(message["value"] for message in seen.values()) == list(range(2500))
    assert "talks to the emulator" in caplog.text


def test_the_blocking_face_publishes_and_pulls(cloud: PubSub, topic: str) -> None:
    with SyncGCPIoTConnector(cloud.config()) as gcp:
        gcp.publish(topic, {"efficiency": 85.4})
        (message,) = gcp.pull(topic)
        gcp.acknowledge(topic, [message])
    assert message.json() == {"efficiency": 85.4}
