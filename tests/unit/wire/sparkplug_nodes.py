"""An edge node and a host application of Sparkplug B, and what one tells the other."""

from __future__ import annotations

import pytest

from gl002.model import Sample, Tag, TagTable
from gl002.wire.sparkplug_edge import EdgeNode, Outgoing
from gl002.wire.sparkplug_host import SparkplugDecoder
from gl002.wire.sparkplug_topic import EVERYTHING

NOW = 1_700_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def edge() -> EdgeNode:
    tags = TagTable()
    tags.declare(Tag(name="b1.steam_flow", unit="t/h"))
    node = EdgeNode("GL002", "house", tags)
    list(node.birth(7, NOW))
    return node


def sample(tag: str = "b1.steam_flow", value=12.5, after: int = 1, quality: int = 0) -> Sample:
    return Sample(tag, value, NOW + after * MS, quality)


@pytest.fixture
def host() -> SparkplugDecoder:
    return SparkplugDecoder(filters=(EVERYTHING,))


def heard(host: SparkplugDecoder, messages: list[Outgoing], at: int = NOW) -> list[Sample]:
    found = []
    for message in messages:
        samples, trouble = host.samples(message.topic, message.payload, retained=False, received=at)
        assert trouble == ""
        found += samples
    return found
