"""InfluxDB's own words in our errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.errors import RequestFailed
from gl002.integrations.databases import AsyncInfluxDBConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.influxdb import InfluxDB


@pytest.fixture(scope="module")
def server() -> Iterator[InfluxDB]:
    with InfluxDB() as running:
        yield running


@pytest.fixture
async def influx(server: InfluxDB, tmp_path: Path) -> AsyncIterator[AsyncInfluxDBConnector]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    async with AsyncInfluxDBConnector(server.config, context=context) as connector:
        yield connector
    audit.close()


@pytest.mark.parametrize("text", ["selct 1", 'from(bucket: "boiler_data")'])
async def test_a_query_that_the_server_cannot_read_is_explained_in_plain_words(
    influx: AsyncInfluxDBConnector, text: str
) -> None:
    """Its answer is packed, and was quoted as it came: '400 Bad Request: ��error...'."""
    with pytest.raises(RequestFailed, match="400 Bad Request: error parsing query") as caught:
        await influx.query(text)
    assert str(caught.value).isprintable()
    assert "�" not in str(caught.value)
