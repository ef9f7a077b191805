"""Which samples of the last while were delivered, so that looking back doubles none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gl002.model import Sample


class Remembered:
    """Keys of samples delivered, as many as a bound allows.

    Args:
        most: keys kept. Where there would be more the newest stay, half as many, and what is older
            must not be asked for again; those of one moment stay together.

    Attributes:
        floor: nanoseconds UTC; what is older is not remembered, delivered or not.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: dict[str, set[int]] = {}
        self._count = 0
        self.floor = 0

    def __contains__(self, sample: Sample) -> bool:
        return sample.time in self._times.get(sample.tag, ())

    def __len__(self) -> int:
        return self._count

    def add(self, samples: Iterable[Sample]) -> None:
        """These were delivered; safe twice."""
        for sample in samples:
            self._times.setdefault(sample.tag, set()).add(sample.time)
        self._count = sum(map(len, self._times.values()))
        if self._count > self._most:
            oldest = sorted(self._all())[-max(1, self._most // 2)]
            self.forget(oldest)
            self.floor = max(self.floor, oldest)

    def forget(self, before: int) -> None:
        """Nothing older than this, in nanoseconds UTC, is met again."""
        kept = {tag: {t for t in times if t >= before} for tag, times in self._times.items()}
        self._times = {tag: times for tag, times in kept.items() if times}
        self._count = sum(map(len, self._times.values()))

    def clear(self) -> None:
        """Nothing is known to have arrived."""
        self._times.clear()
        self._count, self.floor = 0, 0

    def _all(self) -> Iterator[int]:
        for times in self._times.values():
            yield from times
