"""Messages as samples: nothing is lost without a trace, nothing is made up."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.model import Quality, Sample, is_bad
from gl002.wire.mqtt_payload import Decoder, tag_template

NOW = 1_735_689_600_000_000_000
EARLIER = "2024-12-31T23:59:00Z"
EARLIER_NS = NOW - 60_000_000_000


def read(
    payload, *, topic="boiler/001/data", retained=False, **settings
) -> tuple[list[Sample], str]:
    settings.setdefault("filters", ("boiler/+/data",))
    if "tag" in settings:
        settings["tag"] = tag_template(settings["tag"])
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Decoder(**settings).samples(topic, data, retained=retained, received=NOW)


def values(payload, **settings):
    samples, trouble = read(payload, **settings)
    assert trouble == ""
    return {s.tag: s.value for s in samples}


def test_keys_of_an_object_are_tags_below_what_the_wildcard_stands_for() -> None:
    payload = {"efficiency": 85.4, "on": True, "count": 3, "name": "B1"}
    assert values(payload) == {
        "001.efficiency": 85.4, "001.on": True, "001.count": 3, "001.name": "B1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "topic", "tag"),
    [
        ({"prefix": "house."}, "boiler/001/data", "house.001.o2"),
        ({"tag": "boiler{1}.{key}"}, "boiler/001/data", "boiler001.o2"),
        ({"tag": "{topic}.{key}"}, "boiler/001/data", "boiler.001.data.o2"),
        ({"filters": ("boiler/#",)}, "boiler/1/flue", "1.flue.o2"),
        ({"filters": ("boiler/#",), "tag": "{2}-{1}.{key}"}, "boiler/1/flue", "flue-1.o2"),
        ({"filters": ("boiler/001/data",)}, "boiler/001/data", "o2"),
        ({"filters": ("x/+", "boiler/+/+")}, "boiler/001/data", "001.data.o2"),
    ],
)
def test_tags_are_named_by_the_template(settings, topic, tag) -> None:
    assert values({"o2": 3.1}, topic=topic, **settings) == {tag: 3.1}


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b"85.4", 85.4), (b" -3 ", -3), (b"1e3", 1000.0), (b"true", True), (b"False", False),
     (b"on", "on"), (b"3,1", "3,1"), ("läuft".encode(), "läuft"), (b"0x10", "0x10"), (b".5", 0.5)],
)  # fmt: skip
def test_one_value_as_text_is_read_for_what_it_is(payload, value) -> None:
    ((tag, read_value),) = values(payload, format="raw").items()
    assert (tag, read_value, type(read_value)) == ("001", value, type(value))


@pytest.mark.parametrize("payload", [b"85.4", b'"text"', b"true"])
def test_one_json_value_is_the_tag_of_its_topic(payload) -> None:
    assert values(payload) == {"001": json.loads(payload)}


def test_the_time_in_the_payload_is_the_time_of_its_values() -> None:
    (sample,), _ = read({"t": EARLIER, "o2": 3.1}, time_key="t")
    assert sample == Sample("001.o2", 3.1, EARLIER_NS)
    (sample,), _ = read({"t": EARLIER_NS // 10**6, "o2": 3.1}, time_key="t", time_unit="ms")
    assert sample.time == EARLIER_NS


def test_without_a_time_in_the_payload_the_arrival_counts() -> None:
    (sample,), _ = read({"o2": 3.1})
    assert (sample.time, sample.quality) == (NOW, Quality.GOOD)


@pytest.mark.parametrize("payload", [{"o2": 3.1}, {"t": "noon", "o2": 3.1}, {"t": 5, "o2": 3.1}])
def test_a_time_that_cannot_be_read_makes_the_value_uncertain_and_is_told(payload) -> None:
    (sample,), trouble = read(payload, time_key="t")
    assert (sample.value, sample.time, sample.quality) == (3.1, NOW, Quality.UNCERTAIN)
    assert "t" in trouble


def test_what_the_broker_had_kept_is_good_only_with_a_time_of_its_own() -> None:
    (kept,), _ = read({"o2": 3.1}, retained=True)
    assert kept.quality == Quality.UNCERTAIN_LAST_USABLE_VALUE
    (stamped,), _ = read({"t": EARLIER, "o2": 3.1}, retained=True, time_key="t")
    assert (stamped.time, stamped.quality) == (EARLIER_NS, Quality.GOOD)


@pytest.mark.parametrize(
    ("item", "quality"),
    [
        (None, Quality.BAD_NO_DATA),
        ({"a": 1}, Quality.BAD_TYPE_MISMATCH),
        ([1], Quality.BAD_TYPE_MISMATCH),
        (2**63, Quality.BAD_OUT_OF_RANGE),
        (-(2**63) - 1, Quality.BAD_OUT_OF_RANGE),
        ("x" * 5000, Quality.BAD_OUT_OF_RANGE),
    ],
)
def test_a_value_we_cannot_hold_is_bad_and_harms_no_other(item, quality) -> None:
    samples, trouble = read({"odd": item, "o2": 3.1})
    assert samples == [Sample("001.odd", None, NOW, quality), Sample("001.o2", 3.1, NOW)]
    assert trouble == ""


@pytest.mark.parametrize("payload", [b"nan", b"NaN", b"-inf", b"Infinity", b"", b"null"])
def test_no_number_in_text_is_no_value(payload) -> None:
    samples, _ = read(payload, format="raw")
    assert samples == [Sample("001", None, NOW, Quality.BAD_NO_DATA)]


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"NaN", b"{" * 90_000])
def test_a_payload_that_cannot_be_read_is_a_bad_sample_of_its_topic(payload) -> None:
    samples, trouble = read(payload)
    assert samples == [Sample("001", None, NOW, Quality.BAD_DECODING_ERROR)]
    assert trouble


def test_text_that_is_not_utf_8_is_a_bad_sample() -> None:
    samples, trouble = read(b"\xff", format="raw")
    assert samples == [Sample("001", None, NOW, Quality.BAD_DECODING_ERROR)]
    assert "UTF-8" in trouble


def test_one_value_where_the_template_asks_for_a_key_is_told() -> None:
    (sample,), trouble = read(b"3.1", tag="{1}.{key}")
    assert sample == Sample("001", None, NOW, Quality.BAD_DECODING_ERROR)
    assert "{key}" in trouble


def test_only_the_keys_asked_for_are_taken() -> None:
    payload = {"o2": 3.1, "co": 12, "t": EARLIER}
    assert values(payload, keys=frozenset({"o2"}), time_key="t") == {"001.o2": 3.1}


def test_an_object_without_values_gives_no_sample() -> None:
    assert read({}) == ([], "")


def test_the_broken_comes_under_its_prefix_too() -> None:
    (sample,), _ = read(b"{", prefix="house.")
    assert sample.tag == "house.001"


def test_names_print_and_are_bounded_and_stay_distinct() -> None:
    samples, _ = read({"a\nb": 1, "x" * 400: 2, "x" * 401: 3})
    names = [s.tag for s in samples]
    assert names[0] == "001.a%0Ab"
    assert len(set(names)) == 3
    assert all(len(name) <= 255 and name.isprintable() for name in names)


@given(
    st.binary(max_size=200) | st.text().map(str.encode),
    st.sampled_from(["json", "raw"]),
    st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1),
)
def test_any_message_gives_samples_that_can_be_stored(payload, form, part) -> None:
    decoder = Decoder(filters=("boiler/#",), format=form, time_key=None)
    samples, trouble = decoder.samples(f"boiler/{part}", payload, retained=False, received=NOW)
    assert samples or (form == "json" and payload.strip() == b"{}")
    for sample in samples:
        assert sample.tag
        assert sample.tag.isprintable()
        assert sample.time == NOW
        assert (
            sample.value is None
            or not isinstance(sample.value, float)
            or math.isfinite(sample.value)
        )
        assert (sample.value is None) == is_bad(sample.quality)
    if trouble:
        assert all(s.quality == Quality.BAD_DECODING_ERROR for s in samples)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        st.none() | st.booleans() | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")) | st.lists(st.integers()),
        max_size=20,
    )
)  # fmt: skip
def test_every_key_of_an_object_becomes_a_sample(payload) -> None:
    samples, _ = Decoder(filters=("+",)).samples(
        "t", json.dumps(payload).encode(), retained=False, received=NOW
    )
    assert len(samples) == len(payload)
