"""The edge node of Sparkplug B: births, aliases, numbers, deaths."""

from __future__ import annotations

import math

import pytest

from gl002.model import Quality, Sample, Tag, TagTable
from gl002.wire.sparkplug import DataType, Metric, Payload, decode
from gl002.wire.sparkplug_edge import BD_SEQ, REBIRTH, EdgeNode, Outgoing
from gl002.wire.sparkplug_host import SparkplugDecoder
from gl002.wire.sparkplug_topic import EVERYTHING, Place, parse
from unit.wire.sparkplug_nodes import MS, NOW, edge, heard, host, sample

fixtures = edge, host


def sent(edge: EdgeNode, *samples: Sample, now: int = NOW) -> list[tuple[Place, Payload]]:
    refused: dict[int, str] = {}
    messages = list(edge.publish(samples, 7, now, refused))
    assert refused == {}
    return taken_apart(messages)


def taken_apart(messages: list[Outgoing]) -> list[tuple[Place, Payload]]:
    return [(parse(m.topic) or pytest.fail(m.topic), decode(m.payload)) for m in messages]


def test_a_birth_has_its_numbers_the_control_metric_and_begins_at_0() -> None:
    ((place, payload),) = taken_apart(list(EdgeNode("GL002", "house", TagTable()).birth(255, NOW)))
    assert place == Place("GL002", "NBIRTH", "house")
    assert (payload.seq, payload.time) == (0, NOW)
    assert {m.name: (m.value, m.datatype) for m in payload.metrics} == {
        BD_SEQ: (255, DataType.INT64),
        REBIRTH: (False, DataType.BOOLEAN),
    }


def test_a_death_has_the_number_of_its_birth_and_none_of_the_sequence(edge) -> None:
    ((place, payload),) = taken_apart([edge.death(7, NOW)])
    assert place.message == "NDEATH"
    assert payload.seq is None
    assert [(m.name, m.value) for m in payload.metrics] == [(BD_SEQ, 7)]


def test_a_new_device_is_born_before_its_data_and_aliases_stand_for_names_after(edge) -> None:
    (born, birth), (told, data) = sent(edge, sample(), sample("b1.flue.o2", 3.1))
    assert born == Place("GL002", "DBIRTH", "house", "b1")
    assert [(m.name, m.datatype) for m in birth.metrics] == [
        ("steam_flow", DataType.DOUBLE), ("flue/o2", DataType.DOUBLE),
    ]  # fmt: skip
    assert birth.metrics[0].properties["engUnit"].value == "t/h"
    assert told == Place("GL002", "DDATA", "house", "b1")
    assert [(m.name, m.alias) for m in data.metrics] == [
        ("", birth.metrics[0].alias), ("", birth.metrics[1].alias),
    ]  # fmt: skip
    assert (birth.seq, data.seq) == (1, 2)


def test_aliases_are_unique_within_the_node(edge) -> None:
    births = [p for place, p in sent(edge, sample("a.x"), sample("b.x"), sample("c.y"))
              if place.message == "DBIRTH"]  # fmt: skip
    aliases = [m.alias for payload in births for m in payload.metrics]
    assert len(aliases) == len(set(aliases)) == 3


def test_a_new_metric_of_the_node_itself_bears_everything_anew(edge) -> None:
    sent(edge, sample())
    messages = sent(edge, sample("uptime", 5))
    assert [place.message for place, _ in messages] == ["NBIRTH", "DBIRTH", "NDATA"]
    assert [payload.seq for _, payload in messages] == [0, 1, 2]


def test_a_metric_of_another_type_is_told_by_a_new_birth_and_whole_numbers_fit_into_others(
    edge,
) -> None:
    sent(edge, sample())
    ((place, payload),) = sent(edge, sample(value=13, after=2))
    assert (place.message, payload.metrics[0].value) == ("DDATA", 13.0)
    (born, birth), _ = sent(edge, sample(value="off", after=3))
    assert (born.message, birth.metrics[0].datatype) == ("DBIRTH", DataType.STRING)


