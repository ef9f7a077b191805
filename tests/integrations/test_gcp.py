"""Pub/Sub against a server of ours and Google's emulator: messages, tokens, rights, trouble."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConfigError,
    ConnectFailed,
    DataError,
    NotAllowed,
    RequestTimeout,
    TagNotFound,
)
from gl002.integrations.cloud import GCPIoTConnector, SyncGCPIoTConnector
from gl002.model import Quality, Sample, now_ns
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.wire.pubsub import LARGEST_REQUEST, Message, requests
from peers.google_pubsub import PROJECT, Emulator, PubSub
from peers.pubsub.tokens import ACCOUNT
from peers.web_server import Reply, WebServer
from rigs.messages import samples_in

Make = Callable[..., GCPIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[PubSub]:
    with PubSub() as cloud:
        yield cloud


_names = iter(range(1_000_000))


@pytest.fixture
def cloud(shared: PubSub) -> Iterator[PubSub]:
    yield shared
    shared.control(
        deny=[], busy=0, retry_after="", refuse=None, skew=0, lifetime=3599, patience=10
    )  # fmt: skip


@pytest.fixture
def topic(cloud: PubSub) -> str:
    """A topic of this test's own, with a subscription of the same name."""
    name = f"topic-{next(_names)}"
    cloud.create(name, name)
    return name


