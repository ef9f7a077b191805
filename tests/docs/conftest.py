"""Fixtures of the documentation's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from docs.peers_of_pages import Peers


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """Addresses and credentials for what the pages print."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GL002_STATE_DIR", str(tmp_path_factory.getbasetemp() / "state"))
        running = Peers()
    yield running
    running.stop()
