"""The state a cloud wants, as samples."""

from __future__ import annotations

from gl002.errors import DataError
from gl002.model import Quality, Sample, is_bad
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
