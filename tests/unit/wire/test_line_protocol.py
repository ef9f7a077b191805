"""Line protocol: what is written is read as it was meant, and what cannot be is refused."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.model import Quality, Sample
from gl002.wire.influx_sample import SampleLines, sample_of
from gl002.wire.line_protocol import EARLIEST, LATEST, field, line, series

names = st.text(min_size=1, max_size=12)
values = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
times = st.integers(EARLIEST, LATEST)


def parsed(text: str) -> tuple[str, dict[str, str], dict[str, object], int]:
    """A reader of one line, after the published grammar; not the code under test."""
    head, fields, time = _split(text, " ")
    measurement, *tags = _split(head, ",")
    pairs = [_split(tag, "=") for tag in tags]
    read = [_split(pair, "=", most=1) for pair in _split(fields, ",")]
    return (
        _plain(measurement),
        {_plain(k): _plain(v) for k, v in pairs},
        {_plain(k): _field(v) for k, v in read},
        int(time),
    )


def _split(text: str, at: str, most: int = -1) -> list[str]:
    """Parts between characters that are neither escaped nor in quotes."""
    parts, quoted, i = [""], False, 0
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            parts[-1] += text[i : i + 2]
            i += 2
            continue
        # A text begins right behind '='; a quote anywhere else in a key is a character like others.
        if c == '"' and at != "=" and (quoted or re.search(r"(?<!\\)=$", parts[-1])):
            quoted = not quoted
        if c == at and not quoted and most != 0:
            parts.append("")
            most -= 1
        else:
            parts[-1] += c
        i += 1
    return parts


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _field(text: str) -> object:
    if text.startswith('"'):
        return re.sub(r"\\([\\\"])", r"\1", text[1:-1])
    if text in {"true", "false"}:
        return text == "true"
    return int(text[:-1]) if text.endswith("i") else float(text)


@given(names, st.dictionaries(names, st.text(max_size=12), max_size=3),
       st.dictionaries(names, values, min_size=1, max_size=3), times)  # fmt: skip
def test_a_line_is_read_as_it_was_meant_or_not_written(measurement, tags, fields, time) -> None:
    try:
        written = line(measurement, tags, fields, time)
    except DataError:
        return
    assert "\n" not in written.split('"')[0]
    assert not written.startswith("#")
    read = parsed(written)
    assert read == (measurement, {k: v for k, v in tags.items() if v}, fields, time)
    for name, value in fields.items():
        assert type(read[2][name]) is type(value)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (("m", {}, {"v": 1.0}), "m v=1.0 0"),
        (("m", {"b": "2", "a": "1"}, {"v": 1}), "m,a=1,b=2 v=1i 0"),
        (("a b,c=d", {"k,=": "v ,="}, {"f =": True}), r"a\ b\,c=d,k\,\==v\ \,\= f\ \==true 0"),
        (("m", {"empty": ""}, {"s": 'say "hi" \\ \n'}), 'm s="say \\"hi\\" \\\\ \n" 0'),
        (("m", {}, {"v": 1e300, "w": -0.0, "x": 5e-324}), "m v=1e+300,w=-0.0,x=5e-324 0"),
        (("m", {"p": "C:\\dir"}, {"v": False}), "m,p=C:\\dir v=false 0"),
        (("m", {}, {"v": -(2**63), "w": 2**63 - 1}),
         "m v=-9223372036854775808i,w=9223372036854775807i 0"),
    ],
)  # fmt: skip
def test_a_point_as_a_line(point, expected) -> None:
    assert line(*point, 0) == expected


@pytest.mark.parametrize(
    ("point", "word"),
    [
        (("", {}, {"v": 1}), "empty"), (("#m", {}, {"v": 1}), "comment"),
        (("m\n", {}, {"v": 1}), "no line can hold"), (("m", {"a\0": "x"}, {"v": 1}), "no line"),
        (("m", {"": "x"}, {"v": 1}), "empty"), (("m", {}, {"": 1}), "empty"),
        (("m", {"t": "x\\"}, {"v": 1}), "backslash"), (("m", {"t": "\\,"}, {"v": 1}), "backslash"),
        (("m\\", {}, {"v": 1}), "backslash"), (("m", {}, {"f\\=": 1}), "backslash"),
        (("m", {"t": "\ud800"}, {"v": 1}), "no line"), (("m", {"t": 5}, {"v": 1}), "no text"),
        (("m", {"time": "x"}, {"v": 1}), "keeps for itself"),
        (("m", {}, {"time": 1}), "keeps for itself"), (("m", {}, {}), "at least one"),
        (("m", {}, {"v": math.nan}), "nan"), (("m", {}, {"v": -math.inf}), "inf"),
        (("m", {}, {"v": 2**63}), "64 bits"), (("m", {}, {"v": None}), "NoneType"),
        (("m", {}, {"v": "x" * 65_536}), "65535 bytes"), (("m", {}, {"v": "\0"}), "NUL"),
        (("m", {"t": "x" * 65_536}, {"v": 1}), "65535 bytes"),
    ],
)  # fmt: skip
def test_what_no_line_can_say_is_refused(point, word: str) -> None:
    with pytest.raises(DataError, match=word):
        line(*point, 0)


@pytest.mark.parametrize(
    ("precision", "expected"), [("ns", 1_999_999_999), ("us", 1_999_999), ("ms", 1999), ("s", 1)]
)
def test_a_time_is_rounded_down_to_its_precision(precision, expected: int) -> None:
    assert line("m", {}, {"v": 1}, 1_999_999_999, precision) == f"m v=1i {expected}"


@pytest.mark.parametrize("time", [EARLIEST - 1, LATEST + 1, 2**70])
def test_a_time_outside_of_64_bits_is_refused(time: int) -> None:
    with pytest.raises(DataError, match="time"):
        line("m", {}, {"v": 1}, time)


@given(st.floats())
def test_no_line_has_a_number_that_is_none(value: float) -> None:
    try:
        text = field(value, "v")
    except DataError:
        assert not math.isfinite(value)
    else:
        assert float(text) == value


# ---- samples ------------------------------------------------------------------------------------

_tags = st.text(st.characters(categories=["L", "N"], include_characters=" ._-,="), min_size=1)


@given(_tags, values | st.none() | st.floats(), times, st.integers(0, 2**32 - 1))
def test_a_sample_comes_back_as_it_was(tag, value, time, quality) -> None:
    try:
        written = SampleLines("samples").line(Sample(tag, value, time, quality))
    except DataError:
        assert isinstance(value, str)
        return
    measurement, tags, fields, moment = parsed(written)
    back = sample_of(tags["tag"], moment, fields)
    assert measurement == "samples"
    assert (back.tag, back.time) == (tag, time)
    if isinstance(value, float) and not math.isfinite(value):
        assert back.value is None
        assert back.quality >> 30 >= 2 or quality >> 30 >= 2
    else:
        assert (back.value, type(back.value), back.quality) == (value, type(value), quality)


def test_the_number_that_a_transmitter_gives_when_it_fails_is_a_bad_sample() -> None:
    lines = SampleLines("samples")
    assert (
        lines.line(Sample("t", math.nan, 0))
        == f"samples,tag=t quality={Quality.BAD_SENSOR_FAILURE}i 0"
    )
    assert (
        lines.line(Sample("t", math.inf, 0))
        == f"samples,tag=t quality={Quality.BAD_OUT_OF_RANGE}i 0"
    )


@pytest.mark.parametrize(
    ("sample", "word"),
    [
        (Sample("", 1.0, 0), "empty"), (Sample("t", 2**63, 0), "64 bits"),
        (Sample("t", 10**400, 0), "64 bits"), (Sample("t", "\0", 0), "NUL"),
        (Sample("t", 1.0, 2**63), "time"), (Sample("t", 1.0, 0, -1), "status code"),
        (Sample("a\nb", 1.0, 0), "no line"), (Sample("a\\", 1.0, 0), "backslash"),
    ],
)  # fmt: skip
def test_a_sample_that_cannot_be_kept_is_refused(sample: Sample, word: str) -> None:
    with pytest.raises(DataError, match=word):
        SampleLines("samples").line(sample)


def test_a_status_code_may_be_one_of_the_names() -> None:
    """A look into a range takes minutes for an integer of a class of its own."""
    sample = Sample("t", None, 0, Quality.BAD_NO_COMMUNICATION)
    assert SampleLines("samples").line(sample) == "samples,tag=t quality=2150694912i 0"
    assert field(Quality.BAD_NO_COMMUNICATION) == "2150694912i"


def test_a_point_of_somebody_else_is_good() -> None:
    assert sample_of("t", 5, {"value": 1.5}) == Sample("t", 1.5, 5)
    assert sample_of("t", 5, {"other": 1.5}) == Sample("t", None, 5)
    assert sample_of("t", 5, {"value": 1.5, "quality": "odd"}) == Sample("t", 1.5, 5)


def test_a_series_is_written_with_its_tags_in_order() -> None:
    assert series("m", {"z": "1", "a": "2"}) == "m,a=2,z=1"
