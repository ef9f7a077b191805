"""AWS IoT Core against mosquitto and a shadow service: shadows, messages, certificates, trouble."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
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
    RequestFailed,
    TagNotFound,
)
from gl002.integrations.cloud import AWSIoTConnector, SyncAWSIoTConnector
from gl002.model import Quality, Sample, is_bad
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.transport.mqtt import line
from gl002.wire.aws_iot import LARGEST_MESSAGE, VersionConflict
from gl002.wire.aws_jobs import Job
from peers import certificates
from peers.aws_iot import THING, AWSBroker, AWSIoT
from peers.front import Connect, Front, Throttle, Verdict
from peers.mosquitto import Watcher, wait_for

DELTA = f"$aws/things/{THING}/shadow/update/delta"
Make = Callable[..., AWSIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[AWSIoT]:
    with AWSIoT() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: AWSIoT) -> Iterator[AWSIoT]:
    """The cloud, with no shadow, no job and no session of another test in it."""
    shared.broker.forget(THING)
    shared.shadows.reset()
    shared.jobs.reset()
    yield shared
    assert shared.shadows.errors + shared.jobs.errors == []


@pytest.fixture
async def make(cloud: AWSIoT, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AWSIoTConnector] = []

    def connector(port: int | None = None, **changes: Any) -> AWSIoTConnector:
        made.append(AWSIoTConnector(cloud.config(port, **changes), context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def fast(**more: Any) -> dict[str, Any]:
    return {"retry_policy": {"max_attempts": 3, "first": 0.05}, **more}


# ---- shadows ----------------------------------------------------------------------------------


async def test_an_update_returns_what_the_shadow_service_has_accepted(make: Make, cloud) -> None:
    accepted = await make().update_shadow({"state": {"reported": {"efficiency": 85.4}}})
    assert accepted["state"] == {"reported": {"efficiency": 85.4}}
    assert accepted["version"] == 1
    assert cloud.shadows.shadow().state == {"reported": {"efficiency": 85.4}}


async def test_named_shadows_are_apart_from_the_classic_one(make: Make, cloud) -> None:
    aws = make()
    await aws.update_shadow({"state": {"reported": {"o2": 3.4}}}, shadow="combustion")
    await aws.update_shadow({"state": {"reported": {"o2": 1.0}}})
    assert cloud.shadows.shadow(name="combustion").state == {"reported": {"o2": 3.4}}
    assert (await aws.get_shadow(shadow="combustion"))["state"]["reported"] == {"o2": 3.4}
    await aws.delete_shadow(shadow="combustion")
    with pytest.raises(TagNotFound, match="No shadow exists"):
        await aws.get_shadow(shadow="combustion")


async def test_an_update_for_another_version_changes_nothing_and_says_so(make: Make, cloud) -> None:
    aws = make()
    first = await aws.update_shadow({"state": {"reported": {"o2": 3.4}}})
    await aws.update_shadow({"state": {"reported": {"o2": 3.5}}}, version=first["version"])
    with pytest.raises(VersionConflict, match="Version conflict") as caught:
        await aws.update_shadow({"state": {"reported": {"o2": 9.9}}}, version=first["version"])
    assert not caught.value.retryable
    assert cloud.shadows.shadow().state == {"reported": {"o2": 3.5}}
    assert aws.state is State.UP


async def test_answers_find_the_request_they_belong_to(make: Make) -> None:
    aws = make()
    updates = [{"state": {"reported": {f"t{i}": i}}} for i in range(20)]
    accepted = await asyncio.gather(*(aws.update_shadow(update) for update in updates))
    assert [answer["state"] for answer in accepted] == [update["state"] for update in updates]
    assert sorted(answer["version"] for answer in accepted) == list(range(1, 21))


async def test_the_answer_to_another_client_is_not_ours(make: Make, cloud) -> None:
    aws = make()
    await aws.update_shadow({"state": {"reported": {"o2": 1}}})
    with Watcher(cloud.broker.port, f"$aws/things/{THING}/shadow/update/accepted") as other:
        request = {"state": {"reported": {"o2": 2}}, "clientToken": "not-ours"}
        other.publish(f"$aws/things/{THING}/shadow/update", json.dumps(request))
        other.received(1)
    assert (await aws.update_shadow({"state": {"reported": {"o2": 3}}}))["version"] == 3


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"reported": {"o2": 3}}, "has a 'state'"),
        ({"state": {"reported": {"text": "x" * 9000}}}, "at most 8192 bytes"),
        ({"state": {"wrong": {"o2": 3}}}, "invalid node"),
    ],
)
async def test_a_document_that_is_none_is_refused(make: Make, document: Any, word: str) -> None:
    with pytest.raises(DataError, match=word):
        await make().update_shadow(document)


async def test_a_name_that_no_shadow_can_have_is_refused_before_it_is_sent(make: Make) -> None:
    with pytest.raises(ConfigError, match="no name of a shadow"):
        await make().get_shadow(shadow="a/b")


async def test_too_many_requests_come_again_until_they_are_too_many(make: Make, cloud) -> None:
    aws = make(**fast())
    cloud.shadows.busy = 2
    assert (await aws.update_shadow({"state": {"reported": {"o2": 3}}}))["version"] == 1
    cloud.shadows.busy = 100
    with pytest.raises(Busy, match="429"):
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
    assert aws.state is State.UP


async def test_a_silent_shadow_service_is_told_from_a_dead_connection(make: Make, cloud) -> None:
    aws = make(retry_policy={"max_attempts": 1})
    await aws.update_shadow({"state": {"reported": {"o2": 3}}})  # now it listens to answers
    aws.set_timeout(3000)
    cloud.shadows.silent = True
    with pytest.raises(Busy, match="policy"):
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
    assert aws.state is State.UP


async def test_a_silent_shadow_service_on_a_slow_line_is_no_dead_connection(
    make: Make, cloud
) -> None:
    with Link(cloud.broker.mutual_port) as link:
        aws = make(link.port, retry_policy={"max_attempts": 1})
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        aws.set_timeout(3000)
        cloud.shadows.silent = True
        link.delay(0.3)  # the broker's word that it has the request comes after 0.6 s
        with pytest.raises(Busy, match="policy"):
            await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        assert aws.state is State.UP
        await aws.close()


async def test_a_cut_while_the_answer_is_awaited_ends_the_wait(make: Make, cloud) -> None:
    with Link(cloud.broker.mutual_port) as link:
        aws = make(link.port, retry_policy={"max_attempts": 1}, timeout=100)
        await aws.connect()
        cloud.shadows.silent = True
        asking = asyncio.create_task(aws.update_shadow({"state": {"reported": {"o2": 3}}}))
        await eventually(lambda: cloud.shadows.unanswered, "the request is under way")
        link.cut()
        with pytest.raises(ConnectFailed):
            async with asyncio.timeout(50):
                await asking
        link.restore()
        cloud.shadows.silent = False
        await aws.update_shadow({"state": {"reported": {"o2": 3}}})
        await aws.close()


# ---- deltas -----------------------------------------------------------------------------------


async def test_a_delta_reaches_the_callback_of_the_guide(make: Make, cloud) -> None:
    received: list[Any] = []
    await make().subscribe(DELTA, received.append)
    cloud.shadows.desire({"o2": 3.1})
    await eventually(lambda: received, "the delta came")
    assert received[0].json()["state"] == {"o2": 3.1}


async def test_what_was_desired_before_comes_at_once_and_an_old_delta_never(
    make: Make, cloud
) -> None:
    cloud.shadows.desire({"o2": 3.1})
    received: list[Any] = []
    aws = make()
    await aws.on_delta(received.append)
    await eventually(lambda: received, "what is desired now came")
    assert (received[0].state, received[0].version) == ({"o2": 3.1}, 1)
    cloud.shadows.desire({"o2": 3.2})
    await eventually(lambda: len(received) == 2, "the change came")
    late = {"version": 1, "timestamp": 1, "state": {"o2": 9}, "metadata": {}}
    cloud.shadows.publish(DELTA, json.dumps(late))
    cloud.shadows.desire({"o2": 3.3})
    await eventually(lambda: len(received) == 3, "the next change came")
    assert [delta.state["o2"] for delta in received] == [3.1, 3.2, 3.3]


async def test_a_topic_of_another_thing_is_warned_of(make: Make, caplog) -> None:
    aws = make()
    await aws.subscribe("$aws/things/gl002/shadow/update/delta", print)
    assert "thing_name" in caplog.text
    caplog.clear()
    await make(thing_name="gl002", client_id="other").subscribe(
        "$aws/things/gl002/shadow/update/delta", print
    )
    assert caplog.text == ""


# ---- jobs -------------------------------------------------------------------------------------


async def test_jobs_are_done_in_turn_and_their_end_is_told(make: Make, cloud) -> None:
    cloud.jobs.create("first", {"do": "report"})
    cloud.jobs.create("second", {"do": "fail"})
    done: list[Job] = []

    async def handle(job: Job) -> Any:
        done.append(job)
        if job.document["do"] == "fail":
            raise ValueError("no such recipe")
        return {"rows": 12}

    aws = make()
    await aws.on_job(handle)
    await eventually(lambda: len(done) == 2, "those that waited were begun")
    cloud.jobs.create("third", {"do": "report"})
    await eventually(lambda: cloud.jobs.status("third")[0] == "SUCCEEDED", "the new one, too")
    assert [job.id for job in done] == ["first", "second", "third"]
    assert cloud.jobs.status("first") == ("SUCCEEDED", {"rows": "12"})
    assert cloud.jobs.status("second") == ("FAILED", {"reason": "ValueError: no such recipe"})


async def test_a_job_that_was_begun_and_not_ended_is_handed_over_again(make: Make, cloud) -> None:
    cloud.jobs.create("begun", {"do": "report"})
    never = asyncio.Event()
    first, again = [], []

    async def hang(job: Job) -> None:
        first.append(job)
        await never.wait()

    aws = make()
    await aws.on_job(hang)
    await eventually(lambda: first, "it was begun")
    await aws.close()
    assert cloud.jobs.status("begun")[0] == "IN_PROGRESS"
    await make().on_job(again.append)
    await eventually(lambda: cloud.jobs.status("begun")[0] == "SUCCEEDED", "it was done")
    assert [job.id for job in again] == ["begun"]


async def test_a_job_that_somebody_else_has_ended_is_left_as_it_is(
    make: Make, cloud, caplog
) -> None:
    cloud.jobs.create("ended", {})

    def meanwhile(job: Job) -> None:
        cloud.jobs.executions[0]["status"] = "REJECTED"

    await make().on_job(meanwhile)
    await eventually(lambda: "InvalidStateTransition" in caplog.text, "it was refused and said")
    assert cloud.jobs.status("ended")[0] == "REJECTED"


# ---- the desired state as an input --------------------------------------------------------------


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


# ---- messages ---------------------------------------------------------------------------------


async def test_a_rule_is_reached_by_its_own_topic(make: Make, cloud) -> None:
    with Watcher(cloud.broker.port, "$aws/rules/#") as rules:
        await make().publish("$aws/rules/boilers/plant/1/2/3/4/5/6/o2", {"o2": 3.4})
        assert rules.json(1) == [{"o2": 3.4}]


async def test_topics_and_messages_beyond_the_limits_are_refused_before_they_are_sent(
    make: Make,
) -> None:
    aws = make()
    for topic in ("plant/" + "a/" * 7 + "o2", "plant/" + "x" * 260):
        with pytest.raises(ConfigError, match="7 slashes"):
            await aws.publish(topic, 1)
    with pytest.raises(DataError, match="131072"):
        await aws.publish("plant/large", b"x" * (LARGEST_MESSAGE + 1))
    with pytest.raises(DataError, match="qos 2"):
        await aws.publish("plant/o2", 1, qos=2)
    with pytest.raises(ConfigError, match="takes 8 at once"):
        await aws.subscribe([f"plant/{i}" for i in range(9)], print)
    assert aws.state is State.NEW


async def test_a_batch_is_split_into_messages_that_aws_takes(make: Make, cloud) -> None:
    aws = make()
    spec = {"destination": "aws", "topic": "$aws/rules/boilers/plant"}
    sink = aws.sink(AWSIoTConnector.Output.parse(spec))
    batch = [Sample(f"boiler1.tag{i:05}", i * 1.5, i * 1_000_000) for i in range(5000)]
    with Watcher(cloud.broker.port, "$aws/rules/#") as rules:
        await sink.write(batch)
        messages = rules.received(1)
        await eventually(
            lambda: sum(len(json.loads(m.payload)["samples"]) for m in rules.messages) == 5000,
            "all samples came",
        )
        messages = rules.messages
    assert len(messages) > 1
    assert max(len(message.payload) for message in messages) <= LARGEST_MESSAGE
    assert len({json.loads(message.payload)["id"] for message in messages}) == len(messages)


async def test_messages_beyond_the_quota_come_again_and_say_what_would_help(
    make: Make, cloud
) -> None:
    """MQTT's form of throttling: an acknowledgement that says 'quota exceeded'."""
    with Throttle(server_side(cloud), cloud.broker.port) as front:
        aws = make(front.port, **fast())
        front.refuses = 2
        await aws.publish("plant/o2", 1)
        assert front.refuses == 0
        front.refuses = 100
        with pytest.raises(Busy, match=r"Quota exceeded.*messages_per_second") as caught:
            await aws.publish("plant/o2", 2)
        assert caught.value.retryable
        sink = aws.sink(AWSIoTConnector.Output.parse({"destination": "aws", "topic": "plant/all"}))
        with Watcher(cloud.broker.port, "plant/all") as plant:
            with pytest.raises(Busy, match="messages_per_second"):
                await sink.write([Sample("o2", 3.1, 1)])
            front.refuses = 0
            await sink.write([Sample("o2", 3.1, 1)])
            assert [json.loads(m.payload)["samples"][0]["value"] for m in plant.received(1)] == [
                3.1
            ]
        assert (aws.state, len(front.seen)) == (State.UP, 1), "the session stands"
        await aws.close()


