"""Workday: a report that is too large for one answer comes through in pieces, each row once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Self

import pytest

from gl002.connector import State
from gl002.errors import Busy, DataError, GL002Error, PasswordRefused, RequestFailed
from gl002.integrations.enterprise import AsyncWorkdayConnector, WorkdayConnector
from peers.web_server import Reply, Seen, WebServer
from peers.workday_tenant import Workday
from virtual_time import Ahead

ONCE = {"max_attempts": 1}
YEAR = {"from": "From_Date", "to": "To_Date", "first": "2026-01-01", "last": "2026-12-31"}
SHIFT = ["Employee_ID", "Shift_Date"]
JSON = {"Content-Type": "application/json"}
ROW = b'{"Report_Entry": [{"Employee_ID": "1"}]}'


@pytest.fixture(scope="module")
def tenant() -> Iterator[Workday]:
    with Workday() as running:
        yield running


def connected(tenant: Workday, **changes: Any) -> WorkdayConnector:
    return WorkdayConnector({**tenant.config, "retry_policy": ONCE, **changes})


class Reports:
    """A tenant that answers reports as a test says; keeps what was asked for."""

    def __init__(self, answer: Any) -> None:
        self.asked: list[tuple[str, str]] = []
        self.takes_the_password = True
        self._answer = answer
        self.server = WebServer(self._serve)

    def _serve(self, seen: Seen) -> Reply:
        if seen.method == "POST":
            said = (
                b'<t:Server_Timestamp xmlns:t="urn:com.workday/bsvc"/>'
                if self.takes_the_password
                else b"<e:Fault><faultcode>SOAP-ENV:Client.authenticationError</faultcode>"
                b"<faultstring>invalid username or password</faultstring></e:Fault>"
            )
            body = (
                b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
                b"%s</e:Body></e:Envelope>" % said
            )
            status = 200 if self.takes_the_password else 500
            return Reply(status, body, {"Content-Type": "text/xml"})
        asked = (seen.query.get("From_Date", [""])[0], seen.query.get("To_Date", [""])[0])
        self.asked.append(asked)
        reply = self._answer(*asked)
        assert isinstance(reply, Reply)
        return reply

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {
            "url": self.server.url, "tenant": "acme", "username": "u", "password": "p",
            "retry_policy": ONCE, **changes,
        }  # fmt: skip


def days(first: str, last: str) -> int:
    from datetime import date

    return (date.fromisoformat(last) - date.fromisoformat(first)).days + 1


# ---- pieces ---------------------------------------------------------------------------------


def test_a_year_of_shifts_comes_in_pieces_each_row_once(tenant: Workday) -> None:
    with connected(tenant, report_rows=100) as workday:
        with pytest.raises(RequestFailed, match=r"more than 100 rows.*report_pieces"):
            workday.report("ISU_GL002/Shifts", From_Date="2026-01-01", To_Date="2026-12-31")
        rows = list(workday.report_pieces("ISU_GL002/Shifts", dates=YEAR))
    assert len(rows) == 365 * 3
    assert len({(r["Employee_ID"], r["Shift_Date"]) for r in rows}) == 365 * 3
    assert all(a["Shift_Date"] <= b["Shift_Date"] for a, b in pairwise(rows))


def test_pieces_that_overlap_give_a_row_once_by_its_key(tenant: Workday) -> None:
    by = {**YEAR, "days": 7, "overlap": 3}
    with connected(tenant) as workday:
        rows = list(workday.report_pieces("ISU_GL002/Shifts", dates=by, key=SHIFT))
        assert len(rows) == 365 * 3
        with pytest.raises(DataError, match=r"'overlap' without a 'key'"):
            list(workday.report_pieces("ISU_GL002/Shifts", dates=by))


def test_a_row_of_many_pieces_comes_once_with_a_key_and_from_each_without(tenant: Workday) -> None:
    by = {**YEAR, "days": 7}
    with connected(tenant) as workday:
        once = list(workday.report_pieces("ISU_GL002/Absences", dates=by, key="Absence"))
        each = list(workday.report_pieces("ISU_GL002/Absences", dates=by))
    assert [r["Absence"] for r in once] == ["A1", "A2"]
    assert [r["Absence"] for r in each].count("A1") == 5


def test_a_report_is_cut_by_the_values_of_a_prompt(tenant: Workday) -> None:
    by = {
        "prompt": "Organization!Organization_Reference_ID",
        "values": ["BOILER_HOUSE_A", "BOILER_HOUSE", "BOILER_HOUSE_A"],
    }
    with connected(tenant) as workday:
        rows = list(workday.report_pieces("ISU_GL002/Crew", values=by, key="Employee_ID"))
        assert [r["Employee_ID"] for r in rows] == ["21007", "21008", "21009"]
        assert len(list(workday.report_pieces("ISU_GL002/Crew", values=by))) == 6


def test_without_a_cut_it_is_one_piece(tenant: Workday) -> None:
    with connected(tenant) as workday:
        prompts = {"Shift_Date": "2026-11-26"}
        rows = list(workday.report_pieces("ISU_GL002/Crew_On_Shift", prompts))
    assert [r["Shift_Date"] for r in rows] == ["2026-11-26"] * 3


# ---- halves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bytes", "status", "time"])
async def test_a_piece_that_is_too_much_is_asked_for_in_halves_until_it_comes(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, time = threading.Event(), Ahead(monkeypatch)

    def answer(first: str, last: str) -> Reply:
        if days(first, last) <= 8:
            return Reply(200, ROW, JSON)
        if way == "bytes":
            return Reply(200, b'{"Report_Entry": [' + b" " * (1024 * 1024), JSON)
        if way == "time":
            time.passes(1800)
            stop.wait()
        return Reply(504, b"upstream", {"Content-Type": "text/plain"})

    by = {**YEAR, "last": "2026-01-31"}
    limits = {"report_mb": 1, "report_timeout": 1800}
    with Reports(answer) as there:
        try:
            async with AsyncWorkdayConnector(there.settings(**limits)) as workday:
                rows = [row async for row in workday.report_pieces("a/b", dates=by)]
                assert workday.state == "up", "a report that is too much is no lost session"
        finally:
            stop.set()
    assert len(rows) == 4
    came = [asked for asked in there.asked if days(*asked) <= 8]
    assert sum(days(*asked) for asked in came) == 31
    assert came[0][0], came[-1][1] == ("2026-01-01", "2026-01-31")
    assert max(days(*asked) for asked in there.asked) == 31


def test_a_time_limit_that_is_set_later_limits_reports_too() -> None:
    stop = threading.Event()

    def answer(*_: str) -> Reply:
        stop.wait()
        return Reply(200, ROW, JSON)

    with Reports(answer) as there, WorkdayConnector(there.settings()) as workday:
        workday.set_timeout(200)
        try:
            with pytest.raises(RequestFailed, match=r"no end within 0\.2 s"):
                workday.report("a/b")
        finally:
            stop.set()


@pytest.mark.parametrize("shortest", [1, 5])
def test_the_smallest_piece_that_fails_is_named_and_what_came_before_it_has_come(
    shortest: int,
) -> None:
    def answer(first: str, last: str) -> Reply:
        if first <= "2026-01-20" <= last:
            return Reply(504, b"", {})
        return Reply(200, ROW, JSON)

    by = {**YEAR, "last": "2026-01-31", "shortest": shortest}
    rows: list[Any] = []
    with Reports(answer) as there, WorkdayConnector(there.settings()) as workday:
        with pytest.raises(RequestFailed, match="took too long") as caught:
            rows += workday.report_pieces("a/b", dates=by)
        smallest = min((asked for asked in there.asked if asked[0] <= "2026-01-20" <= asked[1]),
                       key=lambda asked: days(*asked))  # fmt: skip
    assert f"piece From_Date={smallest[0]}, To_Date={smallest[1]}" in str(caught.value)
    assert shortest <= days(*smallest) < 2 * shortest
    assert "127.0.0.1" in str(caught.value)
    assert len(there.asked) < 12


async def test_the_rows_of_pieces_before_the_one_that_fails_were_given() -> None:
    def answer(first: str, _: str) -> Reply:
        return Reply(500, b"no", {}) if first == "2026-01-03" else Reply(200, ROW, JSON)

    by = {**YEAR, "last": "2026-01-31", "days": 1}
    with Reports(answer) as there:
        async with AsyncWorkdayConnector(there.settings()) as workday:
            rows = workday.report_pieces("a/b", dates=by)
            assert [await anext(rows), await anext(rows)] == [{"Employee_ID": "1"}] * 2
            with pytest.raises(Busy, match="From_Date=2026-01-03"):
                await anext(rows)
    assert len(there.asked) == 3, "a refusal of another kind is not halved"


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ({"dates": {**YEAR, "last": "2025-01-01"}}, "is after"),
        ({"dates": {**YEAR, "to": "From_Date"}}, "two prompts"),
        ({"dates": {**YEAR, "frist": "2026-01-01"}}, "did you mean 'first'"),
        ({"dates": {**YEAR, "days": 0}}, "days"),
        ({"dates": YEAR, "values": {"prompt": "p", "values": ["v"]}}, "not by both"),
        ({"values": {"prompt": "p", "values": []}}, "values"),
        ({"prompts": {"format": "csv"}}, "'format' is no prompt"),
    ],
)  # fmt: skip
def test_a_cut_that_makes_no_sense_is_refused_before_anything_is_sent(
    cut: dict[str, Any], said: str
) -> None:
    prompts = cut.pop("prompts", None)
    with Reports(lambda *_: Reply(200, ROW, JSON)) as there:
        workday = WorkdayConnector(there.settings())
        with pytest.raises(DataError, match=said):
            list(workday.report_pieces("a/b", prompts, **cut))
        workday.close()
        assert there.server.seen == []


def test_a_key_that_no_row_has_is_an_error_that_names_the_columns(tenant: Workday) -> None:
    with connected(tenant) as workday, pytest.raises(RequestFailed, match="Employee_ID") as caught:
        list(workday.report_pieces("ISU_GL002/Shifts", dates=YEAR, key="EmployeeID"))
    assert "XML alias" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, RequestFailed), (403, RequestFailed), (404, RequestFailed), (503, Busy)],
)
def test_a_refusal_is_the_error_that_it_was_and_not_a_reason_to_halve(
    status: int, error: type[GL002Error]
) -> None:
    with Reports(lambda *_: Reply(status, b"no", {})) as there:
        workday = WorkdayConnector(there.settings())
        with pytest.raises(error, match="From_Date=2026-01-01") as caught:
            list(workday.report_pieces("a/b", dates=YEAR))
        assert type(caught.value) is error
        workday.close()
        assert len(there.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_one_report_that_is_not_for_us_costs_the_others_nothing(status: int) -> None:
    refused = threading.Event()

    def answer(first: str, _: str) -> Reply:
        if first == "2026-01-01":
            return Reply(status, b"no", {})
        assert refused.wait(60), "it is under way while the other one is refused"
        return Reply(200, ROW, JSON)

    with Reports(answer) as there:
        async with AsyncWorkdayConnector(there.settings()) as workday:
            other = asyncio.create_task(workday.report("a/b", From_Date="2026-01-02"))
            try:
                with pytest.raises(RequestFailed, match=f"{status}.*no") as caught:
                    await workday.report("a/b", From_Date="2026-01-01")
            finally:
                refused.set()
            assert await other == [{"Employee_ID": "1"}]
            assert workday.state is State.UP
    assert "share" in (caught.value.hint or "")


async def test_a_password_that_is_no_longer_taken_ends_the_session_whatever_was_asked() -> None:
    with Reports(lambda *_: Reply(401, b"no", {})) as there:
        async with AsyncWorkdayConnector(there.settings()) as workday:
            there.takes_the_password = False
            with pytest.raises(PasswordRefused, match="not tried again before"):
                await workday.report("a/b")
            assert workday.state is State.FAILED


def test_prompts_that_the_report_wants_are_named_by_workday(tenant: Workday) -> None:
    with connected(tenant) as workday, pytest.raises(RequestFailed, match="To_Date is required"):
        workday.report("ISU_GL002/Shifts", From_Date="2026-01-01")
