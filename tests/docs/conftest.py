"""Fixtures of the documentation's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docs.peers_of_pages import Peers


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    """Addresses and credentials for what the pages print."""
    running = Peers()
    yield running
    running.stop()
