"""Topics: what a filter covers, and text that can not leave its level."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from gl002.errors import ConfigError, DataError
from gl002.model import Sample, Tag, TagTable
from gl002.wire.mqtt_topic import (
    Template,
    check_filter,
    check_name,
    level,
    matches,
    readable,
    wildcards,
)
from gl002.wire.sample_topic import per_sample, topic_of, topic_template

# Short enough for one level of a topic when each character has to be encoded
SHORT = st.text(min_size=1, max_size=20) | st.text(
    st.characters(max_codepoint=127), min_size=1, max_size=80
)
LEVEL = st.sampled_from(["a", "b", "boiler", "", "1", "ü", "$x"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
FILTER = st.builds(
    lambda levels, end: "/".join([*levels, *end]),
    st.lists(LEVEL | st.just("+"), min_size=1, max_size=5),
    st.sampled_from([[], ["#"]]),
).filter(bool)


@given(FILTER, TOPIC)
def test_filters_cover_what_another_client_says_they_cover(pattern: str, topic: str) -> None:
    assert matches(pattern, topic) == topic_matches_sub(pattern, topic)


@pytest.mark.parametrize(
    ("pattern", "topic", "found"),
    [
        ("boiler/+/data", "boiler/001/data", ["001"]),
        ("boiler/+/+", "boiler/001/data", ["001", "data"]),
        ("boiler/#", "boiler/001/flue/o2", ["001", "flue", "o2"]),
        ("boiler/#", "boiler", []),
        ("boiler/+/data", "boiler/001/alarms", None),
        ("boiler/+/data", "boiler/001/data/x", None),
        ("+/data", "$SYS/data", None),
        ("#", "$SYS/broker", None),
        ("$SYS/#", "$SYS/broker", ["broker"]),
        ("$share/gl002/boiler/+/data", "boiler/001/data", ["001"]),
        ("a/b", "a/b", []),
    ],
)
def test_wildcards_stand_for_what_they_cover(pattern, topic, found) -> None:
    assert wildcards(pattern, topic) == found


@given(FILTER)
def test_a_filter_made_of_whole_levels_is_accepted(pattern: str) -> None:
    assert check_filter(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["", "a/b+", "a/#/b", "#a", "a/+b/c", "a\0b", "\ud800", "x" * 70_000]
)
def test_a_filter_that_mqtt_forbids_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        check_filter(pattern)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0", "\udfff", "ü" * 40_000])
def test_a_topic_that_mqtt_forbids_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError):
        check_name(topic)


@given(SHORT)
def test_any_text_becomes_one_level_and_can_be_read_back(text: str) -> None:
    safe = level(text)
    assert not set(safe) & set("+#/$\0")
    assert safe.isprintable()
    assert wildcards("x/+", f"x/{safe}") == [safe]
    assert unquote(safe, errors="surrogatepass") == text


@given(SHORT, SHORT)
def test_two_texts_never_become_the_same_level(one: str, other: str) -> None:
    assert (level(one) == level(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "x" * 256, "ü" * 128, "/" * 100])
def test_a_level_that_is_empty_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        level(text)


@given(st.text())
def test_readable_text_prints(text: str) -> None:
    assert readable(text).isprintable()


@pytest.mark.parametrize("text", ["{nonsense}", "{tag", "tag}", "{tag!r}", "{tag:>9}", "{}", "{0}"])
def test_a_template_with_an_unknown_field_or_loose_braces_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        topic_template(text)


def test_a_template_fills_its_fields_and_keeps_plain_braces() -> None:
    assert Template("{{{a}}}/b", {"a"}.__contains__, "a").fill({"a": "x"}) == "{x}/b"


def _topic(text: str, tag: str) -> str:
    tags = TagTable()
    tags.declare(Tag(name="boiler1.steam_flow", source="opc_ua.primary"))
    return topic_of(topic_template(text), Sample(tag, 1.0, 0), gateway="gw/1", tags=tags)


@pytest.mark.parametrize(
    ("text", "tag", "topic"),
    [
        ("plant/{tag}", "boiler1.steam_flow", "plant/boiler1.steam_flow"),
        ("plant/{path}", "boiler1.steam_flow", "plant/boiler1/steam_flow"),
        (
            "{gateway}/{source}/{tag}",
            "boiler1.steam_flow",
            "gw%2F1/opc_ua.primary/boiler1.steam_flow",
        ),
        ("{source}", "unknown", "unknown"),
        ("plant/{tag}", "../#/+", "plant/..%2F%23%2F%2B"),
        ("plant/{tag}", "{tag}", "plant/{tag}"),
    ],
)
def test_a_sample_is_published_below_its_own_name(text, tag, topic) -> None:
    assert _topic(text, tag) == topic


@given(SHORT)
def test_no_tag_leaves_its_level(tag: str) -> None:
    assert _topic("plant/{tag}/value", tag).count("/") == 2


def test_only_fields_of_the_sample_make_a_message_for_each() -> None:
    assert per_sample(topic_template("a/{tag}"))
    assert per_sample(topic_template("{path}"))
    assert not per_sample(topic_template("a/b"))
    assert not per_sample(topic_template("{gateway}/data"))
