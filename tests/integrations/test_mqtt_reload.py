"""Inputs of MQTT in a gateway: taken away or changed under way, and values the steps leave out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gl002.config.load import GatewayConfig, load
from gl002.flow.gateway import Gateway
from gl002.model import Batch, Value
from gl002.testing.link import Link
from peers.mosquitto import Mosquitto, Watcher

SOON = 60.0
ONE = {"source": "mqtt", "topics": ["one/+"], "format": "raw", "prefix": "one."}
TWO = {"source": "mqtt", "topics": ["two/+"], "format": "raw", "prefix": "two."}


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(options=["max_inflight_messages 0"]) as started:
        yield started


class House:
    """A gateway with one connection to the broker."""

    def __init__(
        self, folder: Path, port: int, inputs: list[dict[str, Any]], *, deadband: float = 0
    ) -> None:
        self._file, self._folder, self._port = folder / "integrations.yaml", folder, port
        self._tags = {"two.x": {"deadband": {"absolute": deadband}}} if deadband else {}
        self.gateway = Gateway(self.config(inputs))

    def config(self, inputs: list[dict[str, Any]]) -> GatewayConfig:
        self._file.write_text(
            yaml.safe_dump({
                "integrations": {
                    "enabled": ["mqtt", "sqlite"],
                    "mqtt": {"broker": "127.0.0.1", "port": self._port, "client_id": "house"},
                    "sqlite": {"path": str(self._folder / "history.sqlite")},
                    "data_flow": {
                        "input": inputs,
                        "output": [{"destination": "sqlite", "interval": 0.1}],
                    },
                },
                "tags": self._tags,
                "gateway": {"state_dir": str(self._folder / "state"), "drain": 5},
                "web": {"enabled": False},
            })
        )  # fmt: skip
        return load(self._file, {})

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.gateway.run())
        try:
            yield
        finally:
            self.gateway.stop()
            await asyncio.wait_for(task, 60)

    def latest(self, tag: str) -> Value:
        found = self.gateway.hub.latest.get(tag)
        return found.value if found is not None else None


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, f"not within {SOON:g} s: {what}"
        await asyncio.sleep(0.01)


def acknowledged(broker: Mosquitto) -> int:
    return broker.output.count("Received PUBACK from house")


@pytest.mark.parametrize(
    ("after", "delivered"),
    [([ONE], 42), ([ONE, TWO | {"prefix": "again."}], 82)],
    ids=["taken away", "changed"],
)
async def test_an_input_that_goes_holds_up_no_other_on_its_connection(
    tmp_path, broker, after, delivered
) -> None:
    house = House(tmp_path, broker.port, [ONE, TWO])
    async with house.running():
        await until(lambda: broker.output.count("Sending SUBACK to house") == 2, "subscribed")
        with Watcher(broker.port) as sender:
            for topic in ("one/x", "two/x"):
                await asyncio.to_thread(sender.publish, topic, "1")
            await until(lambda: house.latest("two.x") == house.latest("one.x") == 1, "both came")
            await house.gateway.reload(house.config(after))
            for number in range(2, 42):
                for topic in ("two/x", "one/x"):
                    await asyncio.to_thread(sender.publish, topic, str(number))
            await until(lambda: house.latest("one.x") == 41, "the other goes on")
            if len(after) > 1:
                await until(lambda: house.latest("again.x") == 41, "the new one too")
            await until(lambda: acknowledged(broker) == delivered, "the broker may forget them all")
    assert broker.output.count("Received UNSUBSCRIBE from house") == (len(after) == 1)


async def test_what_another_input_wants_too_stays_subscribed(tmp_path, broker) -> None:
    both = TWO | {"topics": ["one/+", "two/+"], "prefix": "both."}
    house = House(tmp_path, broker.port, [ONE, both])
    async with house.running():
        await until(lambda: broker.output.count("Sending SUBACK to house") == 2, "subscribed")
        await house.gateway.reload(house.config([ONE]))
        await until(lambda: "Sending UNSUBACK to house" in broker.output, "unsubscribed")
        told = broker.output.split("Received UNSUBSCRIBE from house")[1].splitlines()
        assert [line.split("\t")[1] for line in told if "\t" in line] == ["two/+"]
        with Watcher(broker.port) as sender:
            await asyncio.to_thread(sender.publish, "one/x", "7")
            await until(lambda: house.latest("one.x") == 7, "the other goes on")


async def test_an_input_taken_away_without_a_connection_is_unsubscribed_on_the_next(
    tmp_path, broker
) -> None:
    with Link(broker.port) as link:
        house = House(tmp_path, link.port, [ONE, TWO])
        async with house.running():
            await until(lambda: broker.output.count("Sending SUBACK to house") == 2, "subscribed")
            link.cut()
            await until(lambda: house.gateway.connectors["mqtt"].state != "up", "noticed")
            await house.gateway.reload(house.config([ONE]))
            assert "UNSUBSCRIBE" not in broker.output
            link.restore()
            await until(lambda: "Sending UNSUBACK to house" in broker.output, "unsubscribed")
            with Watcher(broker.port) as sender:
                await asyncio.to_thread(sender.publish, "two/x", "1")
                await asyncio.to_thread(sender.publish, "one/x", "7")
            await until(lambda: house.latest("one.x") == 7, "the other goes on")
    sent = [x for x in broker.output.splitlines() if "Sending PUBLISH to house" in x]
    assert [line.split("'")[1] for line in sent] == ["one/x"]


@pytest.mark.parametrize("qos", [1, 2])
async def test_nothing_is_lost_or_doubled_when_an_input_changes_under_way(
    tmp_path, broker, qos
) -> None:
    two, got = TWO | {"qos": qos}, list[Value]()
    house = House(tmp_path, broker.port, [ONE, two])

    def accepted(_offset: int, batch: Batch) -> None:
        got.extend(s.value for s in batch if s.tag == "two.x" and s.value is not None)

    async with house.running():
        await until(lambda: broker.output.count("Sending SUBACK to house") == 2, "subscribed")
        tell, store = house.gateway.store.on_accepted, house.gateway.store

        def both(offset: int, batch: Batch) -> None:
            accepted(offset, batch)
            if tell is not None:
                tell(offset, batch)

        store.on_accepted = both
        with Watcher(broker.port) as sender:
            sending = asyncio.create_task(
                asyncio.to_thread(sender.publish_all, "two/x", map(str, range(3000)), qos=qos)
            )
            for change in range(5):
                await until(lambda: len(got) > 400 * change, "they come")  # noqa: B023 (awaited)
                await house.gateway.reload(house.config([ONE, two | {"max_tags": 100 + change}]))
            await sending
            await until(lambda: len(set(got)) >= 3000, "all came")
    assert got == list(range(3000))


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_value_that_the_deadband_leaves_out_is_acknowledged_all_the_same(
    tmp_path, broker, qos
) -> None:
    """With QoS 2 its identifier is on disk; with QoS 1 nothing is written for it."""
    house = House(tmp_path, broker.port, [TWO | {"qos": qos}], deadband=10)
    store, last = house.gateway.store, "PUBACK" if qos == 1 else "PUBCOMP"

    def answered() -> int:
        return broker.output.count(f"Received {last} from house")

    async with house.running():
        await until(lambda: "Sending SUBACK to house" in broker.output, "subscribed")
        with Watcher(broker.port) as sender:
            await asyncio.to_thread(sender.publish, "two/x", "1", qos=qos)
            await until(lambda: answered() == 1, "stored and acknowledged")
            before, accepted = store.position("mqtt"), store.end
            await asyncio.to_thread(sender.publish, "two/x", "2", qos=qos)
            await until(lambda: answered() == 2, "acknowledged")
        assert store.end == accepted
        assert (store.position("mqtt") == before) is (qos == 1)
