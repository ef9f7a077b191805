"""OData of both versions, and batches, as SAP Gateway writes them."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError, RequestFailed
from gl002.wire.multipart import Part, PartAnswer, decode, encode
from gl002.wire.odata import (
    Entity,
    Refusal,
    date_field,
    entities,
    entity,
    key_path,
    literal,
    refusal_in,
    time_field,
)

# SAP Gateway documentation, "Batch Request": an answer of version 2
BATCH = (
    b"--AAD136757C5CF75E21C04F59B8682CEA0\r\nContent-Type: application/http\r\n"
    b"Content-Length: 91\r\ncontent-transfer-encoding: binary\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    b'{"d": {}}\r\n'
    b"--AAD136757C5CF75E21C04F59B8682CEA0\r\n"
    b"Content-Type: multipart/mixed; boundary=CHANGE\r\n\r\n"
    b"--CHANGE\r\nContent-Type: application/http\r\n\r\n"
    b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nLocation: x\r\n\r\n{}\r\n--CHANGE--\r\n\r\n"
    b"--AAD136757C5CF75E21C04F59B8682CEA0--\r\n"
)
KIND = "multipart/mixed; boundary=AAD136757C5CF75E21C04F59B8682CEA0"


def test_both_versions_give_the_same_entity() -> None:
    old = {"d": {
        "__metadata": {"etag": "W/\"'1'\""}, "Day": "/Date(1795651200000)/", "At": "PT10H1M2S",
        "Moment": "/Date(1795651200000+0000)/", "to_X": {"__deferred": {"uri": "x"}},
        "to_Y": {"results": [{"__metadata": {}, "A": 1}]}, "Text": "PT is no time",
    }}  # fmt: skip
    new = {
        "@odata.etag": "W/\"'1'\"", "@odata.context": "x", "Day": "2026-11-26", "At": "10:01:02",
        "Moment": "2026-11-26T00:00:00+00:00", "to_Y": [{"A": 1}], "Text": "PT is no time",
        "SAP__Messages": [],
    }  # fmt: skip
    assert entity(old) == entity(new)
    assert entity(new).etag == "W/\"'1'\""


@pytest.mark.parametrize("word", ["PT", "PTH", "PT5", "/Date()/"])
def test_a_word_that_looks_like_a_time_stays_a_word(word: str) -> None:
    """'PT' is Portuguese, Portugal and the pint."""
    assert entity({"d": {"Language": word}}).fields == {"Language": word}


def test_both_versions_give_the_same_collection() -> None:
    one = Entity({"A": "1"})
    assert entities({"d": {"results": [{"A": "1"}]}}) == [one]
    assert entities({"value": [{"A": "1"}]}) == [one]
    for wrong in ({}, [], {"d": 1}, {"value": [1]}, {"d": {"results": None}}):
        with pytest.raises(RequestFailed):
            entities(wrong)


@pytest.mark.parametrize("text", ["/Date(99999999999999999)/", "/Date(x)/", "PTXH", "/Date(1)", ""])
def test_what_is_no_time_stays_as_it_is(text: str) -> None:
    assert entity({"d": {"A": text}}).fields["A"] == text


def test_days_and_times_take_the_form_of_each_version() -> None:
    day, moment = date(2026, 11, 26), time(10, 1, 2)
    assert (date_field(day, 2), date_field(day, 4)) == ("/Date(1795651200000)/", "2026-11-26")
    assert (time_field(moment, 2), time_field(moment, 4)) == ("PT10H01M02S", "10:01:02")


def test_a_hostile_key_stays_within_its_quotes() -> None:
    assert literal("it's") == "'it''s'"
    assert key_path("A_Product", "x')/../B?$top=1") == "A_Product('x''%29%2F..%2FB%3F%24top%3D1')"


def test_errors_are_told_in_sap_s_words() -> None:
    old = b'{"error":{"code":"IM/100","message":{"lang":"en","value":"No"},"innererror":{"errordetails":[{"message":"Because"}]}}}'  # noqa: E501 (as it comes)
    new = b'{"error":{"code":"IM/100","message":"No","details":[{"message":"Because"}]}}'
    assert refusal_in(old) == refusal_in(new) == Refusal("IM/100", "No; Because")
    for other in (b"<html/>", b"[]", b'{"error": 1}', b"\xff", b""):
        assert refusal_in(other) is None


def test_a_batch_is_answered_in_order_its_change_sets_included() -> None:
    first, second = decode(KIND, BATCH, 2)
    assert (first.status, first.body) == (200, b'{"d": {}}')
    assert (second.status, second.body, second.headers["location"]) == (201, b"{}", "x")


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/html", BATCH, "text/html"),
        ("multipart/mixed", BATCH, "multipart/mixed"),
        (KIND, BATCH[:-10], "cut short"),
        (KIND, b"", "cut short"),
        (KIND, BATCH.replace(b"HTTP/1.1 200 OK", b"nonsense"), "no status"),
        (KIND, BATCH[:100] + BATCH[-41:], "no status"),
    ],
)
def test_an_answer_to_a_batch_that_is_none_is_an_error(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(RequestFailed, match=said):
        decode(kind, body, 2)


@given(st.binary(max_size=100))
def test_any_bytes_in_a_batch_are_answers_or_an_error_of_ours(noise: bytes) -> None:
    try:
        found = decode(KIND, BATCH[:60] + noise + BATCH[60:], 2)
    except RequestFailed:
        return
    assert all(isinstance(one, PartAnswer) for one in found)


def test_a_request_of_a_batch_cannot_smuggle_another() -> None:
    for part in (
        Part("GET", "A\r\nX: 1"), Part("GET", "A", {"B": "1\r\n\r\nGET C"}), Part("POST\n", "A"),
    ):  # fmt: skip
        with pytest.raises(DataError, match="line break"):
            encode([part], "b")
    body = encode([Part("GET", "A('1')"), Part("POST", "B", {"C": "d"}, b"{}")], "mark")
    assert body.count(b"--mark\r\n") == 2
    assert b"Content-Type: multipart/mixed; boundary=change-1-mark" in body


def test_a_boundary_within_may_begin_with_the_outer_one() -> None:
    """CAP answers with the boundaries of the request."""
    body = BATCH.replace(b"CHANGE", b"AAD136757C5CF75E21C04F59B8682CEA0-1")
    assert [one.status for one in decode(KIND, body, 2)] == [200, 201]
