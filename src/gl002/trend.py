"""What a tag did over a long time, in as many stretches as a screen has pixels. Pure.

The lowest and the highest value of each stretch are kept, so that a spike of one second is seen in
a trend over ten years.

    >>> [b.high for b in reduced([Sample("t", v, v) for v in (1, 9, 2, 3)], 0, 10, points=2)]
    [3, 9]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from gl002.model import Sample, is_bad


class Bucket(msgspec.Struct, frozen=True):
    """One stretch of time that has samples. Where a tag has none, there is no bucket: a gap.

    Attributes:
        start: nanoseconds UTC.
        end: nanoseconds UTC; not part of it.
        samples: all of them.
        used: those with a number and not bad; the figures below are of these.
        low: lowest value; None where none is used.
        high: highest value.
        mean: of the samples, not weighted with time.
        quality: gravest status code of all samples.
    """

    start: int
    end: int
    samples: int
    used: int
    low: float | None
    high: float | None
    mean: float | None
    quality: int

    def joined(self, other: Bucket) -> Bucket:
        """This stretch with what another source of the same tag has of it."""
        used = self.used + other.used
        lows = [b.low for b in (self, other) if b.low is not None]
        highs = [b.high for b in (self, other) if b.high is not None]
        total = (self.mean or 0.0) * self.used + (other.mean or 0.0) * other.used
        return Bucket(
            start=min(self.start, other.start),
            end=max(self.end, other.end),
            samples=self.samples + other.samples,
            used=used,
            low=min(lows, default=None),
            high=max(highs, default=None),
            mean=total / used if used else None,
            quality=max(self.quality, other.quality),
        )


def width_of(start: int, end: int, points: int) -> int:
    """Nanoseconds of one of `points` stretches that cover a range.

    Raises:
        ValueError: there is no range, or no point.
    """
    if start >= end:
        raise ValueError("the range of a trend ends before it begins")
    if points < 1:
        raise ValueError("a trend has at least one point")
    return -(-(end - start) // points)


def reduced(samples: Iterable[Sample], start: int, end: int, *, points: int) -> list[Bucket]:
    """Samples of one tag as at most `points` stretches of equal length, oldest first.

    Args:
        samples: in any order; those outside of the range are left out.
        start: nanoseconds UTC.
        end: nanoseconds UTC; not included.
        points: of the screen.

    Raises:
        ValueError: there is no range, or no point.
    """
    width = width_of(start, end, points)
    found: dict[int, list[Sample]] = {}
    for sample in samples:
        if start <= sample.time < end:
            found.setdefault((sample.time - start) // width, []).append(sample)
    return [_of(found[i], start + i * width, width) for i in sorted(found)]


def _of(samples: Sequence[Sample], start: int, width: int) -> Bucket:
    numbers = [
        s.value for s in samples if isinstance(s.value, int | float) and not is_bad(s.quality)
    ]
    return Bucket(
        start=start,
        end=start + width,
        samples=len(samples),
        used=len(numbers),
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        mean=sum(numbers) / len(numbers) if numbers else None,
        quality=max(s.quality for s in samples),
    )