async def test_a_session_that_is_ended_for_its_quota_says_what_would_help(
    make: Make, cloud, caplog
) -> None:
    with Throttle(server_side(cloud), cloud.broker.port) as front:
        aws = make(front.port, retry_policy={"max_attempts": 1})
        await aws.connect()
        front.hangs_up = True
        with pytest.raises(ConnectFailed, match=r"Quota exceeded.*messages_per_second"):
            await aws.publish("plant/o2", 1)
        front.hangs_up = False
        await aws.publish("plant/o2", 2)
        await aws.close()
    assert "messages_per_second" in caplog.text


# ---- who may ----------------------------------------------------------------------------------


async def test_what_the_policy_does_not_allow_is_refused_and_said(make: Make) -> None:
    aws = make()
    with pytest.raises(RequestFailed, match="Not authorized"):
        await aws.publish("elsewhere/o2", 1)
    await aws.publish("plant/o2", 1)


async def test_without_a_certificate_it_says_where_one_is_looked_for(make: Make, tmp_path) -> None:
    aws = make(cert_path=None, key_path=None)
    with pytest.raises(ConfigError, match="cert_path") as caught:
        await aws.connect()
    assert str(tmp_path / "aws" / "device.pem.crt") in str(caught.value)


async def test_the_certificate_in_the_state_folder_is_enough(make: Make, cloud, tmp_path) -> None:
    cert, key = cloud.certificate()
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "device.pem.crt").write_bytes(cert.read_bytes())
    private = tmp_path / "aws" / "private.pem.key"
    private.write_bytes(key.read_bytes())
    private.chmod(0o600)
    aws = make(cert_path=None, key_path=None)
    await aws.connect()
    assert (await aws.check()).ok


