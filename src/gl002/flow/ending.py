"""Ending the parts of a gateway: each has its time, and none keeps the others from ending."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from gl002.connector import Connector

log = logging.getLogger("gl002.gateway")

_LONGEST = 15.0  # seconds for last words, and for a source to let go of what it holds
_CUT_SHORT = 2.0  # seconds after a part has been cancelled for the second time
_CLOSE_TIMEOUT = 10.0


async def ended(tasks: Iterable[asyncio.Task[None]], *, within: float = _LONGEST) -> None:
    """Cancel tasks and wait until they have ended.

    One that hangs in its goodbye is cut short, and left where that does not help either: a log
    line names it each time. What it holds is freed when the process ends.

    Args:
        tasks: named 'gl002-<part>'.
        within: seconds until they are cut short.
    """
    left = await _cancelled(tasks, within)
    for task in left:
        log.warning("%s: has not ended within %g s and is cut short", _part(task), within)
    for task in await _cancelled(left, _CUT_SHORT):
        log.error("%s: does not end, and is left as it is until this process ends", _part(task))


async def _cancelled(tasks: Iterable[asyncio.Task[None]], within: float) -> set[asyncio.Task[None]]:
    """Those that have not ended in time."""
    waiting = set(tasks)
    for task in waiting:
        task.cancel()
    return (await asyncio.wait(waiting, timeout=within))[1] if waiting else set()


def _part(task: asyncio.Task[None]) -> str:
    return task.get_name().removeprefix("gl002-")


async def closed(connectors: Iterable[Connector[Any]]) -> None:
    """Close connectors side by side; one that takes too long is waited for no longer."""
    closing = [asyncio.create_task(connector.close()) for connector in connectors]
    if closing:
        await asyncio.wait(closing, timeout=_CLOSE_TIMEOUT)
