"""AWS IoT Core: topics, documents, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gl002.errors import (
    Busy,
    ConfigError,
    DataError,
    RequestFailed,
    TagNotFound,
)
from gl002.wire import aws_iot, aws_jobs
from gl002.wire.aws_iot import VersionConflict, check_topic, read_delta, state_reader, thing_of

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    "topic", ["a/b/c/d/e/f/g/h", "$aws/rules/boilers/a/b/c/d/e/f/g/h", "x" * 256]
)
def test_a_topic_of_the_length_that_aws_takes_is_taken(topic: str) -> None:
    assert check_topic(topic) == topic


@pytest.mark.parametrize("topic", ["a/b/c/d/e/f/g/h/i", "x" * 257, "ü" * 129, "a/+", ""])
def test_a_topic_that_aws_does_not_take_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError):
        check_topic(topic)


def test_a_shadow_topic_tells_its_thing_and_any_other_none() -> None:
    assert thing_of("$aws/things/boiler1/shadow/name/x/update/delta") == "boiler1"
    assert thing_of("$aws/things/boiler1/jobs/notify") == ""
    assert thing_of("plant/boiler1") == ""


def test_a_delta_is_read_with_its_version_and_time() -> None:
    content = {"version": 7, "timestamp": 1_700_000_000, "state": {"o2": {"setpoint": 3.1}}}
    delta = read_delta(json.dumps(content).encode(), "x")
    assert (delta.version, delta.time, delta.shadow) == (7, 1_700_000_000 * SECOND, "x")
    assert delta.state == {"o2": {"setpoint": 3.1}}


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"version":"1"}', b'{"state":1}', b"\xff"]
)
def test_what_is_no_delta_is_refused(payload: bytes) -> None:
    with pytest.raises(DataError):
        read_delta(payload, "")


def test_the_desired_state_is_read_from_both_topics() -> None:
    read = state_reader("boiler1", "")
    document = {
        "state": {"desired": {"o2": {"setpoint": 3.1}, "mode": "auto"}, "reported": {"o2": 1}},
        "metadata": {"desired": {"o2": {"setpoint": {"timestamp": 5}}, "mode": {"timestamp": 6}}},
        "version": 9,
    }
    got = read("$aws/things/boiler1/shadow/get/accepted", json.dumps(document).encode())
    seen = read(
        "$aws/things/boiler1/shadow/update/documents",
        json.dumps({"previous": {}, "current": document}).encode(),
    )
    assert got is not None
    assert seen is not None
    assert got.values == seen.values == {"o2": {"setpoint": 3.1}, "mode": "auto"}
    assert got.times == seen.times == {"o2.setpoint": 5 * SECOND, "mode": 6 * SECOND}
    assert (got.fresh, seen.fresh, got.version) == (True, False, 9)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, DataError), (401, RequestFailed), (403, RequestFailed), (404, TagNotFound),
        (409, VersionConflict), (413, DataError), (422, DataError), (429, Busy), (500, Busy),
        (None, RequestFailed),
    ],
)  # fmt: skip
def test_a_refusal_of_the_shadow_service_is_an_error_of_ours(code: Any, kind: type) -> None:
    error = aws_iot.refusal(json.dumps({"code": code, "message": "why"}).encode(), "update")
    assert type(error) is kind
    assert "why" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestThrottled", Busy), ("InternalError", Busy), ("ResourceNotFound", TagNotFound),
        ("VersionMismatch", RequestFailed), (None, RequestFailed),
    ],
)  # fmt: skip
def test_a_refusal_of_the_jobs_service_is_an_error_of_ours(code: Any, kind: type) -> None:
    error = aws_jobs.refusal(json.dumps({"code": code}).encode(), "update")
    assert type(error) is kind


def test_a_job_is_read_and_none_where_none_waits() -> None:
    execution = {"jobId": "a", "jobDocument": {"x": 1}, "versionNumber": 3, "executionNumber": 2}
    job = aws_jobs.job_in({"execution": execution})
    assert job == aws_jobs.Job(id="a", document={"x": 1}, version=3, execution=2)
    assert aws_jobs.job_in({"timestamp": 1}) is aws_jobs.job_in({"execution": {}}) is None
    for wrong in ([], {"execution": {"jobId": 1}}, {"execution": [1]}):
        with pytest.raises(DataError):
            aws_jobs.job_in(wrong)


def test_details_of_a_job_are_text_that_aws_takes() -> None:
    update = aws_jobs.status_update(
        aws_jobs.Job(id="a", version=3), "FAILED", {"n": 1, "t": "x" * 2000}
    )
    assert update["statusDetails"] == {"n": "1", "t": "x" * 1024}
    assert update["expectedVersion"] == "3"
