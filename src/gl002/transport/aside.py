"""Work on what came back, off the event loop where there is much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LARGE = 256 * 1024
"""Bytes from which working on them would keep the event loop waiting."""


async def aside(size: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do some work at once, or on a thread where it is about many bytes.

    Args:
        size: how many.
        work: what to do; it shares nothing with the loop that changes meanwhile.
        args: for it.
        kwargs: for it.
    """
    if size < LARGE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
