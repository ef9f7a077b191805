"""Sparkplug B by the letter: a broker that logs, and connectors with names that are found there.

What was sent, with which flags and in which order, is read from the log of mosquitto; payloads are
read by Eclipse Tahu's codec.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.industrial import MQTTConnector
from gl002.proposal import Answer, Proposal
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.mosquitto import Mosquitto, Watcher
from peers.tahu import Tahu

STATE = "spBv1.0/STATE/scada"
PUBLISHED = re.compile(r"Received PUBLISH from (\S+) \(d\d, q(\d), r(\d), m\d+, '([^']+)'")


class Desk:
    """Takes proposals and remembers them, as the queue of the gateway does."""

    def __init__(self) -> None:
        self.offered: list[Proposal] = []

    def open_to(self, origin: str) -> bool:
        return True

    async def offer(self, proposal: Proposal) -> Answer:
        self.offered.append(proposal)
        return Answer(id=proposal.id, point=proposal.point, state="waiting")

    async def outcome(self, proposal: Proposal) -> Answer:
        return Answer(id=proposal.id, point=proposal.point, state="expired")


@pytest.fixture(scope="module")
def tahu() -> Iterator[Tahu]:
    with Tahu() as codec:
        yield codec


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as started:
        yield started


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def make(tmp_path, broker, desk) -> AsyncIterator[Callable[..., MQTTConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path, proposals=desk)
    made: list[MQTTConnector] = []

    def connector(*brokers: Mosquitto, **settings: Any) -> MQTTConnector:
        ports = [one.port for one in brokers] or [broker.port]
        addresses = [f"127.0.0.1:{port}" for port in ports]
        made.append(MQTTConnector({"broker": addresses, **settings}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    with ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics))


def name_of(connector: MQTTConnector) -> str:
    assert connector._session is not None
    return connector._session.options.client_id


def published(broker: Mosquitto, name: str) -> list[tuple[str, int, int]]:
    """Topic, QoS and retain flag of all that a client has published."""
    found = PUBLISHED.findall(broker.output)
    return [(topic, int(qos), int(retain)) for who, qos, retain, topic in found if who == name]


def connected(broker: Mosquitto, name: str) -> tuple[str, str]:
    """The broker's line on a client's last CONNECT, and those on its will."""
    start = [
        m.start() for m in re.finditer(rf"New client connected from \S+ as {name} ", broker.output)
    ]
    line, *more = broker.output[start[-1] :].splitlines()
    return line, "\n".join(more[:3])


def says(watcher: Watcher, *, online: bool, at: int) -> None:
    word = json.dumps({"online": online, "timestamp": at})
    watcher.publish(STATE, word, qos=1, retain=True)
