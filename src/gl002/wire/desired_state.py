"""The state a cloud wants a device to have, as samples: a document of nested values with a version.

A desired value is a wish. It becomes a tag like any other, is shown and stored, and leads to
nothing by itself: writing to the plant has its own door, `gl002.writes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gl002.errors import DataError
from gl002.model import Quality, Sample
from gl002.wire.mqtt_payload import Decoder, sample_of, tag_template


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What one message tells about the desired state.

    Attributes:
        values: nested, as in the document.
        version: of the document; grows with each change.
        whole: all of the state; else only what has changed, with null for what was taken away.
        fresh: the answer to a question asked now: holds even where its version is lower, because
            the document was made anew.
        times: dotted path -> nanoseconds UTC, where the document tells when a value was set.
    """

    values: Mapping[str, Any]
    version: int
    whole: bool = True
    fresh: bool = False
    times: Mapping[str, int] = {}


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything in a nested object that is no object itself.

    >>> list(leaves({"o2": {"setpoint": 3.1}, "mode": "auto"}))
    [('o2.setpoint', 3.1), ('mode', 'auto')]
    """
    for key, value in values.items():
        path = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, value


@dataclass(slots=True, kw_only=True)
class _Memory:
    """What was met so far: the version of the last whole document, and its paths."""

    version: int = -1
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDecoder(Decoder):
    """Makes samples of a desired state: one tag for each value, its path with dots.

    A document older than the last whole one is left out. A value that a newer one no longer
    holds becomes a sample without a value.

    Attributes:
        read: what a message tells; None where it is about something else.
    """

    read: Callable[[str, bytes], State | None]
    _memory: _Memory = field(default_factory=_Memory)

    def samples(
        self, topic: str, payload: bytes, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        """The samples of one message, and what was wrong with it ('' where nothing was)."""
        try:
            state = self.read(topic, payload)
        except DataError as error:
            unread = Sample(self.name(topic), None, received, Quality.BAD_DECODING_ERROR)
            return [unread], str(error)
        if state is None or self._is_old(state):
            return [], ""
        values = dict(leaves(state.values))
        if state.whole:
            gone = self._memory.paths - values.keys()
            self._memory.version, self._memory.paths = state.version, frozenset(values)
            values |= dict.fromkeys(gone)
        samples = [
            sample_of(self.name(topic, path), value, state.times.get(path, received), Quality.GOOD)
            for path, value in values.items()
        ]
        return samples, ""

    def _is_old(self, state: State) -> bool:
        if state.fresh:
            return False
        # A part that the last whole document already holds is old, too.
        return state.version < self._memory.version + (not state.whole)


def state_decoder(
    filters: tuple[str, ...], prefix: str, read: Callable[[str, bytes], State | None]
) -> StateDecoder:
    """The decoder of a desired state.

    Args:
        filters: topic filters its messages come under.
        prefix: put before each tag.
        read: what a message tells.
    """
    return StateDecoder(filters=filters, tag=tag_template("{key}"), prefix=prefix, read=read)
