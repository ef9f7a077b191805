"""What PI Web API says and is told: WebIDs, paths, times, values, batches."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError, RequestFailed
from gl002.model import Quality, Sample, is_bad, is_good, to_ns
from gl002.wire import pi_batch, pi_path, pi_time, pi_values, pi_web_id

SECOND = 1_000_000_000
MOMENT = st.integers(0, 4_000_000_000 * SECOND)
NAME = st.text("abcXYZ019:._-+/ %ä✓中", min_size=1)


# ---- WebIDs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "web_id"),
    [
        # made by the vendor's client library (WebIdHelper of osisoft.pidevclub.piwebapi 1.1.5)
        ("\\\\SRV\\sinusoid", "P1DPU1JWXFNJTlVTT0lE"),
        ("\\\\PISRV01\\BA:T", "P1DPUElTUlYwMVxCQTpU"),
    ],
)
def test_a_web_id_is_that_of_the_vendors_client(path: str, web_id: str) -> None:
    assert pi_web_id.of_path(path) == web_id


@given(NAME, NAME)
def test_a_web_id_says_its_path_in_upper_case(server: str, name: str) -> None:
    path = f"\\\\{server}\\{name}"
    assert pi_web_id.parse(pi_web_id.of_path(path)) == ("P", "DP", path.upper())


def test_a_sharp_s_stays_one_letter_as_in_dotnet() -> None:
    assert pi_web_id.parse(pi_web_id.of_path("\\\\s\\straße")).path == "\\\\S\\STRAßE"


def test_what_a_path_names_is_in_the_marker() -> None:
    assert pi_web_id.of_path("\\\\AF\\Db\\Boiler|Level").startswith("P1AbE")
    assert pi_web_id.of_path("\\\\AF\\Db\\Boiler").startswith("P1Em")
    assert pi_web_id.of_database("\\\\AF\\Db").startswith("P1RD")
    assert pi_web_id.of_data_server("PI").startswith("P1DS")


@pytest.mark.parametrize("path", ["", "tag", "\\\\", "\\\\server", "\\\\server\\", "\\server\\tag"])
def test_no_path_has_no_web_id(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        pi_web_id.of_path(path)


@pytest.mark.parametrize("text", ["", "P", "P0DPxx", "Z1DPxx", "P1DP!!", "P1DP_w", "P112"])
def test_what_is_no_web_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no WebID"):
        pi_web_id.parse(text)


# ---- paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "attribute"),
    [
        ("BA:BOILER1.FLOW", False),
        ("\\\\PI\\BA:BOILER1.FLOW", False),
        ("Boilers\\Boiler1|Level", True),
        ("Boiler1|Level", True),
        ("\\\\AF\\Db\\Boiler1|Level", True),
        ("\\\\AF\\Db\\Boiler1", True),
    ],
)
def test_an_address_names_a_point_or_something_in_af(address: str, *, attribute: bool) -> None:
    assert pi_path.is_attribute(address) is attribute


def test_short_addresses_are_completed_and_whole_ones_left_alone() -> None:
    assert pi_path.point_path("BA:T", "PI") == "\\\\PI\\BA:T"
    assert pi_path.point_path("\\\\OTHER\\BA:T", "PI") == "\\\\OTHER\\BA:T"
    assert pi_path.asset_path("B\\C|D", "AF", "Db") == "\\\\AF\\Db\\B\\C|D"
    assert pi_path.asset_path("\\", "AF", "Db") == "\\\\AF\\Db"
    assert pi_path.asset_path("\\\\X\\Y\\Z|D", "AF", "Db") == "\\\\X\\Y\\Z|D"


def test_a_tag_that_pi_would_refuse_is_written_with_percent_signs() -> None:
    assert pi_path.point_name("it's; 50%") == "it%27s%3B 50%25"
    assert pi_path.point_name("Boiler 50%") == "Boiler 50%"
    assert not set("*'?;{}[]|\\`\"") & set(pi_path.point_name("*'?;{}[]|\\`\""))


# ---- times --------------------------------------------------------------------------------------


def test_a_time_is_written_with_seven_digits() -> None:
    moment = to_ns(datetime(2025, 1, 2, 3, 4, 5, 6000, tzinfo=UTC))
    assert pi_time.to_text(moment) == "2025-01-02T03:04:05.0060000Z"
    assert pi_time.to_text(999_999_999) == "1970-01-01T00:00:00.9999999Z"


@given(MOMENT)
def test_a_time_comes_back_to_a_tenth_of_a_microsecond(moment: int) -> None:
    assert abs(pi_time.raw(pi_time.to_text(moment)) - moment) <= 100


@given(st.integers(0, 4_000_000_000_000), st.sampled_from([math.floor, round, math.ceil]))
def test_a_whole_millisecond_survives_however_the_archive_rounds(milliseconds, rounded) -> None:
    tick = rounded(Fraction(milliseconds, 1000) * 65536)
    kept = tick * SECOND // 65536 // 100 * 100  # as the server prints it
    assert pi_time.mended(kept) == milliseconds * 1_000_000


@given(MOMENT)
def test_no_time_is_moved_by_more_than_the_archive_can_tell(moment: int) -> None:
    assert abs(pi_time.mended(moment) - moment) <= pi_time.RESOLUTION


@pytest.mark.parametrize(
    "text", [None, 5, "", "yesterday", "2025-01-01", "2025-13-01T00:00:00Z", "2025-01-01T00:00:00"]
)
def test_what_is_no_timestamp_is_refused(text: object) -> None:
    with pytest.raises(DataError, match="no timestamp"):
        pi_time.raw(text)


def test_an_offset_is_taken_into_account() -> None:
    assert pi_time.raw("2025-01-01T02:00:00+02:00") == pi_time.raw("2025-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text", ["*", "*-1d", "* - 1d", "t", "t+8h", "y", "Yesterday", "-1d", "mon", "*-2mo"]
)
def test_the_relative_syntax_of_pi_is_passed_on(text: str) -> None:
    assert pi_time.parameter(text) == text


def test_a_time_without_a_zone_is_local_time() -> None:
    local = to_ns(datetime(2025, 1, 1, 12))  # noqa: DTZ001 (that is the point)
    assert pi_time.parameter("2025-01-01 12:00:00") == pi_time.to_text(local)
    assert pi_time.parameter(datetime(2025, 1, 1, 12)) == pi_time.to_text(local)  # noqa: DTZ001
    east = datetime(2025, 1, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    assert pi_time.parameter(east) == "2025-01-01T09:00:00.0000000Z"
    assert pi_time.parameter("2025-01-01T09:00:00Z") == "2025-01-01T09:00:00.0000000Z"


@pytest.mark.parametrize(
    "moment", ["", "soon", "*-1parsec", "01-Jan-25", "2025-99-01", True, None, 1.5]
)
def test_what_is_no_time_is_refused(moment: object) -> None:
    with pytest.raises(DataError, match="no time"):
        pi_time.parameter(moment)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("span", "text"), [("1h", "1h"), (" 15m ", "15m"), (10, "10s"), (0.5, "0.5s")]
)
def test_an_interval_is_text_or_seconds(span: str | float, text: str) -> None:
    assert pi_time.interval(span) == text


@pytest.mark.parametrize("span", ["", "h", "0s", "-1h", "1 parsec", 0, -5, math.nan, True, None])
def test_what_is_no_interval_is_refused(span: object) -> None:
    with pytest.raises(DataError, match="no interval"):
        pi_time.interval(span)  # type: ignore[arg-type]


@given(st.integers(1, 50), st.integers(1, 300), st.integers(1, 3600))
def test_the_pieces_of_a_range_make_one_grid(most: int, points: int, seconds: int) -> None:
    start, step = 1_700_000_000 * SECOND, seconds * SECOND
    whole = [start + n * step for n in range(points)]
    grid: list[int] = []
    for begin, until in pi_time.pieces(
        pi_time.to_text(start), pi_time.to_text(whole[-1]), f"{seconds}s", most
    ):
        piece = list(range(pi_time.raw(begin), pi_time.raw(until) + 1, step))
        assert len(piece) <= most
        grid += piece
    assert grid == whole


@given(st.integers(1, 50), st.integers(1, 300), st.integers(1, 3600))
def test_so_do_those_of_a_range_from_its_end_to_its_start(
    most: int, points: int, seconds: int
) -> None:
    end, step = 1_700_000_000 * SECOND, seconds * SECOND
    whole = [end - n * step for n in range(points)]
    grid: list[int] = []
    for begin, until in pi_time.pieces(
        pi_time.to_text(end), pi_time.to_text(whole[-1]), f"{seconds}s", most
    ):
        piece = list(range(pi_time.raw(begin), pi_time.raw(until) - 1, -step))
        assert len(piece) <= most
        grid += piece
    assert grid == whole


def test_a_range_that_only_the_server_understands_is_not_cut() -> None:
    assert list(pi_time.pieces("*-1d", "*", "1s", 10)) == [("*-1d", "*")]
    start, end = pi_time.to_text(0), pi_time.to_text(10**18)
    assert list(pi_time.pieces(start, end, "1mo", 10)) == [(start, end)]


# ---- values -------------------------------------------------------------------------------------


def _item(value: object, **flags: object) -> dict[str, object]:
    return {"Timestamp": "2025-01-01T00:00:00Z", "Value": value, "Good": True, **flags}


@pytest.mark.parametrize(
    ("item", "value", "quality"),
    [
        (_item(12.5), 12.5, Quality.GOOD),
        (_item(41), 41, Quality.GOOD),
        (_item("text"), "text", Quality.GOOD),
        (_item(True), True, Quality.GOOD),
        (_item(12.5, Questionable=True), 12.5, Quality.UNCERTAIN),
        (_item(12.5, Substituted=True), 12.5, pi_values.GOOD_EDITED),
        (_item(12.5, Questionable=True, Substituted=True), 12.5, Quality.UNCERTAIN),
        (_item({"Name": "Auto", "Value": 1, "IsSystem": False}), "Auto", Quality.GOOD),
        (_item({"Name": "Auto", "Value": 1}, Questionable=True), "Auto", Quality.UNCERTAIN),
        (
            _item({"Name": "I/O Timeout", "Value": 246, "IsSystem": True}, Good=False),
            None, Quality.BAD_NO_COMMUNICATION,
        ),
        (_item({"Name": "New One", "Value": 300, "IsSystem": True}, Good=False), None, Quality.BAD),
        (_item({"Errors": ["Calculation failed"]}, Good=False), None, Quality.BAD),
        (_item(0.0, Good=False), None, Quality.BAD),
        (_item(None), None, Quality.BAD),
        (_item(1.0, Errors=[{"FieldName": "Value", "Message": ["broken"]}]), None, Quality.BAD),
        (_item([1, 2]), None, Quality.BAD_TYPE_MISMATCH),
    ],
)  # fmt: skip
def test_flags_and_states_become_quality(item, value, quality) -> None:
    found = pi_values.reading(item)
    assert (found.value, found.quality) == (value, quality)
    assert type(found.value) is type(value)


@pytest.mark.parametrize("item", [None, 5, [], {}, {"Value": 1}, {"Value": 1, "Timestamp": "x"}])
def test_what_is_no_value_is_refused(item: object) -> None:
    with pytest.raises(DataError):
        pi_values.reading(item)


@pytest.mark.parametrize("quality", [Quality.BAD_DEVICE_FAILURE, Quality.BAD_OUT_OF_SERVICE,
    Quality.BAD_CONFIGURATION_ERROR, Quality.BAD_NO_COMMUNICATION, Quality.BAD_NO_DATA,
    Quality.BAD_WAITING_FOR_INITIAL_DATA, Quality.BAD_NOT_CONNECTED, Quality.BAD])  # fmt: skip
def test_why_a_value_is_bad_survives_as_a_state_of_the_system_set(quality: int) -> None:
    item = pi_values.as_item(Sample("t", None, 0, quality))
    assert item["Value"]["IsSystem"] is True
    assert pi_values.reading({**item, "Good": False}).quality == quality


@pytest.mark.parametrize(
    ("value", "quality", "plain"),
    [(True, 0, 1), (False, 0, 0), (7, 0, 7), (1.5, 0, 1.5), ("x", 0, "x")],
)
def test_a_good_value_is_written_as_it_is(value, quality, plain) -> None:
    item = pi_values.as_item(Sample("t", value, 0, quality))
    assert item["Value"] == plain
    assert type(item["Value"]) is type(plain)
    assert "Questionable" not in item


def test_doubt_is_a_flag_and_the_value_stays() -> None:
    sample = Sample("t", 1.5, 0, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE)
    item = pi_values.as_item(sample)
    assert (item["Value"], item["Questionable"]) == (1.5, True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_no_number_is_made_up_and_the_item_is_json(value: object) -> None:
    item = pi_values.as_item(Sample("t", value, 0))  # type: ignore[arg-type]
    json.dumps(item, allow_nan=False)
    assert is_bad(pi_values.reading({**item, "Good": False}).quality)


def test_a_number_with_more_digits_than_pi_keeps_is_refused() -> None:
    with pytest.raises(DataError, match="digits"):
        pi_values.as_item(Sample("t", 2**53 + 1, 0))


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (485, "Float64", 485), (485.5, "Float32", 485.5), (True, "Int32", 1), (485.0, "Int16", 485),
        ("Auto", "Digital", "Auto"), (1, "Digital", 1), ("text", "String", "text"), ("x", "", "x"),
        (True, "", 1), (2.5, "Double", 2.5), (True, "Boolean", True),
    ],
)  # fmt: skip
def test_a_value_that_fits_is_written_in_the_type_of_the_point(value, kind, written) -> None:
    found = pi_values.fitting(value, kind, "t")
    assert (found, type(found)) == (written, type(written))


@pytest.mark.parametrize(
    ("value", "kind"),
    [("no number", "Float64"), (485.5, "Int32"), (math.nan, "Float64"), (math.inf, ""), (None, ""),
     (None, "Float64"), (5, "String"), (None, "String")],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(value, kind) -> None:
    with pytest.raises(DataError, match="setpoint"):
        pi_values.fitting(value, kind, "setpoint")


def test_good_edited_is_good() -> None:
    assert is_good(pi_values.GOOD_EDITED)


# ---- batches ------------------------------------------------------------------------------------


def test_a_batch_is_what_the_reference_shows() -> None:
    body = pi_batch.encode(
        [
            pi_batch.Sub("streams/P1/value", [("selectedFields", "Value;Good")]),
            pi_batch.Sub("streams/P2/value", method="POST", body={"Value": "ü"}),
        ],
        "https://pi/piwebapi/",
    )
    assert json.loads(body) == {
        "0": {
            "Method": "GET",
            "Resource": "https://pi/piwebapi/streams/P1/value?selectedFields=Value%3BGood",
        },
        "1": {
            "Method": "POST", "Resource": "https://pi/piwebapi/streams/P2/value",
            "Content": '{"Value":"ü"}', "Headers": {"Content-Type": "application/json"},
        },
    }  # fmt: skip


def test_an_answer_that_is_missing_is_an_error() -> None:
    one = pi_batch.SubAnswer(status=200)
    with pytest.raises(RequestFailed, match="without '1'"):
        pi_batch.in_order({"0": one}, 2)


def test_an_answer_that_broke_off_is_no_success() -> None:
    content = {"Items": [], "WebException": {"StatusCode": 500, "Errors": ["archive offline"]}}
    answer = pi_batch.SubAnswer(status=200, content=content)
    assert not answer.ok
    assert answer.words == "archive offline"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"Errors": ["a", "b"]}, "a; b"),
        ({"Message": "denied"}, "denied"),
        ("<html>", ""),
        (None, ""),
        ({"Errors": "odd"}, ""),
    ],
)
def test_the_servers_words_are_found(content: object, words: str) -> None:
    assert pi_batch.said(content) == words
