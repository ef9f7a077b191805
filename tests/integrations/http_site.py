"""Python's own HTTP server, and clients to it."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gl002.security.network import Endpoint, Network
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import HTTPClient, HTTPOptions, Request
from peers.web_server import Reply, Seen, WebServer

SOON = 30.0  # seconds, for what comes at once on any machine


def echo(seen: Seen) -> Reply:
    told = {"method": seen.method, "path": seen.path, "query": seen.query}
    return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json; charset=x"})


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(echo) as running:
        yield running


@asynccontextmanager
async def client_of(
    server: WebServer, network: Network | None = None, **options: Any
) -> AsyncIterator[HTTPClient]:
    if network is None:
        network = Network()
        network.name(Endpoint("127.0.0.1", server.port))
        network.name(Endpoint("localhost", server.port))
    base = options.pop("base_url", f"{server.url}/")
    client = HTTPClient(HTTPOptions(base_url=base, **options), network)
    try:
        yield client
    finally:
        await client.close()


async def get(client: HTTPClient, path: str = "x", *, timeout: float = SOON) -> Answer:  # noqa: ASYNC109 (passed on)
    return await client.send(Request("GET", path), timeout=timeout)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with WebServer(echo, tls=context) as running:
        yield running


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")
