"""Pub/Sub: tokens, keys, roles and quotas, and what is said where they are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gl002.connector import State
from gl002.errors import AuthFailed, Busy, ConfigError, ConnectFailed, NotAllowed
from gl002.model import Sample, now_ns
from gl002.retry import RetryPolicy
from integrations.gcp_site import Make, cloud, make, shared, topic
from peers.google_pubsub import PubSub
from peers.pubsub.tokens import ACCOUNT
from peers.web_server import Reply, WebServer

fixtures = shared, cloud, topic, make


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
