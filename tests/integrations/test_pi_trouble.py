"""PI servers that lie, are slow or refuse: each answer is an error that says what to do."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    GL002Error,
    PartialWrite,
    RequestFailed,
    RequestTimeout,
)
from gl002.integrations.historians import AsyncPIConnector
from gl002.model import Quality, Sample, now_ns
from integrations.pi_site import Make, context, liar, make, server, sink_of
from peers.web_server import Reply, Seen

fixtures = server, context, make


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>log in</html>", b"\xff\xfe", b"null", b"[]", b"{}", b'{"0": 5}',
        b'{"0": {"Status": "x"}}', b'{"0": {"Status": 200}}', b'{"7": {"Status": 200}}',
        b'{"0": {"Status": 200, "Content": []}}',
        b'{"0": {"Status": 200, "Content": {"Value": 1}}}',
        b'{"0": {"Status": 200, "Content": {"Value": 1, "Timestamp": "soon"}}}',
        b'{"0": {"Status": 200, "Content": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"0": {"Status": 200, "Content": {"Value": NaN}}}',
    ],
)  # fmt: skip
async def test_an_answer_of_another_form_is_an_error_of_ours(body: bytes, make: Make) -> None:
    with liar(lambda _: Reply(body=body)) as settings, pytest.raises(GL002Error):
        await make(settings).read(["A"])


async def test_an_answer_that_is_cut_short_comes_again(make: Make) -> None:
    with (
        liar(lambda _: Reply(body=b'{"0"', promised=100)) as settings,
        pytest.raises(ConnectFailed) as caught,
    ):
        await make(settings).read(["A"])
    assert caught.value.retryable


async def test_an_answer_that_does_not_come_is_a_time_out(make: Make) -> None:
    over = threading.Event()

    def never(_: Seen) -> Reply:
        over.wait()
        return Reply(body=b"{}")

    with liar(never) as settings:
        connector = make(settings)
        await connector.connect()
        connector.set_timeout(200)
        try:
            with pytest.raises(RequestTimeout):
                await connector.read(["A"])
        finally:
            over.set()


async def test_an_answer_without_end_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AsyncPIConnector, "largest", 100_000)
    with (
        liar(lambda _: Reply(body=b" " * 200_000)) as settings,
        pytest.raises(RequestFailed, match="more than 100000 bytes"),
    ):
        await make(settings).read(["A"])


async def test_an_answer_that_failed_on_the_way_is_no_answer(make: Make) -> None:
    content = {"Items": [], "WebException": {"StatusCode": 502, "Errors": ["archive offline"]}}
    with (
        liar(lambda _: Reply(body=json.dumps(content).encode())) as settings,
        pytest.raises(Busy, match="archive offline"),
    ):
        await make(settings).read_history("A", "*-1d")


async def test_a_data_archive_that_is_away_is_an_outage_and_one_tag_is_not(make: Make) -> None:
    def answer(statuses: dict[str, int]) -> Reply:
        gone = {"Errors": ["PI Data Archive is not available"]}
        content = {k: {"Status": s, "Content": gone} for k, s in statuses.items()}
        return Reply(207, json.dumps(content).encode())

    with liar(lambda _: answer({"0": 502, "1": 502})) as settings:
        with pytest.raises(Busy, match="not available") as caught:
            await make(settings).read(["A", "B"])
        assert caught.value.retryable
    with liar(lambda _: answer({"0": 502, "1": 403})) as settings:
        samples = await make(settings).read(["A", "B"])
        assert [s.quality for s in samples] == [Quality.BAD_NO_COMMUNICATION, 0x801F0000]


@pytest.mark.parametrize(
    "body",
    [{}, {"Items": 5}, {"Items": []}, {"Items": [{"Items": []}]}, {"Items": [{"Items": [5]}]},
     {"Items": [{"Items": [{"Substatus": "x"}]}]}],
)  # fmt: skip
async def test_a_write_whose_answer_cannot_be_matched_is_not_delivered(
    body: dict[str, Any], make: Make
) -> None:
    def reply(seen: Seen) -> Reply:
        if seen.path.endswith("batch"):
            found = {"0": {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}}
            return Reply(207, json.dumps(found).encode())
        return Reply(207, json.dumps(body).encode())

    with liar(reply) as settings, pytest.raises(RequestFailed):
        await sink_of(make(settings)).write([Sample("A", 1.0, now_ns())])


@pytest.mark.parametrize(
    ("statuses", "error"), [((403, 403), AuthFailed), ((403, 204), PartialWrite)]
)
async def test_a_missing_right_stops_the_output_where_nothing_can_be_written(
    statuses: tuple[int, int], error: type[GL002Error], make: Make
) -> None:
    def reply(seen: Seen) -> Reply:
        if seen.path.endswith("batch"):
            found = {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}
            return Reply(207, json.dumps({"0": found, "1": found}).encode())
        items = [{"Items": [{"Substatus": s, "Message": "No Write Access"}]} for s in statuses]
        return Reply(207, json.dumps({"Items": items}).encode())

    batch = [Sample("A", 1.0, now_ns()), Sample("B", 1.0, now_ns())]
    with liar(reply) as settings:
        connector = make(settings)
        with pytest.raises(error, match="No Write Access"):
            await sink_of(connector).write(batch)
        assert connector.state is State.UP  # what it reads meanwhile is not cut off


async def test_without_the_right_to_make_points_the_output_waits(make: Make) -> None:
    def reply(seen: Seen) -> Reply:
        status = 403 if b"POST" in seen.body else 404
        answer = {"Status": status, "Content": {"Errors": ["No Write Access"]}}
        return Reply(207, json.dumps({"0": answer}).encode())

    with liar(reply) as settings, pytest.raises(AuthFailed, match="PIPOINT"):
        await sink_of(make(settings), create_points=True).write([Sample("A", 1.0, now_ns())])


async def test_a_sample_of_a_point_that_is_there_and_hidden_from_us_is_refused_and_not_lost(
    make: Make,
) -> None:
    """PI does not show a point to who may not read it, and does not make another of that name."""

    def reply(seen: Seen) -> Reply:
        if "recorded" in seen.path:
            return Reply(204)
        status = 409 if b"POST" in seen.body else 404
        answer = {"Status": status, "Content": {"Errors": ["PI Point hidden"]}}
        return Reply(207, json.dumps({"0": answer}).encode())

    with liar(reply) as settings, pytest.raises(PartialWrite, match="PI Point hidden") as caught:
        await sink_of(make(settings), create_points=True).write([Sample("A", 1.0, now_ns())])
    assert set(caught.value.rejected) == {0}


async def test_a_server_that_asks_for_time_is_given_it(make: Make) -> None:
    with (
        liar(lambda _: Reply(429, b"{}", {"Retry-After": "7"})) as settings,
        pytest.raises(Busy) as caught,
    ):
        await make(settings).read(["A"])
    assert caught.value.retry_after == 7
