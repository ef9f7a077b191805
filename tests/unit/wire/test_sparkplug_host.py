"""The host application of Sparkplug B: the order of messages, and what they become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError
from gl002.model import Quality, Sample, TagTable
from gl002.wire.sparkplug import DataType, Metric, Payload, Property, decode, encode
from gl002.wire.sparkplug_edge import BD_SEQ, REBIRTH, EdgeNode, Outgoing
from gl002.wire.sparkplug_host import SparkplugDecoder, tag_template
from gl002.wire.sparkplug_topic import EVERYTHING
from unit.wire.sparkplug_nodes import MS, NOW, edge, heard, host, sample

fixtures = edge, host


# ---- the order of messages --------------------------------------------------------------------


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


# ---- host application -------------------------------------------------------------------------


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
