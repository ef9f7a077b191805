"""What a Sparkplug B command is to change, in words for the audit file."""

from __future__ import annotations

from gl002.errors import DataError, MissingDependency
from gl002.wire.sparkplug_decode import decode
from gl002.wire.sparkplug_topic import parse

_COMMANDS = frozenset({"NCMD", "DCMD"})
_MOST = 50  # metrics that are named
_LONGEST = 200  # characters of each


def is_command(topic: str) -> bool:
    """Whether edge nodes of Sparkplug B obey what is published there."""
    place = parse(topic)
    return place is not None and place.message in _COMMANDS


def commanded(payload: bytes) -> list[str]:
    """'name = value' of each metric, texts quoted; the length of what is no payload."""
    try:
        metrics = decode(payload).metrics
    except (DataError, MissingDependency):
        return [f"{len(payload)} bytes"]
    said = [f"{m.name or f'alias {m.alias}'} = {m.value!r}"[:_LONGEST] for m in metrics[:_MOST]]
    more = len(metrics) - _MOST
    return [*said, f"and {more} more"] if more > 0 else said
