"""Sparkplug B payloads: another implementation reads what we write and writes what we read."""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.wire.sparkplug import (
    DataSet,
    DataType,
    Metric,
    Payload,
    Property,
    Template,
    decode,
    encode,
    metric,
    type_of,
)
from peers.tahu import Tahu

MS = 1_735_689_600_123
NS = MS * 1_000_000
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@pytest.fixture(scope="module")
def tahu() -> Iterator[Tahu]:
    with Tahu() as codec:
        yield codec


def whole(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return (
        st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
        if signed
        else st.integers(0, (1 << bits) - 1)
    )


VALUES = {
    DataType.INT8: whole(8, signed=True),
    DataType.INT16: whole(16, signed=True),
    DataType.INT32: whole(32, signed=True),
    DataType.INT64: whole(64, signed=True),
    DataType.UINT8: whole(8, signed=False),
    DataType.UINT16: whole(16, signed=False),
    DataType.UINT32: whole(32, signed=False),
    DataType.UINT64: whole(64, signed=False),
    DataType.FLOAT: st.floats(width=32, allow_nan=False),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: TEXT,
    DataType.DATETIME: whole(63, signed=False),
    DataType.TEXT: TEXT,
    DataType.UUID: st.uuids().map(str),
    DataType.BYTES: st.binary(max_size=40),
    DataType.FILE: st.binary(max_size=40),
}  # fmt: skip
METRIC = st.sampled_from(sorted(VALUES)).flatmap(
    lambda datatype: st.builds(
        Metric,
        name=TEXT,
        value=st.none() | VALUES[DataType(datatype)],
        datatype=st.just(int(datatype)),
        time=st.none() | st.integers(0, MS * 2).map(lambda ms: ms * 1_000_000),
        alias=st.none() | whole(64, signed=False),
        is_historical=st.booleans(),
        is_transient=st.booleans(),
    )
)
NAMES = {
    1: "Int8", 2: "Int16", 3: "Int32", 4: "Int64", 5: "UInt8", 6: "UInt16", 7: "UInt32",
    8: "UInt64", 9: "Float", 10: "Double", 11: "Boolean", 12: "String", 13: "DateTime",
    14: "Text", 15: "UUID", 17: "Bytes", 18: "File",
}  # fmt: skip


@given(st.lists(METRIC, max_size=10), st.none() | st.integers(0, 255), TEXT)
def test_a_payload_comes_back_as_it_went(metrics, seq, name) -> None:
    payload = Payload(metrics=metrics, time=NS, seq=seq, uuid=name, body=name.encode())
    assert decode(encode(payload)) == payload


def _in_json(value: object) -> object:
    """A value as the other implementation's JSON shows it."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, -128), (DataType.INT16, -32768), (DataType.INT32, -(2**31)),
        (DataType.INT64, -(2**63)), (DataType.INT64, 2**63 - 1), (DataType.UINT8, 255),
        (DataType.UINT16, 65535), (DataType.UINT32, 2**31 - 1), (DataType.UINT64, 2**64 - 1),
        (DataType.FLOAT, 85.5), (DataType.DOUBLE, 85.4), (DataType.DOUBLE, -1e300),
        (DataType.BOOLEAN, True), (DataType.BOOLEAN, False), (DataType.STRING, "läuft ✓"),
        (DataType.DATETIME, MS), (DataType.TEXT, ""), (DataType.UUID, str(uuid.UUID(int=7))),
        (DataType.BYTES, b"\x00\xff"), (DataType.FILE, b"file"),
    ],
)  # fmt: skip
def test_the_other_implementation_reads_what_we_write(tahu, datatype, value) -> None:
    payload = encode(
        Payload(metrics=[metric("m", value, datatype=datatype, time=NS)], time=NS, seq=7)
    )
    read = tahu.decode(payload)
    (one,) = read["metrics"]
    assert (one["name"], one["type"], one["timestamp"]) == ("m", NAMES[datatype], str(MS))
    expected = str(value) if datatype in {4, 8, 13} else _in_json(value)
    assert one["value"] == expected
    assert (read["timestamp"], read["seq"]) == (str(MS), "7")


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, -128), (DataType.INT16, -32768), (DataType.INT32, -(2**31)),
        (DataType.INT64, -(2**63)), (DataType.UINT8, 255), (DataType.UINT16, 65535),
        (DataType.UINT32, 2**32 - 1), (DataType.UINT64, 2**64 - 1), (DataType.FLOAT, 85.5),
        (DataType.DOUBLE, 85.4), (DataType.BOOLEAN, True), (DataType.STRING, "läuft ✓"),
        (DataType.DATETIME, MS), (DataType.TEXT, "x"), (DataType.UUID, "u"),
        (DataType.BYTES, b"\x00\xff"),
    ],
)  # fmt: skip
def test_we_read_what_the_other_implementation_writes(tahu, datatype, value) -> None:
    wide = datatype in {4, 7, 8, 13}
    sent = {"long": str(value)} if wide else _in_json(value)
    written = tahu.encode(
        {
            "timestamp": MS, "seq": 3,
            "metrics": [{"name": "m", "type": NAMES[datatype], "value": sent, "timestamp": MS}],
        }
    )  # fmt: skip
    payload = decode(written)
    assert (payload.time, payload.seq) == (NS, 3)
    assert payload.metrics[0] == metric("m", value, datatype=datatype, time=NS)


def test_both_write_the_same_bytes(tahu) -> None:
    values = {"efficiency": 85.4, "on": True, "name": "B1", "count": -3}
    ours = encode(Payload(time=NS, seq=1, metrics=[metric(n, v) for n, v in values.items()]))
    types = {"efficiency": "Double", "on": "Boolean", "name": "String", "count": "Int64"}
    theirs = tahu.encode(
        {
            "timestamp": MS, "seq": 1,
            "metrics": [
                {"name": n, "type": types[n], "value": {"long": "-3"} if n == "count" else v}
                for n, v in values.items()
            ],
        }
    )  # fmt: skip
    assert ours == theirs


def test_a_null_a_historical_and_an_aliased_metric_are_understood_both_ways(tahu) -> None:
    sent = Payload(
        metrics=[
            Metric(name="gone", datatype=DataType.DOUBLE),
            Metric(
                alias=5, value=1.5, datatype=DataType.DOUBLE, is_historical=True, is_transient=True
            ),
        ],
        time=NS,
    )
    gone, old = tahu.decode(encode(sent))["metrics"]
    assert gone["value"] is None
    assert (old["alias"], old["isHistorical"], old["isTransient"]) == ("5", True, True)
    written = tahu.encode(
        {"timestamp": MS, "metrics": [{"name": "m", "type": "Double", "value": None, "alias": 9}]}
    )
    assert decode(written).metrics[0] == Metric(name="m", alias=9, datatype=DataType.DOUBLE)


def test_properties_are_understood_both_ways(tahu) -> None:
    properties = {
        "engUnit": Property("kg/s", DataType.STRING),
        "quality": Property(192, DataType.INT32),
        "low": Property(None, DataType.DOUBLE),
        "more": Property({"a": Property(1.5, DataType.DOUBLE)}, DataType.PROPERTYSET),
    }
    sent = Metric(name="m", value=1.0, datatype=DataType.DOUBLE, properties=properties)
    payload = encode(Payload(metrics=[sent]))
    assert decode(payload).metrics == [sent]
    (read,) = tahu.decode(payload)["metrics"]
    assert read["properties"] == {
        "engUnit": {"type": "String", "value": "kg/s"},
        "quality": {"type": "Int32", "value": 192},
        "low": {"type": "Double", "value": None},
        "more": {"type": "PropertySet", "value": {"a": {"type": "Double", "value": 1.5}}},
    }
    written = {
        "metrics": [{"name": "m", "type": "Double", "value": 1.0, "properties": read["properties"]}]
    }
    assert decode(tahu.encode({"timestamp": MS, **written})).metrics[0].properties == properties


def test_data_sets_are_understood_both_ways(tahu) -> None:
    table = DataSet(
        columns=["flow", "name", "on"],
        types=[DataType.DOUBLE, DataType.STRING, DataType.BOOLEAN],
        rows=[[1.5, "a", True], [-2.5, "b", False]],
    )
    payload = encode(Payload(metrics=[metric("t", table)]))
    (read,) = tahu.decode(payload)["metrics"]
    assert read["value"]["columns"] == ["flow", "name", "on"]
    assert read["value"]["rows"] == [[1.5, "a", True], [-2.5, "b", False]]
    value = {**read["value"], "numOfColumns": 3}
    written = tahu.encode(
        {"timestamp": MS, "metrics": [{"name": "t", "type": "DataSet", "value": value}]}
    )
    assert decode(written).metrics[0].value == table
    assert decode(payload).metrics[0].value == table


def test_templates_are_read_from_the_other_implementation(tahu) -> None:
    template = {
        "templateRef": "boiler", "version": "1", "isDefinition": False,
        "metrics": [{"name": "o2", "type": "Double", "value": 3.1}],
        "parameters": [{"name": "size", "type": "Double", "value": 2.5}],
    }  # fmt: skip
    written = tahu.encode(
        {"timestamp": MS, "metrics": [{"name": "b1", "type": "Template", "value": template}]}
    )
    expected = Template(
        reference="boiler",
        version="1",
        metrics=[metric("o2", 3.1)],
        parameters={"size": Property(2.5, DataType.DOUBLE)},
    )
    assert decode(written).metrics[0].value == expected
    ours = encode(Payload(time=NS, metrics=[metric("b1", expected)]))
    assert tahu.decode(ours)["metrics"][0]["value"]["metrics"][0]["value"] == 3.1


def test_whole_numbers_have_one_type_so_that_it_never_changes() -> None:
    assert [type_of(v) for v in (0, 3500, -1, 2**63 - 1)] == [DataType.INT64] * 4
    assert type_of(2**63) == DataType.UINT64
    assert type_of(True) == DataType.BOOLEAN
    assert type_of(datetime.now(UTC)) == DataType.DATETIME


@pytest.mark.parametrize(
    ("value", "datatype"),
    [(128, 1), (-1, 5), (2**32, 7), (2**64, 8), (1e39, 9), ("1.5", 10), (True, 3), (1, 11),
     (1.5, 4), (b"x", 12), ("x", 17), ("\ud800", 12), ({}, 16), (1, 99), (-1, 13)],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_type_is_a_data_error(value, datatype) -> None:
    with pytest.raises(DataError, match="m: "):
        encode(Payload(metrics=[metric("m", value, datatype=datatype)]))


@pytest.mark.parametrize("value", [None, 2**64, -(2**63) - 1, object(), {"a": 1}])
def test_a_value_without_a_type_is_a_data_error(value) -> None:
    with pytest.raises(DataError):
        encode(Payload(metrics=[metric("m", value)]))


@pytest.mark.parametrize("payload", [Payload(seq=-1), Payload(metrics=[Metric(alias=-1)])])
def test_numbers_of_the_envelope_are_checked_too(payload) -> None:
    with pytest.raises(DataError):
        encode(payload)


def test_small_whole_numbers_are_read_from_8_16_and_32_bits() -> None:
    narrow = bytes([0x12, 0x05, 0x20, 1, 0x50, 0xFD, 0x01])  # datatype 1, int_value 253
    assert decode(narrow).metrics[0].value == -3


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_a_data_error(data: bytes) -> None:
    try:
        payload = decode(data)
    except DataError:
        return
    assert isinstance(payload, Payload)


@given(st.lists(METRIC, min_size=1, max_size=3), st.data())
def test_a_payload_with_changed_bytes_is_a_payload_or_a_data_error(metrics, data) -> None:
    encoded = bytearray(encode(Payload(metrics=metrics, time=NS)))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(encoded))
    except DataError:
        return


def test_what_is_too_large_or_nested_too_deeply_is_refused() -> None:
    with pytest.raises(DataError, match="at most"):
        decode(b"\0" * ((1 << 20) + 1))
    with pytest.raises(DataError, match="metrics"):
        decode(encode(Payload(metrics=[Metric(alias=1)] * 10_001)))
    inner = metric("x", 1.0)
    for _ in range(6):
        inner = metric("t", Template(metrics=[inner]))
    with pytest.raises(DataError, match="4 levels"):
        decode(encode(Payload(metrics=[inner])))
