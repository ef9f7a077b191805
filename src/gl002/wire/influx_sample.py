"""Samples as points of InfluxDB, and back: one series a tag, its value in fields by type. Pure.

    samples,tag=boiler1.steam_flow value=12.5,quality=0i 1700000000000000000

    value    every number as a float, true and false as 1 and 0: what a chart draws
    int      a whole number, exactly
    bool     true or false
    text     a text
    quality  the OPC UA status code; always there

A field has one type for ever in InfluxDB, so that a tag which is an integer today and a float
tomorrow can only be kept in two fields. A second point with the series and time of another is
merged with it field by field: the same sample again changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, worst
from gl002.wire.line_protocol import FieldValue, Precision, field, moment, series

TAG = "tag"
"""Key of the one tag of a series."""
FIELDS = ("value", "int", "bool", "text", "quality")

_LARGEST_QUALITY = 0xFFFF_FFFF


class SampleLines:
    """Writes samples as lines; remembers what each series begins with.

    Args:
        measurement: where the samples go.
        precision: unit of their times in a line.
    """

    def __init__(self, measurement: str, precision: Precision = "ns") -> None:
        self._measurement = measurement
        self._precision = precision
        self._begins: dict[str, str] = {}

    def line(self, sample: Sample) -> str:
        """One sample as a line, without its end.

        Raises:
            DataError: InfluxDB cannot hold it, and why.
        """
        begin = self._begins.get(sample.tag)
        if begin is None:
            if not sample.tag:
                raise DataError("its tag is empty")
            begin = self._begins[sample.tag] = series(self._measurement, {TAG: sample.tag})
        return f"{begin} {_fields(sample)} {moment(sample.time, self._precision)}"


def _fields(sample: Sample) -> str:
    value, quality = sample.value, sample.quality
    if not 0 <= quality <= _LARGEST_QUALITY:
        raise DataError(f"{quality} is no status code")
    if isinstance(value, float):
        if math.isfinite(value):
            return f"value={value!r},quality={quality}i"
        failure = Quality.BAD_SENSOR_FAILURE if math.isnan(value) else Quality.BAD_OUT_OF_RANGE
        return f"quality={worst((quality, failure))}i"
    if value is None:
        return f"quality={quality}i"
    if isinstance(value, str):
        return f"text={field(value, 'text')},quality={quality}i"
    own = "bool" if isinstance(value, bool) else "int"
    exact = field(value, own)  # first: an integer too large for it may be too large for a float
    return f"value={float(value)!r},{own}={exact},quality={quality}i"


def sample_of(tag: str, time: int, fields: Mapping[str, FieldValue | None]) -> Sample:
    """The sample that a point was made of.

    A point of somebody else's, with a value and no quality, is good.
    """
    quality = fields.get("quality")
    known = isinstance(quality, int) and 0 <= quality <= _LARGEST_QUALITY
    return Sample(tag, _value(fields), time, int(quality) if known else 0)  # type: ignore[arg-type]  # known


def _value(fields: Mapping[str, FieldValue | None]) -> Value:
    for name in ("bool", "int", "text", "value"):
        value = fields.get(name)
        if value is not None:
            return value
    return None
