"""Edge node and host application of Sparkplug B: births, aliases, numbers, deaths."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError
from gl002.model import Quality, Sample, Tag, TagTable
from gl002.wire.sparkplug import DataType, Metric, Payload, Property, decode, encode
from gl002.wire.sparkplug_edge import BD_SEQ, REBIRTH, EdgeNode, Outgoing
from gl002.wire.sparkplug_host import SparkplugDecoder, tag_template
from gl002.wire.sparkplug_topic import EVERYTHING, Place, parse

NOW = 1_700_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def edge() -> EdgeNode:
    tags = TagTable()
    tags.declare(Tag(name="b1.steam_flow", unit="t/h"))
    node = EdgeNode("GL002", "house", tags)
    list(node.birth(7, NOW))
    return node


def sent(edge: EdgeNode, *samples: Sample, now: int = NOW) -> list[tuple[Place, Payload]]:
    refused: dict[int, str] = {}
    messages = list(edge.publish(samples, 7, now, refused))
    assert refused == {}
    return taken_apart(messages)


def taken_apart(messages: list[Outgoing]) -> list[tuple[Place, Payload]]:
    return [(parse(m.topic) or pytest.fail(m.topic), decode(m.payload)) for m in messages]


def sample(tag: str = "b1.steam_flow", value=12.5, after: int = 1, quality: int = 0) -> Sample:
    return Sample(tag, value, NOW + after * MS, quality)


# ---- edge node ----------------------------------------------------------------------------------


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


# ---- the order of messages ----------------------------------------------------------------------


@pytest.fixture
def patient() -> SparkplugDecoder:
    return SparkplugDecoder(filters=(EVERYTHING,), reorder_timeout=2.0)


def counted(edge: EdgeNode, count: int) -> list[Outgoing]:
    """A birth, and data with the values 0, 1, 2 and so on, a message each."""
    messages = list(edge.birth(7, NOW))
    for number in range(count):
        messages += edge.publish([sample("b1.n", number, after=number)], 7, NOW, {})
    return messages


def test_messages_that_overtake_each_other_are_put_in_order_and_nobody_is_asked(
    edge, patient
) -> None:
    nbirth, dbirth, *data = counted(edge, 6)
    arriving = [nbirth, data[1], data[0], dbirth, data[4], data[2], data[3], data[5]]
    found, waits = [], []
    for i, message in enumerate(arriving):
        found.append([s.value for s in heard(patient, [message], at=NOW + i * MS)])
        waits.append(patient.waits(NOW + i * MS))
    assert found == [[], [], [], [0, 0, 1], [], [2], [3, 4], [5]]
    assert waits == [
        None, pytest.approx(2.0), pytest.approx(1.999), None, pytest.approx(2.0),
        pytest.approx(1.999), None, None,
    ]  # fmt: skip
    assert list(patient.late(NOW * 2)) == []
    assert patient.rebirths() == []


def test_what_waited_in_vain_is_delivered_and_a_birth_is_asked_for(edge, patient) -> None:
    nbirth, dbirth, *data = counted(edge, 5)
    heard(patient, [nbirth, dbirth, data[0]])
    assert heard(patient, [data[3], data[2]], at=NOW + 7) == []
    assert list(patient.late(NOW + 1_999_999_999)) == []
    assert patient.rebirths() == []
    late = list(patient.late(NOW + 2_000_000_007))
    assert [s.value for _, samples, _ in late for s in samples] == [2, 3]
    assert "from message 2 to 4" in late[0][2]
    assert len(patient.rebirths()) == 1
    assert patient.waits(NOW) is None
    assert [s.value for s in heard(patient, [data[1], data[4]])] == [1, 4], "later, but not lost"
    assert patient.rebirths() == []


def test_a_birth_or_a_death_lets_go_of_what_waits(edge, patient) -> None:
    nbirth, dbirth, *data = counted(edge, 3)
    heard(patient, [nbirth, dbirth, data[0], data[2]])
    again, *devices = edge.birth(8, NOW)
    samples, trouble = patient.samples(again.topic, again.payload, retained=False, received=NOW)
    assert [s.value for s in samples] == [2], "what waited"
    assert "from message 2 to 4" in trouble
    assert [s.value for s in heard(patient, devices)] == [2], "the value of the birth"
    assert patient.rebirths() == [], "it has just been born"
    list(edge.publish([sample("b1.n", 8)], 8, NOW, {}))  # lost on the way
    assert heard(patient, list(edge.publish([sample("b1.n", 9)], 8, NOW, {}))) == []
    death = edge.death(8, NOW)
    samples, _ = patient.samples(death.topic, death.payload, retained=False, received=NOW)
    assert [s.value for s in samples] == [9, None]
    assert patient.waits(NOW) is None


def test_what_waits_is_bounded(edge, patient) -> None:
    heard(patient, list(edge.birth(7, NOW)))
    topic = "spBv1.0/GL002/NDATA/house"
    for seq in range(2, 256):
        patient.samples(topic, encode(Payload(seq=seq, time=NOW)), retained=False, received=NOW)
    assert sum(len(node.held) for node in patient._nodes.values()) <= 100
    large = Payload(seq=3, time=NOW, metrics=[Metric(name="x", value="x" * 900_000, datatype=12)])
    for node in range(30):
        where = f"spBv1.0/GL002/N{{}}/other{node}"
        patient.samples(
            where.format("BIRTH"), encode(Payload(seq=0, time=NOW)), retained=False, received=NOW
        )
        patient.samples(where.format("DATA"), encode(large), retained=False, received=NOW)
    assert patient._held_bytes <= 16 * 1024 * 1024
    list(patient.late(NOW * 2))
    assert patient._held_bytes == 0


@given(st.permutations(range(12)), st.integers(0, 12))
def test_in_whatever_order_messages_come_each_value_comes_once(order, lost) -> None:
    edge = EdgeNode("GL002", "house", TagTable())
    patient = SparkplugDecoder(filters=(EVERYTHING,), reorder_timeout=2.0)
    nbirth, dbirth, *data = counted(edge, 12)
    heard(patient, [nbirth, dbirth])
    found = [s.value for i in order if i != lost for s in heard(patient, [data[i]])]
    found += [s.value for _, samples, _ in patient.late(NOW * 2) for s in samples]
    assert found == [i for i in range(12) if i != lost]
    assert len(patient.rebirths()) == (0 < lost + 1 <= 11)


# ---- host application ---------------------------------------------------------------------------


@pytest.fixture
def host() -> SparkplugDecoder:
    return SparkplugDecoder(filters=(EVERYTHING,))


def heard(host: SparkplugDecoder, messages: list[Outgoing], at: int = NOW) -> list[Sample]:
    found = []
    for message in messages:
        samples, trouble = host.samples(message.topic, message.payload, retained=False, received=at)
        assert trouble == ""
        found += samples
    return found


def test_births_and_data_become_samples_with_time_quality_and_unit(edge, host) -> None:
    heard(host, list(edge.birth(7, NOW)))
    found = heard(host, list(edge.publish([sample(quality=Quality.UNCERTAIN)], 7, NOW, {})))
    assert found[-1] == sample("house.b1.steam_flow", quality=Quality.UNCERTAIN_LAST_USABLE_VALUE)
    assert host.units == {"house.b1.steam_flow": "t/h"}
    assert host.rebirths() == []


def test_tags_are_named_as_a_template_says(edge) -> None:
    host = SparkplugDecoder(filters=(EVERYTHING,), tag=tag_template("{group}/{device}.{key}"))
    heard(host, list(edge.birth(7, NOW)))
    (first, *_) = heard(host, list(edge.publish([sample("b1.flue.o2")], 7, NOW, {})))
    assert first.tag == "GL002/b1.flue.o2"
    with pytest.raises(ConfigError):
        tag_template("{topic}")


def test_whoever_missed_a_birth_asks_for_another_one_once_in_a_while(edge, host) -> None:
    (message,) = list(edge.publish([], 7, NOW, {})) or [edge_data(edge)]
    for at in (NOW, NOW + 4_000 * MS, NOW + 6_000 * MS):
        samples, trouble = host.samples(message.topic, message.payload, retained=False, received=at)
        assert (samples, "birth was missed" in trouble) == ([], True)
        asked = host.rebirths()
        assert len(asked) == (0 if at == NOW + 4_000 * MS else 1)
    (request,) = asked
    assert request.topic == "spBv1.0/GL002/NCMD/house"
    assert [(m.name, m.value) for m in decode(request.payload).metrics] == [(REBIRTH, True)]


def edge_data(edge: EdgeNode) -> Outgoing:
    *_, data = edge.publish([sample()], 7, NOW, {})
    return data


def test_a_hole_in_the_numbers_is_told_and_answered_by_a_wish_for_a_birth(edge, host) -> None:
    heard(host, list(edge.birth(7, NOW)))
    heard(host, list(edge.publish([sample()], 7, NOW, {})))
    list(edge.publish([sample(after=2)], 7, NOW, {}))  # lost on the way
    (late,) = edge.publish([sample(after=3)], 7, NOW, {})
    samples, trouble = host.samples(late.topic, late.payload, retained=False, received=NOW)
    assert [s.value for s in samples] == [12.5], "what it says is known all the same"
    assert "from message 2 to 4" in trouble
    assert len(host.rebirths()) == 1


def test_a_death_makes_every_tag_of_the_node_bad_but_not_that_of_an_earlier_birth(
    edge, host
) -> None:
    heard(host, [*edge.birth(7, NOW), *edge.publish([sample(), sample("b2.x")], 7, NOW, {})])
    assert heard(host, [edge.death(6, NOW)]) == []
    gone = heard(host, [edge.death(7, NOW)], at=NOW + 9)
    assert gone == [
        Sample(tag, None, NOW + 9, Quality.BAD_NO_COMMUNICATION)
        for tag in ("house.b1.steam_flow", "house.b2.x")
    ]


def test_a_device_that_dies_takes_its_tags_along_and_no_others(edge, host) -> None:
    heard(host, [*edge.birth(7, NOW), *edge.publish([sample(), sample("b2.x")], 7, NOW, {})])
    seq = decode(next(iter(edge.publish([sample(after=2)], 7, NOW, {}))).payload).seq
    heard(host, [Outgoing("spBv1.0/GL002/DDATA/house/b1", encode(Payload(seq=seq, time=NOW)))])
    death = encode(Payload(seq=(seq + 1) % 256, time=NOW + 3 * MS))
    gone = heard(host, [Outgoing("spBv1.0/GL002/DDEATH/house/b2", death)])
    assert gone == [Sample("house.b2.x", None, NOW + 3 * MS, Quality.BAD_NO_COMMUNICATION)]


def test_a_type_left_out_of_data_is_that_of_the_birth(host) -> None:
    metrics = [
        Metric(name=BD_SEQ, value=0, datatype=DataType.INT64),
        Metric(name="t", alias=1, value=-3, datatype=DataType.INT16),
    ]
    birth = encode(Payload(metrics=metrics, time=NOW, seq=0))
    assert heard(host, [Outgoing("spBv1.0/g/NBIRTH/n", birth)])[0].value == -3
    data = Payload(metrics=[Metric(alias=1, value=-4, datatype=DataType.INT16)], time=NOW, seq=1)
    bare = without_datatype(encode(data))
    assert heard(host, [Outgoing("spBv1.0/g/NDATA/n", bare)])[0].value == -4


@pytest.mark.parametrize(
    ("metric", "quality"),
    [
        (Metric(alias=1, value=7, datatype=DataType.UINT16), Quality.BAD_TYPE_MISMATCH),
        (Metric(alias=1, value=b"7", datatype=DataType.BYTES), Quality.BAD_TYPE_MISMATCH),
        (Metric(alias=1, value=None, datatype=DataType.INT16), Quality.BAD_NO_DATA),
    ],
)
def test_a_value_of_another_type_than_its_birth_told_is_none(host, metric, quality) -> None:
    born = Metric(name="t", alias=1, value=-3, datatype=DataType.INT16)
    bd = Metric(name=BD_SEQ, value=0, datatype=DataType.INT64)
    birth = encode(Payload(metrics=[bd, born], time=NOW, seq=0))
    heard(host, [Outgoing("spBv1.0/g/NBIRTH/n", birth)])
    data = encode(Payload(metrics=[metric], time=NOW, seq=1))
    (sample,) = heard(host, [Outgoing("spBv1.0/g/NDATA/n", data)])
    assert (sample.value, sample.quality) == (None, quality)


@pytest.mark.parametrize("worth", [Property("192", DataType.STRING), Property(7, DataType.INT32)])
def test_a_quality_that_is_none_of_the_three_is_uncertain(host, worth) -> None:
    metric = Metric(name="t", value=1, datatype=DataType.INT16, properties={"Quality": worth})
    birth = encode(Payload(metrics=[metric], time=NOW, seq=0))
    (sample,) = heard(host, [Outgoing("spBv1.0/g/NBIRTH/n", birth)])
    assert (sample.value, sample.quality) == (1, Quality.UNCERTAIN)


def test_a_time_beyond_all_times_is_that_of_the_arrival_and_uncertain(host) -> None:
    metric = Metric(name="t", value=1, datatype=DataType.INT16, time=2**64 * MS // 2)
    birth = encode(Payload(metrics=[metric], time=NOW, seq=0))
    (sample,) = heard(host, [Outgoing("spBv1.0/g/NBIRTH/n", birth)], at=NOW + 1)
    assert (sample.time, sample.quality) == (NOW + 1, Quality.UNCERTAIN)


def without_datatype(payload: bytes) -> bytes:
    from gl002.wire.sparkplug_schema import messages

    message = messages()["Payload"].FromString(payload)
    for metric in message.metrics:
        metric.ClearField("datatype")
    return message.SerializeToString()


@given(st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DDATA"]), st.binary(max_size=200))
def test_garbage_gives_no_value_and_no_exception_but_a_word(kind: str, payload: bytes) -> None:
    host = SparkplugDecoder(filters=(EVERYTHING,))
    device = "/d" if kind.startswith("D") else ""
    samples, trouble = host.samples(
        f"spBv1.0/g/{kind}/n{device}", payload, retained=False, received=NOW
    )
    assert isinstance(trouble, str)
    assert all(isinstance(s, Sample) for s in samples)


VALUES = st.one_of(
    st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
TAGS = st.sampled_from(["up", "b1.a", "b1.b.c", "b2.a"])


@given(st.lists(st.tuples(TAGS, VALUES), max_size=30), st.integers(1, 5))
def test_what_an_edge_node_publishes_a_host_reads_back(pairs, size) -> None:
    """Whatever the types and the batches: the last value of each tag, and every one but repeats."""
    edge, host = EdgeNode("g", "n", TagTable()), SparkplugDecoder(filters=(EVERYTHING,))
    heard(host, list(edge.birth(0, NOW)))
    samples = [Sample(t, v, NOW + i * MS) for i, (t, v) in enumerate(pairs)]
    found: dict[tuple[str, int], object] = {}
    for at in range(0, len(samples), size):
        for one in heard(host, list(edge.publish(samples[at : at + size], 0, NOW, {}))):
            found[one.tag, one.time] = one.value
    assert found.keys() == {(f"n.{s.tag}", s.time) for s in samples}
    for one in samples:
        assert found[f"n.{one.tag}", one.time] == pytest.approx(one.value)
