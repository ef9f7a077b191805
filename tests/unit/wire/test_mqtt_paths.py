"""Values that lie deeper in a payload: found by paths, never guessed, never lost in silence."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from gl002.errors import ConfigError
from gl002.model import Quality, Sample
from gl002.transport.mqtt.entries import MQTTInput

NOW = 1_800_000_000 * 10**9
AT = "2025-01-01T12:00:00Z"
AT_NS = int(datetime.fromisoformat(AT).timestamp()) * 10**9
DEEP = {"at": AT, "state": "Good", "flue": {"o2": 3.1, "co": 12}, "steam flow": {"now": 50}}


def read(payload: Any, *, retained: bool = False, **settings: Any) -> tuple[list[Sample], str]:
    spec = {"source": "mqtt", "topics": ["boiler/+/data"], "format": "json_path", **settings}
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    decoder = MQTTInput.parse(spec).decoder()
    return decoder.samples("boiler/001/data", data, retained=retained, received=NOW)


def test_each_tag_has_the_value_its_path_leads_to() -> None:
    samples, trouble = read(
        DEEP,
        values={"boiler{1}.o2": "$.flue.o2", "boiler{1}.flow": "$['steam flow'].now"},
        time_path="$.at",
        prefix="house.",
    )
    assert trouble == ""
    assert samples == [
        Sample("house.boiler001.o2", 3.1, AT_NS), Sample("house.boiler001.flow", 50, AT_NS),
    ]  # fmt: skip


def test_a_wildcard_is_the_key() -> None:
    samples, _ = read(DEEP, values={"{1}.{key}": "$.flue.*"})
    assert samples == [Sample("001.o2", 3.1, NOW), Sample("001.co", 12, NOW)]


def test_things_alike_have_names_times_and_qualities_of_their_own() -> None:
    metrics = [
        {"name": "o2", "value": 3.1, "t": 1_735_732_800, "q": 192},
        {"name": "co", "value": 12, "t": 1_735_732_801, "q": 64},
        {"name": "flow", "value": 7, "t": 1_735_732_802, "q": 4},
    ]
    samples, trouble = read(
        {"metrics": metrics}, items="$.metrics[*]", key_path="$.name", time_path="$.t",
        time_unit="s", quality_path="$.q", quality_form="opc_da", values={"{1}.{key}": "$.value"},
    )  # fmt: skip
    assert trouble == ""
    assert samples == [
        Sample("001.o2", 3.1, AT_NS),
        Sample("001.co", 12, AT_NS + 10**9, Quality.UNCERTAIN),
        Sample("001.flow", None, AT_NS + 2 * 10**9, Quality.BAD),
    ]


def test_items_of_an_object_are_named_by_their_keys_and_what_lies_in_them() -> None:
    payload = {"b1": {"o2": {"v": 3.1}, "co": {"v": 5}}, "b2": {"o2": {"v": 2.9}}}
    samples, _ = read(payload, items="$.*", values={"{key}": "$.*.v"})
    assert [(s.tag, s.value) for s in samples] == [("b1.o2", 3.1), ("b1.co", 5), ("b2.o2", 2.9)]


def test_values_of_one_tag_at_many_times_all_come() -> None:
    payload = [{"t": AT, "v": 1}, {"t": "2025-01-01T12:00:01Z", "v": 2}]
    samples, _ = read(
        payload, items="$[*]", key_path="$.n", time_path="$.t", values={"{key}": "$.v"}
    )
    assert samples[0].quality == Quality.BAD_DECODING_ERROR, "an item without its name"
    named = [{**item, "n": "o2"} for item in payload]
    samples, _ = read(named, items="$[*]", key_path="$.n", time_path="$.t", values={"{key}": "$.v"})
    assert [(s.value, s.time - AT_NS) for s in samples] == [(1, 0), (2, 10**9)]


@pytest.mark.parametrize(
    ("form", "given", "quality"),
    [
        ("words", "Good", Quality.GOOD), ("words", "bad", Quality.BAD),
        ("words", "UNCERTAIN", Quality.UNCERTAIN), ("words", True, Quality.GOOD),
        ("words", False, Quality.BAD), ("words", "BadSensorFailure", Quality.BAD_SENSOR_FAILURE),
        ("words", "GOOD_LOCAL_OVERRIDE", Quality.GOOD_LOCAL_OVERRIDE),
        ("opc_ua", 0, Quality.GOOD), ("opc_ua", 0x80310000, Quality.BAD_NO_COMMUNICATION),
        ("opc_da", 192, Quality.GOOD), ("opc_da", 216, Quality.GOOD), ("opc_da", 0, Quality.BAD),
        ("opc_da", 68, Quality.UNCERTAIN),
    ],
)  # fmt: skip
def test_a_quality_is_read_in_the_form_that_was_named(form, given, quality) -> None:
    (sample,), trouble = read(
        {"v": 1, "q": given}, values={"a": "$.v"}, quality_path="$.q", quality_form=form
    )
    assert (sample.quality, trouble) == (quality, "")
    assert sample.value == (None if quality >> 31 else 1)


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("words", "fine"), ("words", 0), ("words", 192), ("words", None), ("words", []),
        ("opc_ua", "Good"), ("opc_ua", -1), ("opc_ua", 1 << 32), ("opc_ua", 0xC0000000),
        ("opc_ua", True), ("opc_da", 128), ("opc_da", 192.0), ("opc_da", 70_000),
    ],
)  # fmt: skip
def test_a_quality_that_cannot_be_read_makes_the_value_uncertain_and_is_told(form, given) -> None:
    (sample,), trouble = read(
        {"v": 1, "q": given}, values={"a": "$.v"}, quality_path="$.q", quality_form=form
    )
    assert (sample.value, sample.quality) == (1, Quality.UNCERTAIN)
    assert "$.q" in trouble


def test_a_quality_or_a_time_that_is_missing_makes_the_value_uncertain() -> None:
    for more in ({"quality_path": "$.q"}, {"time_path": "$.t"}):
        (sample,), trouble = read({"v": 1}, values={"a": "$.v"}, **more)
        assert (sample.value, sample.time, sample.quality) == (1, NOW, Quality.UNCERTAIN)
        assert trouble


def test_what_the_broker_had_kept_is_good_only_with_a_time_of_its_own() -> None:
    (kept,), _ = read(DEEP, values={"a": "$.flue.o2"}, retained=True)
    assert kept.quality == Quality.UNCERTAIN_LAST_USABLE_VALUE
    (stamped,), _ = read(DEEP, values={"a": "$.flue.o2"}, time_path="$.at", retained=True)
    assert (stamped.time, stamped.quality) == (AT_NS, Quality.GOOD)


def test_a_path_that_leads_nowhere_while_others_do_gives_nothing() -> None:
    samples, trouble = read(DEEP, values={"a": "$.flue.o2", "b": "$.flue.no"})
    assert [s.tag for s in samples] == ["a"]
    assert trouble == ""


@pytest.mark.parametrize(
    "payload", [{}, [], 5, None, {"flue": 7}, b"", b"{", b"\xff", b"[" * 9999, b'{"flue":NaN}']
)
def test_what_cannot_be_read_or_holds_nothing_is_a_bad_sample_of_its_topic(payload) -> None:
    samples, trouble = read(payload, values={"x": "$.flue.o2"}, prefix="house.")
    assert samples == [Sample("house.001", None, NOW, Quality.BAD_DECODING_ERROR)]
    assert trouble


@pytest.mark.parametrize(
    ("item", "quality"),
    [
        (None, Quality.BAD_NO_DATA), ({"a": 1}, Quality.BAD_TYPE_MISMATCH),
        ([1], Quality.BAD_TYPE_MISMATCH), (2**63, Quality.BAD_OUT_OF_RANGE),
    ],
)  # fmt: skip
def test_what_is_no_value_is_bad_and_harms_no_other(item, quality) -> None:
    samples, _ = read({"odd": item, "o2": 3.1}, values={"odd": "$.odd", "o2": "$.o2"})
    assert samples == [Sample("odd", None, NOW, quality), Sample("o2", 3.1, NOW)]


def test_of_two_values_for_one_tag_at_one_time_none_is_taken() -> None:
    payload = [{"n": "o2", "v": 1}, {"n": "o2", "v": 2}, {"n": "co", "v": 3}, {"n": "co", "v": 3}]
    samples, trouble = read(payload, items="$[*]", key_path="$.n", values={"{key}": "$.v"})
    assert samples == [Sample("o2", None, NOW, Quality.BAD), Sample("co", 3, NOW)]
    assert "two values for 'o2'" in trouble


def test_a_payload_of_too_many_values_is_refused_whole() -> None:
    (sample,), trouble = read([1] * 20_000, values={"{key}": "$[*]"})
    assert sample.quality == Quality.BAD_DECODING_ERROR
    assert "10000" in trouble


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "'values' is missing"),
        ({"values": {"a": "flue"}}, "does not begin with"),
        ({"values": {"a": "$.x.*"}}, "several values"),
        ({"values": {"{key}": "$.x"}}, "no wildcard"),
        ({"values": {"{2}": "$.x"}}, "fewer wildcards"),
        ({"values": {"{nonsense}": "$.x"}}, "unknown field"),
        ({"values": {"a": "$.x"}, "items": "$.l[*]"}, "several values"),
        ({"values": {"a": "$.x"}, "key_path": "$.n"}, "say where they lie"),
        ({"values": {"a": "$.x"}, "time_path": "$.t[*]"}, "one is wanted"),
        ({"values": {"a": "$..x"}}, "no path"),
        ({"values": {"a": "$.x"}, "time_key": "t"}, "time_path"),
        ({"values": {"a": "$.x"}, "tag": "a"}, "'values'"),
        ({"values": {"a": "$.x"}, "quality_form": "guess"}, "quality_form"),
        ({"values": {"a": "$.x"}, "format": "json"}, "json_path only"),
        ({"items": "$.x", "format": "raw"}, "json_path only"),
    ],
)
def test_a_wrong_input_is_refused_with_a_word_that_helps(settings, word) -> None:
    with pytest.raises(ConfigError, match=word):
        read({}, **settings)
