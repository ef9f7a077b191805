"""Which properties to ask for in one ReadPropertyMultiple: as many as the device can answer.

A device takes messages of a certain length, and many cannot divide their answer into segments.
The length of an answer is estimated from the types of the values; where the estimate was too low,
the device refuses and is asked for half as many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gl002.wire.bacnet_names import ANALOG, BINARY
from gl002.wire.bacnet_services import PRESENT_VALUE, STATUS_FLAGS, Ask

_REQUEST_HEAD: Final = 4  # octets: type, longest answer, invoke id, service (20.1.2)
_ANSWER_HEAD: Final = 3
_OBJECT: Final = 7  # object identifier, opening and closing tag
_VALUE: Final = 4  # property, opening and closing tag
_INDEX: Final = 3
_TEXT: Final = 64
_SIZES: Final = {STATUS_FLAGS: 3, 117: 3, 103: 2, 107: 2, 62: 3, 77: _TEXT, 28: _TEXT, 110: _TEXT}
_SHORTEST: Final = 50
"""Octets that every device takes (20.1.2.5)."""


def plan(asks: Sequence[Ask], *, longest: int, most: int) -> Iterator[range]:
    """Divide `asks`, keeping their order, into requests.

    Args:
        asks: what to read; what belongs to one object stands together.
        longest: octets of the longest message that the device and we take.
        most: properties in one request; what the device has taught us.

    Yields:
        For each request the positions in `asks`.
    """
    longest = max(longest, _SHORTEST)
    start, sent, received = 0, _REQUEST_HEAD, _ANSWER_HEAD
    for i, ask in enumerate(asks):
        new = i == start or asks[i - 1].object != ask.object
        sends, receives = _lengths(ask, new_object=new)
        full = sent + sends > longest or received + receives > longest or i - start >= most
        if full and i > start:
            yield range(start, i)
            start, sent, received = i, _REQUEST_HEAD, _ANSWER_HEAD
            sends, receives = _lengths(ask, new_object=True)
        sent, received = sent + sends, received + receives
    if asks:
        yield range(start, len(asks))


def _lengths(ask: Ask, *, new_object: bool) -> tuple[int, int]:
    """Octets that a question adds to the request, and to the answer."""
    index = 0 if ask.element is None else _INDEX
    heading = _OBJECT if new_object else 0
    wide = ask.property > 0xFF  # noqa: PLR2004
    return heading + 2 + wide + index, heading + _VALUE + wide + index + _size(ask)


def _size(ask: Ask) -> int:
    if ask.property == PRESENT_VALUE:
        return 5 if ask.object.type in ANALOG else 2 if ask.object.type in BINARY else 9
    return _SIZES.get(ask.property, 9)
