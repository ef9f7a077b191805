"""A small HTTP client that sends exactly what a test says, headers of attackers included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One request on a connection of its own. A header given as '' is left out."""
    async with asyncio.timeout(60):
        reader, writer = await _sent(port, path, method, headers or {}, body)
        status, received = await _head(reader)
        content = await reader.readexactly(int(received.get("content-length", 0)))
        writer.close()
    return Answer(status, received, content)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def events(
    port: int, path: str, token: str, *, limit: int = 2**20
) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """Server-sent events of a stream, while in the block."""
    reader, writer = await _sent(port, path, "GET", bearer(token), b"", limit=limit)
    status, headers = await _head(reader)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    try:
        yield _events(reader)
    finally:
        writer.transport.abort()


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, Any]]:
    name, data = "message", ""
    async for raw in _lines(reader):
        field, _, text = raw.partition(": ")
        if field == "event":
            name = text
        elif field == "data":
            data += text
        elif not field and data:
            yield name, json.loads(data)
            name, data = "message", ""


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of a chunked answer, until it ends."""
    rest = b""
    while size := int(await reader.readline(), 16):
        rest += (await reader.readexactly(size + 2))[:-2]
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode()


async def _sent(
    port: int,
    path: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    limit: int = 2**20,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    lines = {"Host": f"127.0.0.1:{port}", "Connection": "close", **headers}
    if body:
        lines = {"Content-Length": str(len(body)), "Content-Type": "application/json", **lines}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status = int((await reader.readline()).split()[1])
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode().rstrip("\r\n"):
        name, _, value = line.partition(": ")
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return status, headers
