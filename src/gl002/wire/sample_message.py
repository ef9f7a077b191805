"""Samples as JSON messages, one at a time or several together, each with an id that repeats carry.

A message may be delivered twice: whoever reads it drops an `id` seen before. The id depends on
nothing but the gateway's name and the samples in the message.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from gl002.errors import DataError
from gl002.model import Quality, Sample, TagTable, is_bad, quality_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENVELOPE = 80  # bytes of a message around its samples and the gateway's name, at most
_encode = msgspec.json.Encoder().encode


class Packed(NamedTuple):
    """A message and what is in it.

    Attributes:
        payload: JSON.
        indices: of its samples in the batch.
    """

    payload: bytes
    indices: range


def message_id(samples: Sequence[Sample], gateway: str) -> str:
    """32 hexadecimal digits, the same for the same samples of the same gateway."""
    return hashlib.blake2b(_json((gateway, samples)), digest_size=16).hexdigest()


def single(sample: Sample, *, gateway: str, tags: TagTable) -> bytes:
    """One sample: {"id", "tag", "value", "time", "quality", "unit"}.

    Raises:
        DataError: its text is not valid.
    """
    return _json({"id": message_id([sample], gateway), **_fields(sample, tags)})


def packed(
    batch: Sequence[Sample], *, gateway: str, tags: TagTable, largest: int
) -> Iterator[Packed]:
    """A batch as messages {"id", "gateway", "samples": [...]}, none longer than `largest` bytes.

    A sample that stands twice is sent once. One that is too long by itself comes as an empty
    payload: it cannot be sent.

    Raises:
        DataError: the text of a sample is not valid.
    """
    room = largest - _ENVELOPE - len(_json(gateway))
    start, size = 0, 0
    parts: list[bytes] = []
    seen: set[Sample] = set()
    for i, sample in enumerate(batch):
        if sample in seen:
            continue
        seen.add(sample)
        part = _json(_fields(sample, tags))
        if parts and (size + len(part) >= room):
            yield _message(batch, range(start, i), parts, gateway)
            start, size, parts = i, 0, []
        if len(part) > room:
            yield Packed(b"", range(i, i + 1))
            start = i + 1
            continue
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _message(batch, range(start, len(batch)), parts, gateway)


def _message(
    batch: Sequence[Sample], indices: range, parts: Sequence[bytes], gateway: str
) -> Packed:
    samples = batch[indices.start : indices.stop]
    content = {
        "id": message_id(samples, gateway),
        "gateway": gateway,
        "samples": [msgspec.Raw(part) for part in parts],
    }
    return Packed(_json(content), indices)


def _fields(sample: Sample, tags: TagTable) -> Mapping[str, Any]:
    """A sample as JSON has it. A number that JSON cannot hold is null, and bad."""
    value, quality = sample.value, sample.quality
    if isinstance(value, float) and not math.isfinite(value):
        value, quality = None, quality if is_bad(quality) else int(Quality.BAD_NO_DATA)
    return {
        "tag": sample.tag,
        "value": value,
        "time": iso(sample.time),
        "quality": quality_name(quality),
        "unit": tags.unit(sample.tag),
    }


def iso(nanoseconds: int) -> str:
    """ISO 8601 in UTC to the microsecond, or to the nanosecond where there are any.

    >>> iso(1_700_000_000_123_456_000)
    '2023-11-14T22:13:20.123456Z'
    """
    micros, rest = divmod(nanoseconds, 1_000)
    text = (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds")[:-6]
    return f"{text}{rest:03d}Z" if rest else f"{text}Z"


def _json(content: object) -> bytes:
    try:
        return _encode(content)
    except UnicodeEncodeError as error:
        raise DataError(f"no valid text: {error}") from None
