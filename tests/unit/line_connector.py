"""A connector of twenty lines, and a real server for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from gl002.config.settings import Settings
from gl002.connector import Capability, Connector
from gl002.context import Context
from gl002.errors import AuthFailed
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Endpoint, Network
from gl002.testing.leaks import Leaks
from gl002.testing.link import Link
from peers.lines import LineServer


class LineConfig(Settings):
    port: int = Field(description="TCP port.")
    password: str = Field("open sesame", description="What to say.")

    def retry(self) -> RetryPolicy:
        return RetryPolicy(max_attempts=3, first=0.01)


class LineConnector(Connector[LineConfig]):
    """What an author writes, and nothing more."""

    kind = "lines"
    can = Capability.WRITE
    Config: ClassVar = LineConfig
    _writer: asyncio.StreamWriter | None = None
    opened = shut = 0

    def endpoints(self) -> Iterable[Endpoint]:
        return [Endpoint("127.0.0.1", self.config.port)]

    async def _open(self) -> None:
        self.opened += 1
        (endpoint,) = self.endpoints()
        sock = await self.context.network.dial(endpoint, timeout=self.timeout)
        self._reader, self._writer = await asyncio.open_connection(sock=sock)
        if await self._ask(f"hello {self.config.password}") != "welcome":
            raise AuthFailed("the server does not like us")

    async def _shut(self) -> None:
        self.shut += 1
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            await writer.wait_closed()

    async def _ask(self, line: str) -> str:
        assert self._writer is not None
        self._writer.write(f"{line}\n".encode())
        answer = await self._reader.readline()
        if not answer:
            raise EOFError
        return answer.decode().strip()

    async def echo(self, text: str) -> str:
        return await self._call(lambda: self._ask(f"echo {text}"), what="echo")

    async def write(self, tag: str, value: Any) -> None:
        await self._write_to_plant(
            lambda: self._ask(f"echo {tag}={value}"), address=tag, value=value
        )


@pytest.fixture
def server() -> Iterator[LineServer]:
    with LineServer() as server:
        yield server


@pytest.fixture
def link(server: LineServer) -> Iterator[Link]:
    with Link(server.port) as link:
        yield link


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def connector(link: Link, context: Context) -> AsyncIterator[LineConnector]:
    leaks = Leaks()
    connector = LineConnector({"port": link.port}, context=context)
    yield connector
    await connector.close()
    context.audit.close()
    link.restore()
    await leaks.check()
