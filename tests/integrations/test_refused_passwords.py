"""A refused password where there is more than one connection or more than one server.

That of one connection to one server is in the contract suite.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import Busy, ConnectFailed, PasswordRefused
from gl002.integrations.historians.ignition import AsyncIgnitionConnector
from gl002.integrations.industrial import MQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.security.secrets import Secret
from gl002.testing.link import Link
from gl002.transport.sql.connections import Connections, Login
from peers.mosquitto import PASSWORD, USER, Mosquitto
from peers.postgresql import PostgreSQL
from peers.process import free_port

LOG = logging.getLogger("gl002.tests")
ONCE = {"retry_policy": {"max_attempts": 1}}


@pytest.fixture
async def context(tmp_path) -> AsyncIterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path, name="house")
    audit.close()


# ---- MQTT: several brokers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(users=True) as started:
        yield started


@pytest.fixture
async def make(context) -> AsyncIterator[Callable[..., MQTTConnector]]:
    made: list[MQTTConnector] = []

    def connector(brokers: list[Any], password: str) -> MQTTConnector:
        settings = {
            "broker": [f"127.0.0.1:{each.port}" for each in brokers],
            "username": USER,
            "password": password,
            **ONCE,
        }
        made.append(MQTTConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()


class Away:
    def __init__(self) -> None:
        self.port = free_port()


async def test_a_broker_that_refuses_the_password_is_left_alone_while_another_is_looked_for(
    broker, make
):
    with Link(broker.port) as refusing:
        away = Away()
        mqtt = make([refusing, away], "canary-wrong")
        for _ in range(4):  # as the flow does, whose waits are short while something may come back
            with pytest.raises(ConnectFailed) as caught:
                await mqtt.connect()
            assert caught.value.retryable
            assert "canary" not in str(caught.value)
        assert refusing.connections == 1
        mqtt.try_at_once()
        with pytest.raises(ConnectFailed):
            await mqtt.connect()
        assert refusing.connections == 2


async def test_where_every_broker_refuses_the_password_none_is_asked_again(broker, make):
    with Link(broker.port) as one, Link(broker.port) as two:
        mqtt = make([one, two], "canary-wrong")
        with pytest.raises(PasswordRefused):
            await mqtt.connect()
        for _ in range(3):
            with pytest.raises(PasswordRefused, match="not tried again before") as caught:
                await mqtt.connect()
            assert str(caught.value).count("not tried again") == 1
        assert mqtt.state is State.FAILED
        assert (one.connections, two.connections) == (1, 1)


async def test_the_second_broker_is_taken_where_the_first_refuses(broker, make):
    with Mosquitto(users=False) as open_to_all:
        mqtt = make([broker, open_to_all], "canary-wrong")
        await mqtt.connect()
        assert mqtt.state is State.UP


async def test_the_right_password_has_no_wait(broker, make):
    mqtt = make([broker, Away()], PASSWORD)
    for _ in range(3):
        await mqtt.connect()
        await mqtt.close()


# ---- PostgreSQL: several connections ------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL(log_connections="on") as running:
        yield running


async def test_a_password_that_is_changed_there_is_refused_once_however_many_connections_are_wanted(
    server, context
):
    """Those that are open go on; the others are told that there are no more."""
    server.execute("CREATE ROLE changing LOGIN PASSWORD 'first'")
    with Link(server.port) as link:
        login = Login(
            host="127.0.0.1", port=link.port, database=server.database, user="changing",
            password=Secret("first"), tls=False, application="house",
        )  # fmt: skip
        context.network.name(login.endpoint)
        connections = Connections(login, context.network, size=8, extra="postgresql", log=LOG)
        await connections.open(timeout=30)
        server.execute("ALTER ROLE changing PASSWORD 'second'")
        open_ones = link.connections
        release = asyncio.Event()

        async def hold(connection: psycopg.AsyncConnection[Any]) -> str:
            await release.wait()
            return str((await (await connection.execute("SELECT 'here'")).fetchall())[0][0])

        first = asyncio.ensure_future(connections.run(hold, timeout=30))
        await asyncio.sleep(0)
        others = [connections.run(hold, timeout=30) for _ in range(5)]
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        assert all(isinstance(outcome, Busy) for outcome in outcomes), outcomes
        assert link.connections == open_ones + 1
        release.set()
        assert await first == "here"
        await connections.close()


@pytest.mark.parametrize("kind", ["LDAP", "PAM", "RADIUS"])
def test_a_password_that_another_service_refuses_is_a_refused_password_too(kind):
    """Active Directory locks what PostgreSQL does not. The words are those of the server's source.

    src/backend/libpq/auth.c, auth_failed().
    """
    from gl002.transport.sql.errors import meaning

    said = f'connection failed: FATAL:  {kind} authentication failed for user "gl002"'
    assert isinstance(meaning(psycopg.OperationalError(said), "db"), PasswordRefused)


# ---- Ignition: several ways ---------------------------------------------------------------------


async def test_a_reload_tries_the_password_of_ignitions_database_too(server, context):
    with Link(server.port) as link:
        database = {**server.config, "port": link.port, "password": "canary-wrong", "tls": False}
        ignition = AsyncIgnitionConnector({"database": database}, context=context)
        for _ in range(3):
            with pytest.raises(PasswordRefused):
                await ignition.connect()
        assert link.connections == 1
        ignition.try_at_once()
        with pytest.raises(PasswordRefused):
            await ignition.connect()
        assert link.connections == 2
        await ignition.close()
