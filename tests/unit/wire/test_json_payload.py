"""JSON out: one form for every value. JSON in: safe limits, and times that are never guessed."""

from __future__ import annotations

import array
import dataclasses
import enum
import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.model import Quality, Sample, to_ns
from gl002.wire.json_payload import LARGEST, decode, encode, timestamp

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=30,
)


class Colour(enum.Enum):
    RED = "red"


class Mode(str, enum.Enum):  # noqa: UP042 (the older way to write it, still common)
    AUTO = "auto"


@dataclasses.dataclass
class Burner:
    on: bool
    modes: set[int]


def test_the_payload_of_the_guide_has_a_form() -> None:
    payload = {
        "timestamp": datetime.now().isoformat(),  # noqa: DTZ005 (as the guide writes it)
        "efficiency": 85.4,
        "recommendations": {...},
    }
    assert json.loads(encode(payload)) == {**payload, "recommendations": [None]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (..., None),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({10, 9}, [9, 10]),
        (datetime(2025, 1, 1, 12, tzinfo=UTC), "2025-01-01T12:00:00Z"),
        (datetime(2025, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2025-01-01T10:00:00Z"),
        (date(2025, 1, 1), "2025-01-01"),
        (time(6, 30), "06:30:00"),
        (timedelta(minutes=2), 120.0),
        (Decimal("1.5"), 1.5),
        (Colour.RED, "red"),
        (Mode.AUTO, "auto"),
        (Quality.BAD, 0x8000_0000),
        (b"\x01\x02\x03", "AQID"),
        (bytearray(b"\x01\x02\x03"), "AQID"),
        (array.array("d", [1.0, 2.0]), [1.0, 2.0]),
        (Burner(on=True, modes={2}), {"on": True, "modes": [2]}),
        (Sample("a", 1.5, 3), ["a", 1.5, 3, 0]),
        ({Colour.RED: 1, 2: 3, date(2025, 1, 1): 4}, {"red": 1, "2": 3, "2025-01-01": 4}),
        ((1, (2, 3)), [1, [2, 3]]),
        (math.nan, None),
        (-math.inf, None),
        ({"a": [math.inf]}, {"a": [None]}),
        (2**70, 2**70),
    ],
)
def test_every_value_has_one_documented_form(value: object, expected: object) -> None:
    assert json.loads(encode(value)) == expected


def test_a_datetime_without_a_zone_is_local_time() -> None:
    naive = datetime(2025, 7, 1, 12)  # noqa: DTZ001 (the point)
    assert json.loads(encode(naive)) == naive.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_the_same_set_reads_the_same_whatever_its_items() -> None:
    assert encode({"a", 1, (2, 3), None}) == encode({None, (2, 3), 1, "a"})


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, [lambda: 0], "\ud800", {"a": "\ud800"}, 1j, range]
)
def test_a_value_without_a_form_is_a_data_error(value: object) -> None:
    with pytest.raises(DataError, match="no JSON"):
        encode(value)


def test_a_value_within_itself_is_a_data_error() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(DataError, match="32 levels"):
        encode(endless)


@given(JSON)
def test_json_values_come_back_as_they_went(value: object) -> None:
    assert decode(encode(value)) == value


@given(JSON)
def test_what_we_write_another_library_reads(value: object) -> None:
    assert json.loads(encode(value)) == value


@given(st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()[:-1]))
def test_any_bytes_are_json_or_a_data_error(payload: bytes) -> None:
    try:
        value = decode(payload)
    except DataError:
        return
    assert value == json.loads(payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"NaN", b"Infinity", b"-Infinity", b"[1,]", b"{'a':1}", b'{"a":1e999}', b"\xff", b"\x00",
     b'"\\ud800"', b"1 2", b"[" * 100_000, b"[" * 40 + b"]" * 40, b"\xef\xbb\xbf1"],
)  # fmt: skip
def test_what_is_no_json_or_too_deep_is_refused(payload: bytes) -> None:
    with pytest.raises(DataError):
        decode(payload)


def test_more_than_a_mebibyte_is_refused_before_it_is_parsed() -> None:
    assert decode(b'"' + b"x" * (LARGEST - 2) + b'"')
    with pytest.raises(DataError, match="at most"):
        decode(b'"' + b"x" * (LARGEST - 1) + b'"')


def test_thirty_two_levels_are_read() -> None:
    assert decode(b"[" * 32 + b"]" * 32)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("2025-01-01T00:00:00Z", "iso", 1_735_689_600_000_000_000),
        ("2025-01-01T00:00:00.123456789Z", "iso", 1_735_689_600_123_456_000),
        ("2025-01-01T02:00:00+02:00", "iso", 1_735_689_600_000_000_000),
        (1_735_689_600, "s", 1_735_689_600_000_000_000),
        (1_735_689_600.25, "s", 1_735_689_600_250_000_000),
        (1_735_689_600_123, "ms", 1_735_689_600_123_000_000),
        (1_735_689_600_123_456, "us", 1_735_689_600_123_456_000),
        (1_735_689_600_123_456_789, "ns", 1_735_689_600_123_456_789),
        (0, "s", 0),
    ],
)
def test_a_time_is_read_in_the_unit_it_is_declared_in(value, unit, expected) -> None:
    assert timestamp(value, unit) == expected


def test_a_time_without_a_zone_is_local_time() -> None:
    local = datetime(2025, 7, 1, 12)  # noqa: DTZ001 (the point)
    assert timestamp("2025-07-01T12:00:00", "iso") == to_ns(local)


@pytest.mark.parametrize(
    ("value", "unit"),
    [("yesterday", "iso"), (1_735_689_600, "iso"), (None, "iso"), ("1735689600", "s"), (True, "s"),
     (math.nan, "s"), (math.inf, "ms"), (1e300, "s"), (-1, "s"), (1_735_689_600_000_000, "s"),
     ("9999-12-31T23:59:59Z", "iso"), ("0001-01-01T00:00:00", "iso"), ([], "ns")],
)  # fmt: skip
def test_what_is_no_time_between_1970_and_2262_is_refused(value, unit) -> None:
    with pytest.raises(DataError):
        timestamp(value, unit)


@given(st.integers(0, (1 << 63) - 1))
def test_nanoseconds_are_exact(moment: int) -> None:
    assert timestamp(moment, "ns") == moment
    assert timestamp(moment // 1000, "us") == moment // 1000 * 1000


@given(JSON, st.sampled_from(["iso", "s", "ms", "us", "ns"]))
def test_any_json_value_is_a_time_or_a_data_error(value, unit) -> None:
    try:
        moment = timestamp(value, unit)
    except DataError:
        return
    assert 0 <= moment < 1 << 63
