"""What the contract suites of our own connectors share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _unhurried(unhurried_greeting: None) -> None:
    """A connector tries once there, within its time-out and not within that of a greeting."""
