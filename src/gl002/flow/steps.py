"""What happens to a sample between source and store: type, scale, unit, range, deadband.

Nothing is deleted for being wrong: a value that cannot be trusted keeps its place with a quality
that says so. Only the deadband drops samples, and only where it is configured.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from gl002.config.sections import DeadbandSettings, TagSettings
from gl002.model import Batch, Quality, Sample, TagTable, Value, ValueType, now_ns, worst
from gl002.units import Linear, UnitError, conversion

log = logging.getLogger("gl002.steps")

_FUTURE = 600 * 1_000_000_000  # ns a clock may be ahead before its samples become uncertain
_LARGEST_INT = 2**63

_TYPES: Mapping[ValueType, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
}


class Steps:
    """Applies to every batch what the configuration declares about its tags.

    Args:
        declared: `tags:` of the configuration.
        table: the tag table, for the units that sources deliver in.
    """

    def __init__(self, declared: Mapping[str, TagSettings], table: TagTable) -> None:
        self._table = table
        self._declared: dict[str, _TagSteps] = {}
        self.declare(declared)

    def declare(self, declared: Mapping[str, TagSettings]) -> None:
        """What is declared from now on; a tag whose declaration is the same keeps its deadband."""
        before = self._declared
        self._declared = {
            name: there
            if (there := before.get(name)) is not None and there.settings == tag
            else _TagSteps(name, tag)
            for name, tag in declared.items()
        }

    def apply(self, batch: Batch) -> Batch:
        """The batch as it goes to the store, in the same order; may be shorter, by deadband."""
        latest = now_ns() + _FUTURE
        passed: Batch = []
        for sample in batch:
            value = sample.value
            if sample.time > latest:
                sample = _judged(sample, value, Quality.UNCERTAIN)  # noqa: PLW2901
            if isinstance(value, float) and not math.isfinite(value):
                sample = _not_finite(sample, value)  # noqa: PLW2901
            elif type(value) is int and not -_LARGEST_INT <= value < _LARGEST_INT:
                sample = _judged(sample, None, Quality.BAD_OUT_OF_RANGE)  # noqa: PLW2901
            steps = self._declared.get(sample.tag)
            if steps is None:
                passed.append(sample)
                continue
            sample = steps.judge(sample, self._table.source_unit(sample.tag))  # noqa: PLW2901
            if steps.reports(sample):
                passed.append(sample)
        return passed


class _TagSteps:
    """The steps of one tag, resolved once."""

    def __init__(self, name: str, settings: TagSettings) -> None:
        self._name = name
        self.settings = settings
        self._types = _TYPES[settings.type] if settings.type else None
        self._low = -math.inf if settings.range.low is None else settings.range.low
        self._high = math.inf if settings.range.high is None else settings.range.high
        self._scaling = Linear(settings.scale, settings.offset)
        self._unit_seen: str | None = None
        self._conversion: Linear | None = None
        self._report = _ByException(settings.deadband) if settings.deadband else None

    def judge(self, sample: Sample, source_unit: str) -> Sample:
        value = sample.value
        if value is None:
            return sample
        if self._types is not None and not _fits(value, self._types):
            return _judged(sample, None, Quality.BAD_TYPE_MISMATCH)
        if isinstance(value, bool | str):
            return sample
        if source_unit != self._unit_seen:
            self._resolve(source_unit)
        if self._conversion is None:
            return _judged(sample, None, Quality.BAD_CONFIGURATION_ERROR)
        converted: int | float = value
        if self._conversion is not _IDENTITY or self.settings.type == "float":
            converted = self._conversion(value)
        if not self._low <= converted <= self._high:
            return _judged(sample, converted, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        return sample if converted is value else _judged(sample, converted, Quality.GOOD)

    def _resolve(self, source_unit: str) -> None:
        """Scale, offset and unit as one straight line; None where the units do not fit."""
        self._unit_seen = source_unit
        came_in, wanted = self.settings.source_unit or source_unit, self.settings.unit
        try:
            convert = conversion(came_in, wanted) if came_in and wanted else _IDENTITY
            whole = self._scaling.then(convert)
            self._conversion = _IDENTITY if (whole.slope, whole.offset) == (1.0, 0.0) else whole
        except UnitError as error:
            self._conversion = None
            log.error("%s: %s; its values are bad until then", self._name, error)  # noqa: TRY400

    def reports(self, sample: Sample) -> bool:
        return self._report is None or self._report(sample)


class _ByException:
    """Whether a sample differs enough from the last one passed on."""

    def __init__(self, settings: DeadbandSettings) -> None:
        self._absolute = settings.absolute or 0.0
        self._share = (settings.percent or 0.0) / 100
        self._heartbeat = int(settings.heartbeat * 1e9)
        self._last: Sample | None = None

    def __call__(self, sample: Sample) -> bool:
        last = self._last
        passes = (
            last is None
            or sample.quality != last.quality
            or sample.time - last.time >= self._heartbeat
            or self._moved(last.value, sample.value)
        )
        if passes:
            self._last = sample
        return passes

    def _moved(self, before: Value, after: Value) -> bool:
        if not isinstance(before, int | float) or not isinstance(after, int | float):
            return before != after
        return abs(after - before) > max(self._absolute, self._share * abs(before))


_IDENTITY = Linear(1.0, 0.0)


def _fits(value: Value, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _judged(sample: Sample, value: Value, quality: int) -> Sample:
    return Sample(sample.tag, value, sample.time, worst((sample.quality, quality)))


def _not_finite(sample: Sample, value: float) -> Sample:
    """NaN is how a transmitter says it has failed (NAMUR NE 43 burnout); infinity is overflow."""
    failed = Quality.BAD_SENSOR_FAILURE if math.isnan(value) else Quality.BAD_OUT_OF_RANGE
    return _judged(sample, None, failed)
