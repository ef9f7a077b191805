"""The state a cloud wants, as samples."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.model import Quality, Sample, is_bad
from gl002.wire import aws_iot, azure_iot
from gl002.wire.desired_state import State, StateDecoder, state_decoder


def _decoder(*states: State | None) -> StateDecoder:
    left = list(states)
    return state_decoder(("state",), "desired.", lambda topic, payload: left.pop(0))


def _samples(decoder: StateDecoder) -> list[Sample]:
    samples, trouble = decoder.samples("state", b"", retained=False, received=7)
    assert trouble == ""
    return samples


def _values(decoder: StateDecoder) -> dict[str, object]:
    return {sample.tag: sample.value for sample in _samples(decoder)}


def test_a_part_changes_only_what_it_names() -> None:
    decoder = _decoder(
        State(values={"a": 1, "b": {"c": 2}}, version=4),
        State(values={"b": {"c": 3}}, version=5, whole=False),
        State(values={"a": None}, version=6, whole=False),
    )
    assert _values(decoder) == {"desired.a": 1, "desired.b.c": 2}
    assert _values(decoder) == {"desired.b.c": 3}
    assert _values(decoder) == {"desired.a": None}


def test_a_part_that_the_whole_holds_already_is_left_out() -> None:
    decoder = _decoder(
        State(values={"a": 2}, version=5, fresh=True),
        State(values={"a": 1}, version=4, whole=False),
        State(values={"a": 2}, version=5, whole=False),
        State(values={"a": 3}, version=6, whole=False),
    )
    assert [_values(decoder) for _ in range(4)] == [{"desired.a": 2}, {}, {}, {"desired.a": 3}]


def test_a_fresh_answer_holds_although_its_version_is_lower() -> None:
    decoder = _decoder(
        State(values={"a": 1, "b": 1}, version=9), State(values={"a": 2}, version=1, fresh=True)
    )
    _values(decoder)
    assert _values(decoder) == {"desired.a": 2, "desired.b": None}


def test_what_is_about_something_else_gives_nothing() -> None:
    assert _values(_decoder(None)) == {}


def test_a_time_of_the_document_is_the_samples_time_and_else_its_arrival() -> None:
    decoder = _decoder(State(values={"a": 1, "b": 2}, version=1, times={"a": 3}))
    assert [(s.tag, s.time) for s in _samples(decoder)] == [("desired.a", 3), ("desired.b", 7)]


def test_what_is_no_value_is_bad_and_what_cannot_be_read_is_said() -> None:
    (listed,) = _samples(_decoder(State(values={"a": [1, 2]}, version=1)))
    assert is_bad(listed.quality)

    def refuse(topic: str, payload: bytes) -> State:
        raise DataError("no JSON")

    samples, trouble = state_decoder(("state",), "desired.", refuse).samples(
        "state", b"", retained=False, received=7
    )
    assert trouble == "no JSON"
    assert samples[0].quality == Quality.BAD_DECODING_ERROR


KEYS = st.text(max_size=5) | st.sampled_from(
    ["state", "current", "desired", "metadata", "timestamp", "version", "$version"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("topic", "read"),
    [
        ("$aws/things/t/shadow/get/accepted", aws_iot.state_reader("t", "")),
        ("$aws/things/t/shadow/update/documents", aws_iot.state_reader("t", "")),
        ("$iothub/twin/res/200/?$rid=1", azure_iot.read_state),
        ("$iothub/twin/PATCH/properties/desired/?$version=2", azure_iot.read_state),
    ],
)
@given(content=JSON)
@settings(deadline=None)
def test_whatever_a_cloud_sends_becomes_samples_or_one_bad_sample(
    topic: str, read: Callable[[str, bytes], State | None], content: object
) -> None:
    decoder = state_decoder((topic,), "desired.", read)
    samples, trouble = decoder.samples(
        topic, json.dumps(content).encode(), retained=False, received=7
    )
    assert not trouble or [s.quality for s in samples] == [Quality.BAD_DECODING_ERROR]
    assert all(sample.tag.startswith("desired.") for sample in samples)