def test_sequence_numbers_run_to_255_and_begin_again(edge) -> None:
    sent(edge, sample())
    numbers = [sent(edge, sample(after=i))[0][1].seq for i in range(2, 300)]
    assert numbers == [i % 256 for i in range(3, 301)]


def test_what_is_older_than_the_birth_or_than_what_was_sent_is_historical(edge) -> None:
    _, (_, data) = sent(edge, sample(after=-5), sample(after=3), sample(after=2), sample(after=4))
    assert [m.is_historical for m in data.metrics] == [True, True, False, False]
    assert [m.time for m in data.metrics] == [NOW + i * MS for i in (-5, 2, 3, 4)]


def test_metrics_that_are_not_historical_stand_in_the_order_of_their_times(edge) -> None:
    (_, birth), (_, data) = sent(
        edge, sample("b1.a", after=3), sample("b1.b", after=1), sample("b1.c", after=2)
    )
    for payload in (birth, data):
        assert [m.time for m in payload.metrics] == [NOW + i * MS for i in (1, 2, 3)]


def test_every_metric_of_births_and_data_has_a_time_and_a_type(edge) -> None:
    messages = [*taken_apart(list(edge.birth(7, NOW))), *sent(edge, sample(), sample("up", 1))]
    metrics = [m for _, payload in messages for m in payload.metrics]
    assert len(metrics) > 6
    assert all(m.time is not None and m.datatype for m in metrics)


def test_a_command_means_a_tag_by_name_or_alias(edge) -> None:
    (_, birth), _ = sent(edge, sample("b1.flue.o2"))
    (known,) = birth.metrics
    assert edge.tag_of("b1", Metric(name="flue/o2")) == "b1.flue.o2"
    assert edge.tag_of("b1", Metric(alias=known.alias)) == "b1.flue.o2"
    assert edge.tag_of("b2", Metric(alias=known.alias)) == "b2.alias 1"
    assert edge.tag_of("b1", Metric(name="set/point")) == "b1.set.point"
    assert edge.tag_of("", Metric(name="mode")) == "mode"


@pytest.mark.parametrize(
    ("quality", "told"),
    [(0, None), (Quality.UNCERTAIN_LAST_USABLE_VALUE, 500), (Quality.BAD_TIMEOUT, 0)],
)
def test_a_quality_that_is_not_good_goes_with_the_value(edge, quality, told) -> None:
    sent(edge, sample())
    ((_, payload),) = sent(edge, sample(after=2, quality=quality))
    found = payload.metrics[0].properties.get("Quality")
    assert (found.value if found is not None else None) == told


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_value_that_is_none_is_null(edge, value) -> None:
    sent(edge, sample())
    ((_, payload),) = sent(edge, sample(value=value, after=2, quality=Quality.BAD))
    assert payload.metrics[0].value is None
    assert payload.metrics[0].datatype == DataType.DOUBLE


def test_a_sample_that_no_metric_can_hold_is_named_and_the_others_go(edge) -> None:
    refused: dict[int, str] = {}
    batch = [sample(), sample("x" * 300 + ".y"), sample(value=10**30, tag="b1.n")]
    messages = taken_apart(list(edge.publish(batch[:2], 7, NOW, refused)))
    assert list(refused) == [1]
    assert [place.message for place, _ in messages] == ["DBIRTH", "DDATA"]


def lost(tag: str, after: int) -> Sample:
    return sample(tag, None, after, Quality.BAD_NO_COMMUNICATION)


def kinds(messages: list[tuple[Place, Payload]]) -> list[str]:
    return [f"{place.message} {place.device}".strip() for place, _ in messages]


