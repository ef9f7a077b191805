"""What the tests of the suite do to a connector, whatever it can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from gl002.connector import Capability, Connector, State
from gl002.errors import GL002Error
from gl002.model import Value
from gl002.testing.rig import Rig

SOON = 30.0
"""Seconds within which anything that recovers by itself must have recovered."""
_LOOK_AGAIN = 0.01


async def ask(rig: Rig, connector: Connector[Any]) -> None:
    """One round trip: a read where it can read, else a check.

    Raises:
        GL002Error: it failed.
    """
    if Capability.READ in connector.can and rig.readable:
        await connector.read([next(iter(rig.readable))])
        return
    health = await connector.check()
    if not health.ok:
        raise GL002Error(health.detail)


async def failure_of(rig: Rig, connector: Connector[Any]) -> GL002Error | None:
    """The error of one round trip, None where it succeeded. Any error but ours fails the test."""
    try:
        async with asyncio.timeout(SOON):
            await ask(rig, connector)
    except GL002Error as error:
        return error
    return None


async def until_it_works(rig: Rig, connector: Connector[Any], *, within: float = SOON) -> None:
    """Ask until the answer comes; the last error fails the test."""
    deadline = time.monotonic() + within
    while (error := await failure_of(rig, connector)) is not None:
        assert time.monotonic() < deadline, f"not back after {within:g} s: {error}"
        await asyncio.sleep(0.05)


@contextmanager
def hurried(connector: Connector[Any], milliseconds: float = 500) -> Iterator[None]:
    """Requests in the block take no longer; each that is to fail may cost its whole time."""
    usual = connector.timeout
    connector.set_timeout(milliseconds)
    try:
        yield
    finally:
        connector.set_timeout(usual * 1000)


def is_in(connector: Connector[Any], *states: State) -> bool:
    """Whether a connector is in one of these states now."""
    return connector.state in states


async def eventually(
    holds: Callable[[], object], what: str | Callable[[], str], *, within: float = SOON
) -> None:
    """Wait until `holds()` is true; `what` is the sentence for the failure."""
    deadline = time.monotonic() + within
    while not holds():
        sentence = what if isinstance(what, str) else what()
        assert time.monotonic() < deadline, f"not within {within:g} s: {sentence}"
        await asyncio.sleep(_LOOK_AGAIN)


@asynccontextmanager
async def frozen(rig: Rig) -> AsyncIterator[None]:
    """The counterpart hangs; connections stay open."""
    rig.link.blackhole()
    try:
        yield
    finally:
        rig.link.restore()


def other(value: Value) -> Value:
    """A value of the same type that differs, exact in 16 bits and in single precision."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1 if value < 1000 else value - 1
    if isinstance(value, float):
        return value + 0.5 if abs(value) < 1000 else value - 0.5
    return f"{value}x"


def same(seen: Value, expected: Value) -> bool:
    """Equal in value and type; floats to single precision, as many devices keep them."""
    if isinstance(expected, float) and isinstance(seen, float):
        return abs(seen - expected) <= 1e-6 * max(1.0, abs(expected))
    return type(seen) is type(expected) and seen == expected