@pytest.fixture
async def make(cloud: PubSub, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    made: list[GCPIoTConnector] = []

    def connector(port: int | None = None, *, allow: Any = None, **changes: Any) -> GCPIoTConnector:
        context = Context(network=Network(allow), audit=audit, state_dir=tmp_path)
        patience = {"retry_policy": {"max_attempts": 3, "first": 0.05}}
        settings = cloud.config(port, **patience | changes)
        made.append(
            GCPIoTConnector({k: v for k, v in settings.items() if v is not None}, context=context)
        )
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


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


# ---- who we are -------------------------------------------------------------------------------


async def test_a_token_is_renewed_before_it_ends_and_used_for_many_requests(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    before = cloud.control().count("POST /token")
    for _ in range(3):
        await gcp.publish(topic, b"x")
    assert cloud.control().count("POST /token") == before + 1
    cloud.control(lifetime=60)  # shorter than the time at which google-auth renews
    await gcp._who._refreshed()  # type: ignore[union-attr]
    for _ in range(2):
        await gcp.publish(topic, b"x")
    assert cloud.control().count("POST /token") == before + 4, "one for each request"


async def test_a_token_that_was_revoked_is_replaced_within_the_request(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    await gcp.publish(topic, b"x")
    cloud.control(revoke=True)
    await gcp.publish(topic, b"y")
    assert [data for data, _, _ in cloud.messages(topic)] == [b"x", b"y"]
    assert gcp.state is State.UP


async def test_while_no_new_token_can_be_had_the_old_one_is_used_on(
    make: Make, cloud: PubSub, topic: str, caplog
) -> None:
    cloud.control(lifetime=100)
    gcp = make()
    await gcp.publish(topic, b"x")
    cloud.control(skew=7200)  # its clock refuses our assertions, and it still knows the token
    await gcp.publish(topic, b"y")
    assert "cannot be renewed yet" in caplog.text
    assert len(cloud.messages(topic)) == 2


@pytest.mark.parametrize(("skew", "way"), [(7200, "behind"), (-7200, "ahead of")])
async def test_a_clock_that_is_wrong_is_said_with_how_much(
    make: Make, cloud: PubSub, skew: float, way: str
) -> None:
    cloud.control(skew=skew)
    with pytest.raises(AuthFailed, match=rf"clock of this machine is 7[12]\d\d s {way} Google's"):
        await make().connect()


async def test_a_key_that_google_does_not_know_is_an_error_for_a_person(
    make: Make, cloud: PubSub
) -> None:
    key = json.dumps(json.loads(cloud.key) | {"client_email": "gone@plant-1"})
    gcp = make(credentials_json=key)
    with pytest.raises(AuthFailed, match="account not found") as caught:
        await gcp.connect()
    assert not caught.value.retryable
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("nonsense", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"type": "authorized_user"}', "authorized_user"),
        ('{"type": "service_account"}', "cannot be used"),
        ('{"type": "external_account", "credential_source": {"executable": {}}}', "not used here"),
    ],
)
async def test_credentials_that_are_none_say_so(make: Make, content: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        await make(credentials_json=content).connect()


async def test_the_file_of_a_key_and_of_a_federation_are_read(
    make: Make, cloud: PubSub, topic: str, tmp_path: Path
) -> None:
    await make(credentials_json=None, credentials=str(cloud.key_file())).publish(topic, b"1")
    file = tmp_path / "federation.json"
    file.write_text(json.dumps(cloud.federation()))
    before = cloud.control().count("POST /sts")
    await make(credentials_json=None, credentials=str(file)).publish(topic, b"2")
    assert cloud.control().count("POST /sts") == before + 1
    with pytest.raises(ConfigError, match=r"absent\.json: No such file"):
        await make(credentials_json=None, credentials=str(tmp_path / "absent.json")).connect()


async def test_a_key_that_was_replaced_is_used_without_a_restart(
    make: Make, cloud: PubSub, topic: str, tmp_path: Path, caplog
) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(json.loads(cloud.key) | {"client_email": "gone@plant-1"}))
    gcp = make(credentials_json=None, credentials=str(file))
    with pytest.raises(AuthFailed, match="account not found"):
        await gcp.connect()
    file.write_text(cloud.key)
    await gcp.publish(topic, b"1")
    file.write_text("half of a ke")
    cloud.control(revoke=True)
    await gcp.publish(topic, b"2")
    assert "those before go on" in caplog.text
    assert len(cloud.messages(topic)) == 2


async def test_without_credentials_the_machine_itself_is_asked(
    make: Make, cloud: PubSub, topic: str, monkeypatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{cloud.port}")
    gcp = make(credentials_json=None)
    await gcp.publish(topic, b"x")
    assert (await gcp.check()).detail.endswith(f"as {ACCOUNT}")


async def test_the_allowlist_narrows_where_tokens_come_from(make: Make, cloud: PubSub) -> None:
    key = json.dumps(json.loads(cloud.key) | {"token_uri": "http://127.0.0.2:1/token"})
    gcp = make(credentials_json=key, allow=[f"127.0.0.1:{cloud.port}"])
    with pytest.raises(NotAllowed, match=r"127\.0\.0\.2:1.*network\.allow"):
        await gcp.connect()


# ---- what we may ------------------------------------------------------------------------------


async def test_a_missing_role_is_named_with_the_account(
    make: Make, cloud: PubSub, topic: str
) -> None:
    cloud.control(deny=["pubsub.topics.publish", "pubsub.subscriptions.consume"])
    gcp = make()
    with pytest.raises(AuthFailed, match=f"give {ACCOUNT} roles/pubsub.publisher"):
        await gcp.publish(topic, b"x")
    with pytest.raises(AuthFailed, match=f"give {ACCOUNT} roles/pubsub.subscriber"):
        await gcp.pull(topic)


async def test_who_may_publish_need_not_see_what_topics_there_are(
    make: Make, cloud: PubSub, topic: str
) -> None:
    cloud.control(deny=["pubsub.topics.get"])
    gcp = make()
    sink = gcp.sink(gcp.Output.parse({"destination": "gcp", "topic": topic}))
    await sink.prepare()
    await sink.write([Sample("o2", 3.1, now_ns())])
    assert (await gcp.check()).ok
    assert len(cloud.messages(topic)) == 1


async def test_an_api_that_is_turned_off_is_told_from_a_missing_role(
    make: Make, cloud: PubSub
) -> None:
    cloud.control(
        refuse=[403, "PERMISSION_DENIED", "Cloud Pub/Sub API has not been used", "SERVICE_DISABLED"]
    )
    with pytest.raises(AuthFailed, match="turn on the Pub/Sub API"):
        await make().connect()


async def test_a_quota_that_is_used_up_comes_again_until_it_is_too_long(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    await gcp.connect()
    cloud.control(busy=2)
    await gcp.publish(topic, b"x")
    cloud.control(busy=100, retry_after="120")
    with pytest.raises(Busy, match=r"429 RESOURCE_EXHAUSTED.*lower messages_per_second") as caught:
        await gcp.publish(topic, b"x")
    assert caught.value.retry_after == 120, "the flow waits as long as the service asks"
    assert gcp.state is State.UP


async def test_a_service_that_is_down_is_an_error_that_comes_again(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    await gcp.connect()
    cloud.control(refuse=[503, "UNAVAILABLE", "The service is currently unavailable.", ""])
    with pytest.raises(Busy, match="UNAVAILABLE"):
        await gcp.publish(topic, b"x")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>login"),
        Reply(200, b'{"receivedMessages": [{"ackId": 5}]}'),
        Reply(200, b'{"receivedMessages": [{"ackId": "a", "message": {"data": "?"}}]}'),
        Reply(200, b"[" * 100_000),
        Reply(200, b"{}", promised=500),
    ],
)
async def test_an_answer_that_is_none_is_an_error_of_ours(make: Make, reply: Reply) -> None:
    with WebServer(lambda seen: Reply(200, b"{}") if seen.method == "GET" else reply) as liar:
        gcp = make(emulator=f"127.0.0.1:{liar.port}")
        with pytest.raises(ConnectFailed) as caught:
            await gcp.pull("any-subscription")
        assert RetryPolicy.worth_it(caught.value), "an input goes on when Pub/Sub answers again"


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


# ---- inputs -----------------------------------------------------------------------------------


class Following:
    """Takes what a source delivers, as the flow does: asks for more when it is on disk."""

    def __init__(self, gcp: GCPIoTConnector, subscription: str, **spec: Any) -> None:
        self.samples: list[Sample] = []
        self.positions: list[bytes] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.source = gcp.source(
            gcp.Input.parse({"source": "gcp", "subscription": subscription, "wait": 1, **spec})
        )
        self._task: asyncio.Task[None] | None = None

    async def _run(self) -> None:
        async with self.source.open() as batches:
            async for batch in batches:
                self.samples += batch
                self.positions.append(self.source.position())
                await self.hold.wait()

    def last(self) -> dict[str, Any]:
        return {sample.tag: sample.value for sample in self.samples}

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_messages_become_tags_with_the_time_they_were_published_or_carry(
    make: Make, cloud: PubSub, topic: str
) -> None:
    spec = {"name_attribute": "deviceId", "tag": "{1}.{key}", "prefix": "cloud.", "time_key": "at"}
    async with Following(make(), topic, **spec) as following:
        cloud.publish(topic, {"o2": 3.1, "at": "2026-01-02T03:04:05Z"}, deviceId="b1")
        await eventually(lambda: following.samples, "it came")
        await eventually(lambda: cloud.backlog(topic) == 0, "and does not come again")
    (sample,) = following.samples
    assert (sample.tag, sample.value) == ("cloud.b1.o2", 3.1)
    assert sample.time == 1_767_323_045_000_000_000
    before = now_ns()
    async with Following(make(), topic) as following:
        cloud.publish(topic, {"o2": 3.2}, deviceId="b1")
        await eventually(lambda: following.samples, "it came")
    (sample,) = following.samples
    assert before - 1000 <= sample.time <= now_ns()  # the service tells microseconds


async def test_a_message_is_acknowledged_when_its_values_are_on_disk_and_not_before(
    make: Make, cloud: PubSub, topic: str
) -> None:
    async with Following(make(), topic) as following:
        following.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(lambda: following.samples, "it came")
        await asyncio.sleep(0.3)
        assert cloud.backlog(topic) == 1
        following.hold.set()
        await eventually(lambda: cloud.backlog(topic) == 0, "it was acknowledged")


async def test_what_was_on_disk_before_a_crash_is_not_delivered_twice(
    make: Make, cloud: PubSub, topic: str
) -> None:
    async with Following(make(), topic) as before:
        before.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(lambda: before.samples, "it came, and was not acknowledged")
    await before.source.close()  # hands it back, so that the test need not wait for the deadline
    after = Following(make(), topic)
    after.source.resume(before.positions[-1])
    async with after:
        cloud.publish(topic, {"o2": 2})
        await eventually(lambda: cloud.backlog(topic) == 0, "both are acknowledged")
    assert [s.value for s in after.samples] == [2]


async def test_the_deadline_is_extended_while_the_disk_is_slow(
    make: Make, cloud: PubSub, topic: str, monkeypatch
) -> None:
    monkeypatch.setattr("gl002.transport.pubsub.source._SOON", 0.2)
    before = len(cloud.control())
    async with Following(make(), topic, ack_deadline=20) as following:
        following.hold.clear()
        cloud.publish(topic, {"o2": 1})
        await eventually(
            lambda: any(line.endswith(":modifyAckDeadline") for line in cloud.control()[before:]),
            "the service was put off",
        )
        following.hold.set()
        await eventually(lambda: cloud.backlog(topic) == 0, "it was acknowledged")
    assert [s.value for s in following.samples] == [1]


async def test_the_deadline_is_extended_while_commands_are_answered(
    make: Make, cloud: PubSub, topic: str, monkeypatch
) -> None:
    monkeypatch.setattr("gl002.transport.pubsub.source._SOON", 0.0)  # however fast answers are
    cloud.publish(topic, *[{"id": f"w{n}", "point": "p", "value": n} for n in range(60)])
    answers = f"{topic}-answers"
    cloud.create(answers)
    before = len(cloud.control())
    async with Following(make(), topic, commands=True, answers=answers, ack_deadline=20):
        await eventually(lambda: len(cloud.messages(answers)) == 60, "all are answered")
        asked = cloud.control()[before:]
        first = next(i for i, line in enumerate(asked) if line.endswith(":publish"))
    put_off = [i for i, line in enumerate(asked) if line.endswith(":modifyAckDeadline")]
    assert put_off, "the service was put off"
    assert put_off[0] < first + 60, "while the first ones were answered"


async def test_what_cannot_be_read_is_a_bad_sample_and_goes_away(
    make: Make, cloud: PubSub, topic: str, caplog
) -> None:
    path = f"v1/projects/{PROJECT}/topics/{topic}:publish"
    bombs = [b"\xff\xfe", b"[1]", b"[" * 5000, b"{" * 5000, b'{"o2": 1e999}']
    messages = [{"data": base64.b64encode(bomb).decode()} for bomb in bombs]
    messages.append({"attributes": {"only": "attributes"}})
    assert cloud.ask("POST", path, {"messages": messages})[0] == 200
    async with Following(make(), topic) as following:
        await eventually(lambda: cloud.backlog(topic) == 0, "all are acknowledged")
        cloud.publish(topic, {"o2": 5})
        await eventually(lambda: following.last().get("o2") == 5, "the next one is read")
    bad = [s for s in following.samples if s.quality == Quality.BAD_DECODING_ERROR]
    assert len(bad) >= 4
    assert "cannot be read" in caplog.text


async def test_more_tags_than_allowed_are_left_out_and_counted(
    make: Make, cloud: PubSub, topic: str
) -> None:
    cloud.publish(topic, {f"t{i}": i for i in range(20)})
    async with Following(make(), topic, max_tags=5) as following:
        await eventually(lambda: cloud.backlog(topic) == 0, "it is acknowledged")
    assert len(following.last()) == 5
    assert following.source.skipped == 15


async def test_a_consumer_of_ones_own_pulls_acknowledges_and_hands_back(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    cloud.publish(topic, {"wish": 1}, {"wish": 2})
    first, second = await gcp.pull(topic)
    assert first.json() == {"wish": 1}
    await gcp.acknowledge(topic, [first])
    await gcp.postpone(topic, [second], 0)
    (again,) = await gcp.pull(topic)
    assert (again.id, again.json()) == (second.id, {"wish": 2})
    await gcp.acknowledge(topic, [again])


async def test_a_service_that_waits_longer_than_it_was_asked_to_is_no_outage(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make()
    await gcp.connect()
    cloud.control(patience=600)
    async with asyncio.timeout(60):
        assert await gcp.pull(topic, wait=1) == []
    assert gcp.state is State.UP


async def test_a_service_that_hangs_while_it_is_pulled_from_is_an_outage(
    make: Make, cloud: PubSub, topic: str
) -> None:
    gcp = make(retry_policy={"max_attempts": 1})
    await gcp.connect()
    gcp.set_timeout(500)
    cloud.freeze()
    try:
        with pytest.raises(RequestTimeout):
            await gcp.pull(topic, wait=1)
    finally:
        cloud.thaw()
    assert gcp.state is State.RETRYING


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