def test_a_device_whose_last_tag_is_lost_is_dead_and_born_again_with_the_first_that_is_back(
    edge,
) -> None:
    sent(edge, sample("b1.a"), sample("b1.b"), sample("b2.x"))
    assert kinds(sent(edge, lost("b1.a", 2))) == ["DDATA b1"]
    told = sent(edge, lost("b1.b", 3))
    assert kinds(told) == ["DDATA b1", "DDEATH b1"]
    assert [m.value for m in told[0][1].metrics] == [None]
    assert told[1][1].seq == told[0][1].seq + 1
    assert (told[1][1].metrics, told[1][1].time) == ([], NOW)
    assert sent(edge, lost("b1.a", 4), lost("b1.b", 4)) == [], "it cannot die twice"
    assert kinds(taken_apart(list(edge.birth(7, NOW)))) == ["NBIRTH", "DBIRTH b2"]
    back = sent(edge, lost("b1.b", 5), sample("b1.a", after=6))
    assert kinds(back) == ["DBIRTH b1", "DDATA b1"]
    assert kinds(sent(edge, sample("b1.a", after=7))) == ["DDATA b1"]


def test_a_birth_tells_the_range_where_it_is_known() -> None:
    tags = TagTable()
    tags.declare(Tag(name="b1.steam_flow", unit="t/h"))
    tags.configure_all([Tag(name="b1.steam_flow", low=0.0, high=60.0)])
    node = EdgeNode("GL002", "house", tags)
    (_, birth), (_, data) = sent(node, sample())
    told = {name: p.value for name, p in birth.metrics[0].properties.items()}
    assert told == {"Quality": 192, "engUnit": "t/h", "engLow": 0.0, "engHigh": 60.0}
    assert data.metrics[0].properties == {}
    tags.configure_all([Tag(name="b1.steam_flow", low=0.0, high=80.0)])
    (place, birth), _ = sent(node, sample(after=2))
    assert place.message == "DBIRTH"
    assert birth.metrics[0].properties["engHigh"].value == 80.0


def test_names_that_differ_only_in_case_are_refused_and_the_first_goes_on(edge) -> None:
    sent(edge, sample("b1.flow"), sample("alone"))
    refused: dict[int, str] = {}
    batch = [
        sample("B1.flow"), sample("b1.Flow"), sample("b1.flow", 2.0), sample("ALONE"),
        sample("b2.Flow"), sample("b1.Flow", 3.0), sample("b2.flow"),
    ]  # fmt: skip
    told = taken_apart(list(edge.publish(batch, 7, NOW, refused)))
    assert sorted(refused) == [0, 1, 3, 5, 6]
    assert "'B1.flow': 'B1' differs from 'b1' only in case" in refused[0]
    assert "'b1.Flow': 'Flow' differs from 'flow' only in case" in refused[1]
    assert [place.message for place, _ in told] == ["DBIRTH", "DDATA", "DDATA"]
    assert {place.device for place, _ in told} == {"b1", "b2"}


def test_types_are_left_out_of_data_where_that_is_wanted_and_stand_in_every_birth() -> None:
    edge = EdgeNode("GL002", "house", TagTable(), types_in_data=False)
    host = SparkplugDecoder(filters=(EVERYTHING,))
    messages = [
        *edge.birth(7, NOW),
        *edge.publish([sample(value=12.5), sample("on", True), sample("n", 3)], 7, NOW, {}),
        *edge.publish([sample(value=13.5, after=2), sample("on", None, after=2)], 7, NOW, {}),
    ]
    for place, payload in taken_apart(messages):
        types = {m.datatype for m in payload.metrics}
        assert (types == {DataType.UNKNOWN}) is place.message.endswith("DATA"), place
    values = [(s.tag, s.value) for m in messages for s in heard(host, [m])]
    assert values[-2:] == [("house.b1.steam_flow", 13.5), ("house.on", None)]
    assert ("house.n", 3) in values


def test_a_request_for_a_birth_has_its_type_unless_that_is_not_wanted(edge, host) -> None:
    for wanted in (False, True):
        host.types_in_commands = wanted
        heard(host, list(edge.birth(7, NOW)))
        when = NOW + 10**10 * (1 + wanted)
        host.samples("spBv1.0/GL002/NDATA/house", b"garbage", retained=False, received=when)
        requests = [decode(r.payload) for r in host.rebirths()]
        assert requests
        for request in requests:
            assert [(m.name, m.value) for m in request.metrics] == [(REBIRTH, True)]
            assert (request.metrics[0].datatype == DataType.BOOLEAN) is wanted
