"""Samples as messages: whole, small enough, and recognised when they come twice."""

from __future__ import annotations

import json
import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, TagTable, to_ns
from gl002.wire.sample_message import iso, message_id, packed, single

TAGS = TagTable()
TAGS.declare(Tag(name="boiler1.steam_flow", unit="kg/s"))
TIME = 1_735_689_600_123_456_789
SAMPLES = st.lists(
    st.builds(
        Sample,
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
        st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8"), max_size=40),
        st.integers(0, (1 << 63) - 1),
        st.sampled_from(Quality).map(int),
    ),
    max_size=40,
    unique=True,
)  # fmt: skip


def messages(batch, largest=100_000):
    return list(packed(batch, gateway="house", tags=TAGS, largest=largest))


def test_one_sample_says_all_about_itself() -> None:
    content = json.loads(single(Sample("boiler1.steam_flow", 12.6, TIME), gateway="g", tags=TAGS))
    identity = content.pop("id")
    assert len(identity) == 32
    assert content == {
        "tag": "boiler1.steam_flow", "value": 12.6, "time": "2025-01-01T00:00:00.123456789Z",
        "quality": "Good", "unit": "kg/s",
    }  # fmt: skip


def test_a_batch_is_one_message_with_the_gateways_name() -> None:
    batch = [Sample("a", 1, TIME), Sample("b", "x", TIME)]
    (message,) = messages(batch)
    content = json.loads(message.payload)
    assert content["gateway"] == "house"
    assert [s["tag"] for s in content["samples"]] == ["a", "b"]
    assert content["id"] == message_id(batch, "house")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_null_and_bad(value) -> None:
    content = json.loads(single(Sample("a", value, TIME), gateway="g", tags=TAGS))
    assert (content["value"], content["quality"]) == (None, "BadNoData")
    told = Sample("a", value, TIME, Quality.BAD_SENSOR_FAILURE)
    assert json.loads(single(told, gateway="g", tags=TAGS))["quality"] == "BadSensorFailure"


@given(SAMPLES, st.integers(1024, 4096))
def test_every_sample_is_in_exactly_one_message_that_is_small_enough(batch, largest) -> None:
    sent, covered = [], []
    for message in messages(batch, largest):
        assert len(message.payload) <= largest
        covered += message.indices
        sent += json.loads(message.payload)["samples"]
    assert covered == list(range(len(batch)))
    assert [s["tag"] for s in sent] == [s.tag for s in batch]
    assert [s["value"] for s in sent] == [s.value for s in batch]


@given(SAMPLES)
def test_the_same_samples_have_the_same_id_and_others_another(batch) -> None:
    assert message_id(batch, "g") == message_id(list(batch), "g")
    if batch:
        assert message_id(batch, "g") != message_id(batch[1:], "g")
        assert message_id(batch, "g") != message_id(batch, "h")


def test_a_sample_too_long_for_a_message_is_told_and_harms_no_other() -> None:
    batch = [Sample("a", 1, 1), Sample("b", "x" * 2000, 2), Sample("c", 3, 3)]
    found = messages(batch, 1024)
    assert [(bool(m.payload), list(m.indices)) for m in found] == [
        (True, [0]), (False, [1]), (True, [2]),
    ]  # fmt: skip


def test_a_sample_twice_in_a_batch_is_sent_once() -> None:
    batch = [Sample("a", 1, 1), Sample("b", 2, 2), Sample("a", 1, 1)]
    (message,) = messages(batch)
    assert len(json.loads(message.payload)["samples"]) == 2
    assert list(message.indices) == [0, 1, 2]


def test_text_that_is_none_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no valid text"):
        single(Sample("a", "\ud800", 1), gateway="g", tags=TAGS)


@given(st.integers(0, (1 << 63) - 1))
def test_a_time_reads_back_to_the_microsecond(moment: int) -> None:
    text = iso(moment)
    assert to_ns(datetime.fromisoformat(text)) == moment // 1000 * 1000
    assert text.endswith("Z")
    assert int(text[20:-1].ljust(9, "0")) == moment % 10**9
