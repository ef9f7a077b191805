"""HTTP: what a status and a body that is none mean."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from gl002.errors import AccessDenied, AuthFailed, Busy, GL002Error, RequestFailed, Unsupported
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer, refusal


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestFailed), (401, AuthFailed), (403, AccessDenied), (404, RequestFailed),
        (405, Unsupported), (407, AuthFailed), (408, Busy), (409, RequestFailed),
        (413, RequestFailed), (422, RequestFailed), (425, Busy), (429, Busy), (500, Busy),
        (501, Unsupported), (502, Busy), (503, Busy), (504, Busy), (507, Busy), (599, Busy),
        (302, RequestFailed), (418, RequestFailed), (499, RequestFailed),
    ],
)  # fmt: skip
def test_a_status_is_an_error_of_ours(status: int, error: type[GL002Error]) -> None:
    made = refusal(Answer(status, {}, b"their\n words"), "write: plant:8086")
    assert type(made) is error
    assert str(status) in str(made)
    assert "their words" in str(made)
    assert "write: plant:8086" in str(made)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("999999", 300.0), ("-1", 0.0), ("soon", 0.0), ("", 0.0),
        ("1e9", 0.0), ("nan", 0.0), ("٣", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 31 Dec 9999 23:59:59 GMT", 300.0), ("Thu, 99 Foo 9999 23:59:59 GMT", 0.0),
    ],
)  # fmt: skip
def test_the_wait_that_a_server_asks_for_is_read_and_limited(said: str, seconds: float) -> None:
    made = refusal(Answer(503, {"retry-after": said}), "write")
    assert made.retry_after == seconds


def test_the_wait_may_be_a_date() -> None:
    until = int(time.time()) + 60
    before = time.time()
    made = refusal(Answer(429, {"retry-after": formatdate(until, usegmt=True)}), "write")
    assert until - time.time() <= made.retry_after <= until - before


@pytest.mark.parametrize("form", ["%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000"])
def test_a_date_without_a_zone_is_utc(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of C's asctime (RFC 9110, 5.6.7) names no zone: it is not that of this machine."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        until = int(time.time()) + 60
        said = time.strftime(form, time.gmtime(until))
        before = time.time()
        made = refusal(Answer(429, {"retry-after": said}), "write")
        after = time.time()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert until - after <= made.retry_after <= until - before


def test_a_secret_in_an_answer_is_not_shown() -> None:
    Secret("hunter2-hunter2")
    made = refusal(Answer(400, {}, b"bad token hunter2-hunter2\x1b[31m"), "write")
    assert "hunter2" not in str(made)
    assert "\x1b" not in str(made)


def test_a_long_answer_is_quoted_in_part() -> None:
    assert len(str(refusal(Answer(400, {}, b"x" * 100_000), "write"))) < 500


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1,", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_json_is_an_error_that_shows_it(body: bytes) -> None:
    with pytest.raises(RequestFailed, match="cannot be read"):
        Answer(200, {}, body).json(dict[str, Any])
