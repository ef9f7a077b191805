"""BACnet values and services as bytes, beside bacpypes3, and whatever else may come."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest
from bacpypes3 import primitivedata
from bacpypes3.apdu import (
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    SubscribeCOVRequest,
    WritePropertyRequest,
)
from bacpypes3.basetypes import PropertyReference, ReadAccessSpecification
from bacpypes3.constructeddata import Any
from hypothesis import given
from hypothesis import strategies as st

from gl002.model import Quality
from gl002.units import unit
from gl002.wire import bacnet as b
from gl002.wire import bacnet_encode as e
from gl002.wire import bacnet_services as s
from gl002.wire.bacnet import Date, Malformed, ObjectId, Reader, Time
from gl002.wire.bacnet_names import (
    OBJECT_TYPES,
    fault_of,
    looks_like_object,
    object_name,
    parse_object,
    parse_property,
    property_name,
    quality_of,
)
from gl002.wire.bacnet_plan import plan
from gl002.wire.bacnet_services import PRESENT_VALUE, STATUS_FLAGS, Ask
from gl002.wire.bacnet_units import _UNITS, from_bacnet

AI1 = ObjectId(0, 1)

objects = st.builds(ObjectId, st.integers(0, 1023), st.integers(0, b.NO_INSTANCE))
bytes_ = st.integers(0, 255)
values = st.one_of(
    st.tuples(st.just(b.NULL), st.none()),
    st.tuples(st.just(b.BOOLEAN), st.booleans()),
    st.tuples(st.just(b.UNSIGNED), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just(b.SIGNED), st.integers(-(1 << 31), (1 << 31) - 1)),
    st.tuples(st.just(b.REAL), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just(b.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(b.OCTETS), st.binary(max_size=300)),
    st.tuples(st.just(b.TEXT), st.text(max_size=300)),
    st.tuples(st.just(b.BITS), st.lists(st.booleans(), max_size=60).map(tuple)),
    st.tuples(st.just(b.ENUMERATED), st.integers(0, (1 << 32) - 1)),
    st.tuples(
        st.just(b.DATE),
        st.builds(Date, st.integers(1900, 2154) | st.just(255), bytes_, bytes_, bytes_),
    ),
    st.tuples(st.just(b.TIME), st.builds(Time, bytes_, bytes_, bytes_, bytes_)),
    st.tuples(st.just(b.OBJECT), objects),
)


# ---- values -----------------------------------------------------------------------------------


@given(values)
def test_every_value_survives_the_way_there_and_back(value) -> None:
    tag, given_ = value
    reader = Reader(e.application(tag, given_))
    found = reader.primitive()
    reader.finish()
    assert found == (tag, given_)


@given(values)
def test_every_value_is_encoded_as_bacpypes3_does(value) -> None:
    tag, given_ = value
    theirs = {
        b.UNSIGNED: primitivedata.Unsigned, b.SIGNED: primitivedata.Integer,
        b.REAL: primitivedata.Real, b.DOUBLE: primitivedata.Double,
        b.OCTETS: primitivedata.OctetString, b.TEXT: primitivedata.CharacterString,
        b.ENUMERATED: primitivedata.Enumerated, b.BOOLEAN: primitivedata.Boolean,
    }.get(tag)  # fmt: skip
    if theirs is None:
        return
    assert e.application(tag, given_) == bytes(theirs(given_).encode().encode().pduData)


@given(st.binary(max_size=80))
def test_any_bytes_are_values_or_malformed(data: bytes) -> None:
    reader = Reader(data)
    try:
        while not reader.done:
            reader.primitive()
    except Malformed:
        return
    assert reader.done


@pytest.mark.parametrize(
    "data",
    [
        "", "44", "440000", "21", "2d00", "2dfe", "12", "2600", "71", "7500", "7302fffe",
        "8108", "810100", "81", "d400", "f0", "a30000", "c3000001", "9d00", "75ff0000ffff00",
    ],
)  # fmt: skip
def test_what_is_no_value_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        Reader(bytes.fromhex(data)).primitive()


def test_old_devices_that_write_latin_letters_as_ansi_are_read() -> None:
    assert Reader(b"\x75\x06\x00W\xe4rme").primitive().value == "Wärme"


def test_nesting_has_an_end() -> None:
    with pytest.raises(Malformed, match="nested too deep"):
        Reader(b"\x0e" * 50 + b"\x0f" * 50).within(3)


def test_a_value_of_the_wrong_type_is_not_encoded() -> None:
    for tag, value in ((b.REAL, "x"), (b.BOOLEAN, 1), (b.UNSIGNED, -1), (b.REAL, 1e300)):
        with pytest.raises(ValueError, match=r"no |too large"):
            e.application(tag, value)


# ---- requests, as bacpypes3 writes them --------------------------------------------------------


def _theirs(request) -> bytes:
    return bytes(request.encode().pduData)


@given(objects, st.integers(0, 511), st.none() | st.integers(0, 1000))
def test_a_read_is_the_same_as_theirs(target, number, index) -> None:
    theirs = ReadPropertyRequest(
        objectIdentifier=tuple(target), propertyIdentifier=number, propertyArrayIndex=index
    )
    assert s.read(Ask(target, number, index)) == _theirs(theirs)


def test_a_read_of_many_is_the_same_as_theirs() -> None:
    ours = s.read_multiple([Ask(AI1, 85), Ask(AI1, 111), Ask(ObjectId(8, 5), 76, 0)])
    theirs = ReadPropertyMultipleRequest(
        listOfReadAccessSpecs=[
            ReadAccessSpecification(
                objectIdentifier=(0, 1),
                listOfPropertyReferences=[
                    PropertyReference(propertyIdentifier=85),
                    PropertyReference(propertyIdentifier=111),
                ],
            ),
            ReadAccessSpecification(
                objectIdentifier=(8, 5),
                listOfPropertyReferences=[
                    PropertyReference(propertyIdentifier=76, propertyArrayIndex=0)
                ],
            ),
        ]
    )
    assert ours == _theirs(theirs)


def test_a_write_is_the_same_as_theirs() -> None:
    theirs = WritePropertyRequest(
        objectIdentifier=(2, 1), propertyIdentifier=85,
        propertyValue=Any(primitivedata.Real(1.5)), priority=14,
    )  # fmt: skip
    ours = s.write(Ask(ObjectId(2, 1), 85), b.Datum(b.REAL, 1.5), 14)
    assert ours == _theirs(theirs)


def test_subscriptions_are_the_same_as_theirs() -> None:
    names = {"subscriberProcessIdentifier": 7, "monitoredObjectIdentifier": (0, 1)}
    theirs = SubscribeCOVRequest(**names, issueConfirmedNotifications=True, lifetime=300)
    assert s.subscribe(7, AI1, confirmed=True, lifetime=300) == _theirs(theirs)
    assert s.unsubscribe(7, AI1) == _theirs(SubscribeCOVRequest(**names))


# ---- answers ----------------------------------------------------------------------------------

PV = bytes.fromhex("0c000000011e29554e44474350004f296f4e8204004f1f")
ASKS = [Ask(AI1, PRESENT_VALUE), Ask(AI1, STATUS_FLAGS)]


def test_an_answer_holds_values_in_the_order_of_the_questions() -> None:
    value, flags = s.read_multiple_answer(ASKS, PV)
    assert value == (b.Datum(b.REAL, 50000.0),)
    assert flags == (b.Datum(b.BITS, (False,) * 4),)


def test_an_answer_to_another_question_is_not_believed() -> None:
    for asks in (ASKS[::-1], ASKS[:1], [*ASKS, ASKS[0]], [Ask(ObjectId(0, 2), 85), ASKS[1]]):
        with pytest.raises(Malformed):
            s.read_multiple_answer(asks, PV)


def test_errors_stand_in_place_of_values_and_may_leave_out_the_index() -> None:
    data = bytes.fromhex("0c000000011e29575e910291205f1f")
    assert s.read_multiple_answer([Ask(AI1, 87, 0)], data) == [s.Refused(2, 32)]


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_spoilt_answers_give_the_right_value_or_none(seed: int) -> None:
    chance = random.Random(seed)
    in_value = set(range(10, 14)) | {20}  # the four octets of the value, and the flags
    outcomes = {"right": 0, "refused": 0}
    for _ in range(10_000):
        data = _spoilt(chance, PV, in_value)
        try:
            value, _flags = s.read_multiple_answer(ASKS, data)
        except Malformed:
            outcomes["refused"] += 1
            continue
        if isinstance(value, s.Refused):
            continue
        datum = value[0] if len(value) == 1 else None
        if isinstance(datum, b.Datum) and datum.tag == b.REAL:  # others: a mismatch of types
            assert datum.value == 50000.0, data.hex()
            outcomes["right"] += 1
    assert outcomes["refused"] > 5000


def _spoilt(chance: random.Random, good: bytes, keep: set[int]) -> bytes:
    data = bytearray(good)
    match chance.randrange(5):
        case 0:
            return chance.randbytes(chance.randrange(60))
        case 1:
            return bytes(data[: chance.randrange(len(data))])
        case 2:
            return bytes(data) + chance.randbytes(chance.randrange(1, 9))
        case _:
            for _ in range(chance.randrange(1, 4)):
                place = chance.randrange(len(data))
                if place not in keep:
                    data[place] ^= 1 << chance.randrange(8)
    return bytes(data)


@given(st.binary(max_size=120))
def test_any_bytes_are_an_answer_or_malformed(data: bytes) -> None:
    for take in (
        s.i_am, s.notification, s.error,
        lambda d: s.read_answer(ASKS[0], d), lambda d: s.range_answer(Ask(AI1, 131), d),
    ):  # fmt: skip
        with contextlib.suppress(Malformed):
            take(data)


def test_a_report_holds_values_by_property() -> None:
    data = bytes.fromhex(
        "09071c020003e92c000000013a012c4e0955"  # 300 s left
        "2e44474350002f096f2e8204002f4f"
    )
    report = s.notification(data)
    assert (report.process, report.device, report.object, report.remaining) == (7, 1001, AI1, 300)
    assert report.values[PRESENT_VALUE] == (b.Datum(b.REAL, 50000.0),)


def test_records_of_a_trend_log_are_values_errors_and_events() -> None:
    moment = e.opening(0) + e.application(b.DATE, Date(2026, 5, 6, 3))
    moment += e.application(b.TIME, Time(7, 8, 9, 10)) + e.closing(0)
    records = b"".join(
        moment + e.opening(1) + datum + e.closing(1)
        for datum in (
            e.context(2, struct.pack(">f", 1.5)),
            e.context(1, b"\1"),
            e.context(0, b"\x05\x80"),
            e.opening(8) + b"\x91\x02\x91\x20" + e.closing(8),
            e.context(9, struct.pack(">f", 2.0)),
        )
    )
    head = e.context_object(0, AI1) + e.context_unsigned(1, 131) + e.context(3, b"\x05\xe0")
    data = head + e.context_unsigned(4, 5) + e.opening(5) + records + e.closing(5)
    part = s.range_answer(Ask(AI1, 131), data + e.context_unsigned(6, 17))
    assert (part.last, part.first) == (True, 17)
    assert [record.value for record in part.records] == [
        b.Datum(b.REAL, 1.5), b.Datum(b.BOOLEAN, True), None, None, None,
    ]  # fmt: skip
    assert [record.event for record in part.records[2:]] == [
        "logging disabled", "error 2:32", "the clock was changed by 2.0 s",
    ]  # fmt: skip


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["analog-input,1", "analogInput:1", "AI1", "ai 1", "0,1"])
def test_an_object_may_be_written_in_several_ways(text: str) -> None:
    assert parse_object(text) == AI1


@pytest.mark.parametrize("text", ["", "AI", "1", "boiler,1", "AI4194303", "1024,1", "AI1.x"])
def test_what_is_no_object_is_said(text: str) -> None:
    assert not looks_like_object(text)


def test_names_and_numbers_are_two_ways_to_say_the_same() -> None:
    for number in OBJECT_TYPES:
        assert parse_object(object_name(ObjectId(number, 7))) == ObjectId(number, 7)
    assert parse_object(object_name(ObjectId(200, 7))) == ObjectId(200, 7)
    assert parse_property("presentValue") == parse_property("85") == PRESENT_VALUE
    assert property_name(PRESENT_VALUE) == "present-value"
    with pytest.raises(ValueError, match="no property 'presnt'"):
        parse_property("presnt")


def test_every_unit_is_one_of_ours() -> None:
    for name in _UNITS.values():
        assert unit(name).name == name
    assert from_bacnet(64) == "degF"
    assert from_bacnet(41) == ""


@pytest.mark.parametrize(
    ("flags", "quality"),
    [
        ((0, 0, 0, 0), Quality.GOOD),
        ((1, 0, 0, 0), Quality.GOOD),
        ((0, 0, 1, 0), Quality.GOOD_LOCAL_OVERRIDE),
        ((0, 0, 0, 1), Quality.UNCERTAIN_SUBSTITUTE_VALUE),
        ((0, 1, 0, 1), Quality.BAD_DEVICE_FAILURE),
    ],
)
def test_status_flags_are_quality(flags, quality) -> None:
    assert quality_of([bool(flag) for flag in flags]) == quality
    assert fault_of(4).quality == Quality.BAD_SENSOR_FAILURE
    assert fault_of(99).name == "reliability 99"


# ---- requests of a device's size ---------------------------------------------------------------


def test_a_plan_keeps_the_order_and_asks_for_everything_once() -> None:
    asks = [Ask(ObjectId(0, i), p) for i in range(300) for p in (PRESENT_VALUE, STATUS_FLAGS)]
    requests = [*plan(asks, longest=480, most=500)]
    assert [i for request in requests for i in request] == list(range(600))


@given(st.integers(50, 1476), st.integers(1, 60))
def test_no_request_of_a_plan_is_too_long(longest: int, most: int) -> None:
    asks = [Ask(ObjectId(i % 3, i // 2), (85, 111, 77)[i % 3]) for i in range(200)]
    for request in plan(asks, longest=longest, most=most):
        part = [asks[i] for i in request]
        assert len(part) == 1 or len(s.read_multiple(part)) + 4 <= longest
        assert len(part) <= most


def test_an_estimate_holds_what_comes() -> None:
    """Present value and flags of an analog input: as many as fit, all of them used."""
    asks = [Ask(ObjectId(0, i), p) for i in range(200) for p in (PRESENT_VALUE, STATUS_FLAGS)]
    first = next(plan(asks, longest=1476, most=500))
    answer = 3 + len(PV) * len(first) // 2
    assert 1300 < answer <= 1476
