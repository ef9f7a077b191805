"""What a boiler's instruments show now, as far as it can be believed, in the engine's units."""

from __future__ import annotations

from gl002.flow.bindings import Bindings
from gl002.flow.hub import Hub
from gl002.model import Sample, is_bad


def sound_readings(bindings: Bindings, hub: Hub, now: int) -> dict[str, Sample]:
    """The latest sound sample of each role that has a tag.

    What its source calls bad, or has not renewed in time, is known to be doubtful.

    Args:
        bindings: its roles.
        hub: holds the last accepted sample of each tag.
        now: ns since 1970.
    """
    found = {
        role: bindings.converted(role, sample)
        for role, tag in bindings.tags.items()
        if (sample := sound_reading(tag, hub, now, bindings.settings.max_age)) is not None
    }
    return {role: sample for role, sample in found.items() if sample.value is not None}


def sound_reading(tag: str, hub: Hub, now: int, max_age: float) -> Sample | None:
    """The latest sample of a tag; None where it is bad, no number, or too old.

    Args:
        tag: its name.
        hub: holds the last accepted sample of each tag.
        now: ns since 1970.
        max_age: seconds; a tag that reports by exception is never too old.
    """
    sample = hub.latest.get(tag)
    if sample is None or is_bad(sample.quality):
        return None
    if sample.time < now - int(max_age * 1e9) and tag not in hub.by_exception:
        return None
    number = isinstance(sample.value, int | float) and not isinstance(sample.value, bool)
    return sample if number else None


def fixed_values(bindings: Bindings) -> dict[str, float]:
    """Role -> value of roles that have no instrument, in the engine's unit."""
    fixed = {role: bindings.fixed(role) for role in bindings.roles}
    return {role: value for role, value in fixed.items() if value is not None}
