"""What every database with a narrow table answers the same way: reading, history, browsing."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)

from gl002.connector import Found, check_several
from gl002.model import Batch, Quality, Sample, Tag, now_ns

PAGE = 10_000
"""Samples of history read at once."""


def in_order(tags: Sequence[str], newest: Mapping[str, Sample]) -> list[Sample]:
    """The newest sample of each tag, in the order of `tags`; BAD where there is none."""
    check_several(tags)
    unknown = int(Quality.BAD_NODE_ID_UNKNOWN)
    return [newest.get(tag) or Sample(tag, None, now_ns(), unknown) for tag in tags]


async def paged(
    read: Callable[[str, int, int], Awaitable[Batch]], tags: Sequence[str], start: int, end: int
) -> AsyncIterator[Batch]:
    """Samples with start <= time < end, tag by tag, in batches of one tag.

    Args:
        read: at most `PAGE` samples of a tag between two times, oldest first.
        tags: names.
        start: nanoseconds UTC.
        end: nanoseconds UTC.
    """
    check_several(tags)
    for tag in tags:
        since = start
        while since < end:
            page = await read(tag, since, end)
            if page:
                yield page
            if len(page) < PAGE:
                break
            since = page[-1].time + 1


def found(tags: Iterable[Tag], prefix: str) -> Iterator[Found]:
    """The tags whose names begin with `prefix`, as a browse gives them."""
    for tag in tags:
        if tag.name.startswith(prefix):
            yield Found(
                address=tag.name, name=tag.name, path=tag.name, type=tag.type or "",
                unit=tag.unit, description=tag.description,
            )  # fmt: skip
