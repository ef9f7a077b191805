"""Commands of Sparkplug B that one's own code publishes: writes to a plant, on the audit file."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator

import pytest

from gl002.context import Context
from gl002.errors import GL002Error, WriteRefused
from gl002.integrations.industrial import MQTTConnector
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.testing.link import Link
from peers.mosquitto import Mosquitto, Watcher

COMMAND = "spBv1.0/house/DCMD/edge/Boiler1"


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as started:
        yield started


@pytest.fixture
async def link(broker) -> AsyncIterator[Link]:
    with Link(broker.port) as between:
        yield between


@pytest.fixture
async def mqtt(tmp_path, link) -> AsyncIterator[MQTTConnector]:
    context = Context(
        network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path, name="house"
    )
    connector = MQTTConnector({"broker": f"127.0.0.1:{link.port}"}, context=context)
    yield connector
    await connector.close()
    context.audit.close()


def writes(mqtt):
    """Entries about writes, once all are in the file."""
    audit = mqtt.context.audit
    audit.close()
    assert list(verify(audit.path)) == []
    return [entry for entry in read(audit.path) if entry["action"].startswith("write")]


@pytest.mark.parametrize("topic", [COMMAND, "spBv1.0/house/NCMD/edge"])
async def test_a_command_is_on_the_audit_file_before_it_is_sent_and_with_its_outcome(
    mqtt, broker, topic
):
    with Watcher(broker.port, "spBv1.0/#") as watcher:
        payload = mqtt.create_sparkplug_payload({"Setpoint": 3.5, "Mode": "auto", "n": math.nan})
        await mqtt.publish_sparkplug(topic, payload)
        (message,) = await asyncio.to_thread(watcher.received, 1)
        assert message.topic == topic
    asked, done = writes(mqtt)
    assert (asked["action"], asked["subject"]) == ("write", f"mqtt {topic}")
    assert asked["after"] == ["Setpoint = 3.5", "Mode = 'auto'", "n = nan"]
    assert (done["action"], done["result"], done["of"]) == ("write.result", "ok", asked["seq"])


async def test_a_command_by_publish_is_the_same_and_what_is_no_payload_is_told_by_its_length(mqtt):
    await mqtt.publish(COMMAND, b"\xff\xff\xff", qos=1)
    asked, done = writes(mqtt)
    assert asked["after"] == ["3 bytes"]
    assert done["result"] == "ok"


@pytest.mark.parametrize(
    "topic", ["boiler/1/setpoint", "spBv1.0/house/DDATA/edge/Boiler1", "spBv1.0/house/DCMD/edge"]
)
async def test_any_other_message_is_no_write(mqtt, topic):
    await mqtt.publish(topic, b"3.5", qos=1)
    assert writes(mqtt) == []


async def test_without_an_audit_entry_no_command_is_sent(mqtt, broker, tmp_path):
    with Watcher(broker.port, "spBv1.0/#") as watcher:
        (tmp_path / "audit.jsonl").unlink(missing_ok=True)
        (tmp_path / "audit.jsonl").mkdir()
        with pytest.raises(WriteRefused, match="no audit, no write"):
            await mqtt.publish(COMMAND, mqtt.create_sparkplug_payload({"Setpoint": 3.5}), qos=1)
        await mqtt.publish("spBv1.0/house/DDATA/edge/Boiler1", b"", qos=1)
        (message,) = await asyncio.to_thread(watcher.received, 1)
        assert message.topic.endswith("DDATA/edge/Boiler1")


async def test_a_command_without_an_answer_is_unknown_and_not_repeated(mqtt, link, broker):
    await mqtt.connect()
    mqtt.set_timeout(1000)
    link.drop_replies()
    with pytest.raises(GL002Error) as caught:
        await mqtt.publish(COMMAND, mqtt.create_sparkplug_payload({"Setpoint": 3.5}), qos=1)
    assert caught.value.maybe_done
    link.restore()
    asked, done = writes(mqtt)
    assert asked["after"] == ["Setpoint = 3.5"]
    assert done["result"].startswith("unknown")


async def test_a_command_with_a_thousand_metrics_is_named_in_part(mqtt):
    many = {f"metric{i}": "x" * 1000 for i in range(1000)}
    await mqtt.publish_sparkplug(COMMAND, mqtt.create_sparkplug_payload(many))
    asked, _ = writes(mqtt)
    assert len(asked["after"]) == 51
    assert asked["after"][-1] == "and 950 more"
