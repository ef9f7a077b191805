"""Annotated CSV, beside InfluxData's own client: the same text must give the same rows."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode

from gl002.errors import DataError, RequestFailed
from gl002.wire.annotated_csv import decode, nanoseconds
from peers.flux_engine import FluxTable
from peers.influxdb2 import csv

ANSWER = '''#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339Nano,\
double,string,boolean
#group,false,false,true,true,false,false,true,false
#default,_result,,,,,,,
,result,table,_start,_stop,_time,_value,boiler,on
,,0,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,2025-01-01T00:00:00.123456789Z,85.4,"B, ""1""",true
,,0,2025-01-01T00:00:00Z,2025-01-02T00:00:00Z,2025-01-01T01:00:00+01:00,,"B, ""1""",false

#datatype,string,long,long,unsignedLong,base64Binary,duration
#group,false,false,false,false,false,false
#default,other,,7,,,
,result,table,a,b,c,d
,,1,,18446744073709551615,aGk=,1h30m

'''.replace("\n", "\r\n")


def test_values_have_their_types_and_defaults() -> None:
    first, second = decode(ANSWER)
    rows = list(first.records())
    assert rows[0] == {
        "result": "_result", "table": 0, "_start": 1_735_689_600_000_000_000,
        "_stop": 1_735_776_000_000_000_000, "_time": 1_735_689_600_123_456_789,
        "_value": 85.4, "boiler": 'B, "1"', "on": True,
    }  # fmt: skip
    assert rows[1]["_value"] is None
    assert rows[1]["_time"] == 1_735_689_600_000_000_000
    assert list(second.records()) == [
        {"result": "other", "table": 1, "a": 7, "b": 2**64 - 1, "c": b"hi", "d": "1h30m"}
    ]
    assert [c.name for c in first.columns if c.group] == ["_start", "_stop", "boiler"]
    assert [c.name for c in first.columns if c.is_time] == ["_start", "_stop", "_time"]


_values = st.one_of(
    st.lists(st.floats(allow_nan=False) | st.none(), min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1, max_size=4),
    st.lists(st.booleans() | st.none(), min_size=1, max_size=4),
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.none(),
             min_size=1, max_size=4),
)  # fmt: skip
_keys = st.dictionaries(
    st.text(st.characters(categories=["L"]), min_size=1, max_size=5),
    st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1, max_size=8),
    max_size=2,
)
_times = st.integers(0, 2**62).map(lambda ns: ns // 1000 * 1000)  # the client keeps microseconds


@st.composite
def _tables(draw) -> list[FluxTable]:
    tables = []
    for _ in range(draw(st.integers(0, 4))):
        key = {"_field": "f", **draw(_keys)}
        rows = [{"_time": draw(_times), "_value": value} for value in draw(_values)]
        tables.append(FluxTable(key, rows, 0, 2**62))
    return tables


@settings(deadline=None)
@given(_tables())
def test_a_text_gives_the_rows_that_the_client_of_influxdata_gives(tables) -> None:
    text = csv(tables)
    ours = [
        {k: _moment(v) if k in {"_start", "_stop", "_time"} else v for k, v in record.items()}
        for table in decode(text)
        for record in table.records()
    ]
    assert ours == _theirs(text)


def _moment(ns: int) -> datetime:
    seconds, rest = divmod(ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


class _Response(io.BytesIO):
    """As urllib3 gives an answer to the client."""


def _theirs(text: str) -> list[dict]:
    parser = FluxCsvParser(_Response(text.encode()), FluxSerializationMode.tables)
    list(parser.generator())
    return [dict(record.values) for table in parser.tables for record in table.records]


def test_nothing_found_is_no_table() -> None:
    assert decode("") == decode("\r\n") == decode("\r\n\r\n") == []


def test_an_error_in_the_answer_is_raised_with_the_words_of_the_server() -> None:
    text = ANSWER + (
        "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n"
        ",error,reference\r\n,engine: out of memory,897\r\n"
    )
    with pytest.raises(RequestFailed, match="engine: out of memory"):
        decode(text)
    bare = "error,reference\r\n"
    with pytest.raises(RequestFailed, match="no such bucket"):
        decode(f",{bare},no such bucket,\r\n")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER[:400], ANSWER.replace("85.4", "a lot"), ANSWER.replace(",85.4,", ",85.4,1,"),
        ANSWER.replace("double", "quaternion"), ANSWER.replace('""1"""', '"1'),
        ANSWER.replace("2025-01-01T00:00:00.123456789Z", "yesterday"),
        ANSWER.replace("true\r\n,,0", "maybe\r\n,,0"), ANSWER.replace("aGk=", "a"),
        ANSWER.replace("#group,false,", "#group,"),
    ],
)  # fmt: skip
def test_a_garbled_answer_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(DataError):
        decode(text)


@given(st.text(max_size=200) | st.lists(st.sampled_from(ANSWER.split(","))).map(",".join))
def test_any_text_is_tables_or_an_error_of_ours(text: str) -> None:
    with suppress(DataError, RequestFailed):
        decode(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59.999999999Z", -1),
        ("2025-01-01T01:00:00.5+01:00", 1_735_689_600_500_000_000),
        ("2262-04-11T23:47:16.854775806Z", 2**63 - 2),
        ("1677-09-21T00:12:43.145224194Z", -(2**63) + 2),
    ],
)  # fmt: skip
def test_a_time_is_kept_to_the_nanosecond(text: str, ns: int) -> None:
    assert nanoseconds(text) == ns
