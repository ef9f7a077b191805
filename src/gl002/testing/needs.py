"""What a test of the suite needs of a connector and its rig. By ability, never by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from gl002.connector import Capability
from gl002.registry import AnyConnector, connector
from gl002.testing.rig import Rig

Condition: TypeAlias = Capability | str | Callable[[AnyConnector], bool]
"""An ability of the connector; the name of an optional `Rig` method the rig must offer, 'network'
or 'handshake'; or a question about the connector class."""


def needs(*conditions: Condition) -> Callable[[Any], Any]:
    """Decorator of a test: run it only where every condition holds.

    A test that does not apply is deselected, never skipped: a skip is a test that should have run.
    """
    return pytest.mark.needs.with_args(*conditions)


def met(rig: type[Rig], conditions: Iterable[Condition]) -> bool:
    """Whether a rig and its connector fulfil all conditions."""
    return all(_holds(rig, condition) for condition in conditions)


def _holds(rig: type[Rig], condition: Condition) -> bool:
    if isinstance(condition, Capability):
        return condition in connector(rig.kind).can
    if condition == "network":
        return rig.networked
    if condition == "handshake":
        return rig.handshake
    if isinstance(condition, str):
        return getattr(rig, condition) is not getattr(Rig, condition)
    return condition(connector(rig.kind))
