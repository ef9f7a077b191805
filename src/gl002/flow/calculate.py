"""Calculated tags: expressions over the latest values, with quality and time carried through."""

from __future__ import annotations

from collections.abc import Sequence

from gl002.config.expression import Expression
from gl002.config.sections import CalculatedSettings
from gl002.errors import DataError
from gl002.flow.hub import Hub
from gl002.model import Batch, Quality, Sample, Tag, is_bad, now_ns, worst
from gl002.source import PolledSource


class Calculation(PolledSource):
    """One calculated tag as a source: a result each interval, when there is something new to say.

    The result's time is that of its newest input (or the moment an input became too old), and its
    quality the worst of its inputs. An input older than `max_age` makes it uncertain; a missing
    or bad one leaves it without a value.

    Args:
        name: of the tag.
        settings: expression, unit, interval, age limit.
        hub: holds the last accepted sample of each tag.

    Raises:
        ConfigError: the expression cannot be read.
    """

    def __init__(self, name: str, settings: CalculatedSettings, hub: Hub) -> None:
        self._expression = Expression(settings.expression)
        self._max_age = int(settings.max_age * 1e9)
        self._hub = hub
        tag = Tag(
            name=name,
            unit=settings.unit,
            source="calculated",
            address=settings.expression,
            description=settings.description,
        )
        self._news = News()
        super().__init__("calculated", self._read_news, [tag], settings.interval)

    async def _read_news(self) -> Batch:
        return self._news(self._evaluate())

    def _evaluate(self) -> Batch:
        (tag,) = self.tags()
        now = now_ns()
        inputs = [self._hub.latest.get(name) for name in self._expression.tags]
        known = [sample for sample in inputs if sample is not None]
        if len(known) < len(inputs):
            return [Sample(tag.name, None, now, Quality.BAD_WAITING_FOR_INITIAL_DATA)]
        quality = worst([sample.quality for sample in known])
        time, stale = moment(known, self._hub, self._max_age, now)
        if stale:
            quality = worst([quality, Quality.UNCERTAIN_LAST_USABLE_VALUE])
        return [self._result(tag.name, known, time, quality)]

    def _result(self, name: str, inputs: Sequence[Sample], time: int, quality: int) -> Sample:
        values = {s.tag: float(s.value) for s in inputs if isinstance(s.value, int | float)}
        if is_bad(quality) or len(values) < len(inputs):
            return Sample(name, None, time, worst([quality, Quality.BAD_NO_DATA]))
        try:
            return Sample(name, self._expression(values), time, quality)
        except DataError:
            return Sample(name, None, time, Quality.BAD_OUT_OF_RANGE)


def moment(inputs: Sequence[Sample], hub: Hub, max_age: int, now: int) -> tuple[int, bool]:
    """The time of a result: that of its newest input, or when its oldest one became too old.

    Args:
        inputs: what it is computed from.
        hub: knows which tags do not age.
        max_age: nanoseconds.
        now: nanoseconds UTC; the time of a result without inputs.

    Returns:
        The time, and whether an input is too old. It stays the same while nothing changes, so
        that the same result is not told twice.
    """
    newest = max((s.time for s in inputs), default=now)
    aging = (s.time + max_age for s in inputs if s.tag not in hub.by_exception)
    stale_since = min(aging, default=now)
    if stale_since >= now:
        return newest, False
    return max(newest, stale_since), True


class News:
    """Leaves out what says nothing new: the same time, value and quality; the same bad quality.

    A result is never older than the one before it of the same tag: an input that was measured
    before somebody noticed that it was missing would else be taken for late data, and the finding
    that it is missing would stand for ever.
    """

    def __init__(self) -> None:
        self._last: dict[str, Sample] = {}

    def __call__(self, batch: Batch) -> Batch:
        """The samples that differ from the last ones of their tags."""
        fresh = [later for sample in batch if self._is_new(later := self._in_order(sample))]
        self._last.update((sample.tag, sample) for sample in fresh)
        return fresh

    def _in_order(self, sample: Sample) -> Sample:
        last = self._last.get(sample.tag)
        if last is None or sample.time >= last.time:
            return sample
        return Sample(sample.tag, sample.value, last.time, sample.quality)

    def _is_new(self, sample: Sample) -> bool:
        last = self._last.get(sample.tag)
        if last is None or (sample.value, sample.quality) != (last.value, last.quality):
            return True
        return sample.time != last.time and not is_bad(sample.quality)