async def test_a_certificate_that_was_replaced_is_used_without_a_restart(
    make: Make, cloud, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(line, "_LOOK_AT_FILES", 0.05)
    cert, key = cloud.certificate()
    ours, held, good = tmp_path / "ours.pem", tmp_path / "ours.key", tmp_path / "good.pem"
    for source, target in ((cert, good), (cert, ours), (key, held)):
        shutil.copy(source, target)
    aws = make(cert_path=str(ours), key_path=str(held))
    await aws.connect()
    first = aws._session
    ours.write_text("half a file")
    await eventually(lambda: "goes on with the certificate it has" in caplog.text, "told")
    assert aws._session is first
    shutil.copy(good, ours)
    await eventually(lambda: aws._session not in {first, None}, "the session is renewed")
    await aws.publish("plant/o2", 1)


async def test_a_revoked_certificate_is_refused_and_a_person_is_asked(tmp_path, cloud) -> None:
    authority = certificates.make(name="authority", authority=True, hosts=(), uri="")
    ours = certificates.make(
        uri="", hosts=(), name=THING, issuer=authority, which=1, purposes=None
    )  # fmt: skip
    revoked = certificates.revocations(authority, ours)
    with RevokingBroker(authority, revoked) as broker:
        cert, key = ours.save(tmp_path, "ours")
        settings = {
            "endpoint": f"localhost:{broker.mutual_port}", "client_id": THING,
            "cert_path": str(cert), "key_path": str(key), "ca_path": str(broker.server_ca),
        }  # fmt: skip
        context = Context(
            network=Network(), audit=Audit(tmp_path / "a.jsonl"), state_dir=tmp_path
        )  # fmt: skip
        aws = AWSIoTConnector(settings, context=context)
        with pytest.raises(AuthFailed, match=r"refused our certificate.*revoked"):
            await aws.connect()
        assert aws.state is State.FAILED
        await aws.close()
        context.audit.close()


class RevokingBroker(AWSBroker):
    """Trusts clients of one authority, but for those on its list."""

    def __init__(self, clients: certificates.Made, revoked: bytes) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        as_text = x509.load_der_x509_crl(revoked).public_bytes(Encoding.PEM)
        super().__init__(revoked=as_text)
        self.server_ca = self.folder / "server-ca.pem"
        self.server_ca.write_bytes(self.ca.read_bytes())
        self.ca.write_bytes(clients.pem)


async def test_a_certificate_that_ends_soon_is_a_note_of_the_check(
    make: Make, cloud, tmp_path
) -> None:
    aws = make()
    assert (await aws.check()).notes == ()
    short = certificates.make(name=THING, end=timedelta(days=11, hours=1))
    cert, key = short.save(tmp_path, "short")
    health = await make(cert_path=str(cert), key_path=str(key)).check()
    assert "our certificate ends on" in health.notes[0]
    assert health.notes[0].endswith("in 11 days")


def server_side(cloud: AWSIoT) -> ssl.SSLContext:
    """TLS of the broker, which wants a certificate of the client."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cloud.broker.ca)
    server.load_cert_chain(cloud.broker.folder / "server.pem", cloud.broker.folder / "server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    return server


async def test_port_443_says_in_the_handshake_that_this_is_mqtt(make: Make, cloud) -> None:
    server = server_side(cloud)
    server.set_alpn_protocols(["x-amzn-mqtt-ca", "http/1.1"])

    def only_mqtt(connect: Connect) -> Verdict:
        return Verdict(0 if connect.alpn == "x-amzn-mqtt-ca" else 0x87)

    with Front(server, cloud.broker.port, only_mqtt) as front:
        aws = make(front.port, alpn=True)
        await aws.publish("plant/o2", 1)
        (seen,) = front.seen
        assert (seen.client_id, seen.level, seen.username) == (THING, 5, "")
        assert seen.certificate["subject"][-1:] == ((("commonName", THING),),)
        await aws.close()
    assert make(443).config.says_alpn
    assert not make(8883).config.says_alpn


async def test_a_second_client_of_the_same_name_is_named_as_the_cause(make: Make, caplog) -> None:
    first, second = make(), make()
    await first.connect()
    caplog.set_level(logging.WARNING)
    await second.connect()
    await eventually(lambda: first.state is State.RETRYING, "the first was cut off")
    assert f"another client use the client_id '{THING}'" in caplog.text


# ---- outages ----------------------------------------------------------------------------------


async def test_after_an_outage_the_subscription_and_the_shadow_are_back(make: Make) -> None:
    with AWSIoT() as own:
        aws = make(own.broker.mutual_port, **{
            key: value for key, value in own.config().items() if key.endswith("_path")
        }, **fast())  # fmt: skip
        received: list[Any] = []
        await aws.on_delta(received.append)
        await asyncio.to_thread(own.restart)
        await eventually(lambda: aws.state is State.UP, "it is connected again")
        async with asyncio.timeout(60):
            while not received:  # until the subscription is back, too
                own.shadows.desire({"o2": 1.0})
                await asyncio.sleep(0.05)
        assert (await aws.get_shadow())["state"]["desired"]
        await aws.close()


def test_the_blocking_face_updates_and_listens(cloud, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    received: list[Any] = []
    with SyncAWSIoTConnector(cloud.config()) as aws:
        aws.on_delta(received.append)
        aws.subscribe("plant/commands", received.append)
        assert aws.update_shadow({"state": {"desired": {"o2": 3.1}}})["version"] == 1
        aws.publish("plant/commands", {"do": "nothing"})
        wait_for(lambda: len(received) == 2)
