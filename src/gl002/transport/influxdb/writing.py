"""Writing lines so that what is refused is known point by point.

InfluxDB refuses single points of a request and takes the others, or refuses all for the sake of
one; its words name the point, or only how many there were. A point overwrites itself, so that what
may have been taken can be sent again: the refused are found by halves.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from gl002.transport.http.answer import Answer
from gl002.transport.influxdb.interfaces import Interface

Post = Callable[[Sequence[str]], Awaitable[Answer]]
"""Sends lines; gives the answer of a server that took them or refused some of them."""

TOO_LARGE, UNPROCESSABLE, BAD_REQUEST = 413, 422, 400
_DROPPED = re.compile(r"dropped=(\d+)")
_OF_POINTS = re.compile(
    r"partial write|unable to parse|type conflict|dropped=|retention|parsing failed|line protocol"
    r"|points? |timestamp",
    re.IGNORECASE,
)


def about_points(answer: Answer, said: str) -> bool:
    """Whether a refusal is about what was sent, and not about where or by whom.

    A bad request that says nothing of points (a wrong parameter, a proxy's page) must not make
    dead letters of every sample.
    """
    if answer.status in {TOO_LARGE, UNPROCESSABLE}:
        return True
    return answer.status == BAD_REQUEST and bool(_OF_POINTS.search(said))


async def deliver(post: Post, lines: Sequence[str], interface: Interface) -> dict[int, str]:
    """Write lines.

    Returns:
        Positions of those that were refused, with the reason; all others were taken.
    """
    refused: dict[int, str] = {}
    pieces = [list(enumerate(lines))]
    while pieces:
        piece = pieces.pop()
        answer = await post([line for _, line in piece])
        if answer.ok:
            continue
        said = interface.said(answer) or answer.excerpt()
        named = interface.refused(answer, [line for _, line in piece])
        if len(piece) == 1 or _dropped(said) == len(piece):
            refused |= dict.fromkeys((place for place, _ in piece), said)
        elif named:
            refused |= {piece[i][0]: reason for i, reason in named.items()}
            rest = [line for i, line in enumerate(piece) if i not in named]
            pieces += [rest] if rest else []
        else:
            half = len(piece) // 2
            pieces += [piece[half:], piece[:half]]
    return refused


def _dropped(said: str) -> int:
    match = _DROPPED.search(said)
    return int(match[1]) if match is not None else 0
