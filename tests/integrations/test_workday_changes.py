"""Workday: changes while a list is read, or a token ends, lose nothing and double nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from gl002.action import Action
from gl002.connector import State
from gl002.errors import Busy, DataError, GL002Error, RequestFailed
from gl002.integrations.enterprise import AsyncWorkdayConnector, WorkdayConnector
from gl002.security.secrets import Redactor
from gl002.transport.http.answer import Answer
from gl002.transport.workday.oauth import Tokens
from peers.web_server import Reply, Seen, WebServer

ONCE = {"max_attempts": 1}
WD = "{urn:com.workday/bsvc}"
JOURNAL = {
    "memo": "m", "lines": [{"account": "1", "debit": "5"}, {"account": "2", "credit": "5"}],
}  # fmt: skip
JSON = {"Content-Type": "application/json"}
Answering = Callable[[Seen], Reply]


def soap(body: str, status: int = 200) -> Reply:
    text = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:w="urn:com.workday/bsvc"><e:Body>{body}</e:Body></e:Envelope>'
    )
    return Reply(status, text.encode(), {"Content-Type": "text/xml"})


def refused(text: str) -> Reply:
    return soap(
        "<e:Fault><faultcode>SOAP-ENV:Client.validationError</faultcode><faultstring>x</faultstring>"
        "<detail><w:Validation_Fault><w:Validation_Error><w:Message>"
        f"{text}</w:Message></w:Validation_Error></w:Validation_Fault></detail></e:Fault>",
        500,
    )


def tenant(answer: Answering) -> WebServer:
    """A server that knows the time; for all else `answer`."""

    def serve(seen: Seen) -> Reply:
        if b"Server_Timestamp_Get" in seen.body:
            return soap("<w:Server_Timestamp/>")
        return answer(seen)

    return WebServer(serve)


def settings(server: WebServer, **changes: Any) -> dict[str, Any]:
    return {
        "url": server.url, "tenant": "acme", "username": "u", "password": "p", "company": "C",
        "journal_source": "J", "retry_policy": ONCE, **changes,
    }  # fmt: skip


def as_client(server: WebServer, **changes: Any) -> dict[str, Any]:
    way_in = {"username": "", "password": None, "client_id": "c", "refresh_token": "r"}
    return settings(server, **way_in, **changes)


# ---- pages of SOAP --------------------------------------------------------------------------


def centers(seen: Seen, ids: list[str], *, total: int | None = None, echo: bool = True) -> Reply:
    """A page of two of these cost centres."""
    asked = ET.fromstring(seen.body)
    number = int(asked.findtext(f".//{WD}Page") or 1)
    here = ids[2 * number - 2 : 2 * number]
    data = "".join(
        f'<w:Cost_Center><w:Cost_Center_Reference><w:ID w:type="Cost_Center_Reference_ID">{i}'
        "</w:ID></w:Cost_Center_Reference></w:Cost_Center>"
        for i in here
    )
    count = len(ids) if total is None else total
    when = (
        "<w:Response_Filter><w:As_Of_Effective_Date>2026-11-26</w:As_Of_Effective_Date>"
        "<w:As_Of_Entry_DateTime>2026-11-26T10:00:00.000-08:00</w:As_Of_Entry_DateTime>"
        "</w:Response_Filter>"
    )
    return soap(
        f"<w:Get_Cost_Centers_Response>{when if echo else ''}<w:Response_Results>"
        f"<w:Total_Results>{count}</w:Total_Results><w:Total_Pages>{-(-count // 2)}</w:Total_Pages>"
        f"</w:Response_Results><w:Response_Data>{data}</w:Response_Data>"
        "</w:Get_Cost_Centers_Response>"
    )


def test_further_pages_are_of_the_moment_that_the_first_one_was_of() -> None:
    moments = []

    def answer(seen: Seen) -> Reply:
        asked = ET.fromstring(seen.body)
        moments.append(
            (asked.findtext(f".//{WD}As_Of_Effective_Date"),
             asked.findtext(f".//{WD}As_Of_Entry_DateTime"))
        )  # fmt: skip
        return centers(seen, ["A", "B", "C", "D", "E"])

    with tenant(answer) as server, WorkdayConnector(settings(server, page_size=2)) as workday:
        assert [c.id for c in workday.cost_centers()] == ["A", "B", "C", "D", "E"]
    then = ("2026-11-26", "2026-11-26T10:00:00.000-08:00")
    assert moments == [(None, None), then, then]


def test_a_list_that_changes_between_two_pages_is_read_again_and_nobody_is_left_out() -> None:
    states = iter([["A", "B", "C", "D"], ["B", "C", "D"], ["B", "C", "D"], ["B", "C", "D"]])

    def answer(seen: Seen) -> Reply:
        return centers(seen, next(states), echo=False)

    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        assert [c.id for c in workday.cost_centers()] == ["B", "C", "D"]


def test_a_list_that_never_holds_still_comes_again_later() -> None:
    count = iter(range(4, 1000))

    def answer(seen: Seen) -> Reply:
        return centers(seen, ["A", "B"], total=next(count), echo=False)

    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        with pytest.raises(Busy, match="changed each time"):
            workday.cost_centers()
        assert len(server.seen) < 20


def test_a_page_of_which_nothing_may_be_seen_does_not_end_the_list() -> None:
    def answer(seen: Seen) -> Reply:
        page = ET.fromstring(seen.body).findtext(f".//{WD}Page")
        return centers(seen, [] if page == "2" else ["A", "B", "C", "D", "E"], total=5)

    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        assert [c.id for c in workday.cost_centers()] == ["A", "B", "E"]


def test_somebody_who_is_on_two_pages_comes_once() -> None:
    def answer(seen: Seen) -> Reply:
        return centers(seen, ["A", "B", "B", "C"])

    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        assert [c.id for c in workday.cost_centers()] == ["A", "B", "C"]


# ---- pages of REST --------------------------------------------------------------------------


def members(seen: Seen, there: list[str], *, total: int | None = None) -> Reply:
    if seen.path.endswith("/token"):
        return Reply(200, b'{"access_token": "t"}', JSON)
    at = int(seen.query["offset"][0])
    data = [{"id": i} for i in there[at : at + 2]]
    body = json.dumps({"data": data, "total": len(there) if total is None else total})
    return Reply(200, body.encode(), JSON)


def test_members_that_leave_while_a_collection_is_read_take_nobody_with_them() -> None:
    states = iter([["A", "B", "C", "D"], ["B", "C", "D"], ["B", "C", "D"], ["B", "C", "D"]])

    def answer(seen: Seen) -> Reply:
        there = [] if seen.path.endswith("/token") else next(states)
        return members(seen, there)

    with tenant(answer) as server, WorkdayConnector(as_client(server)) as workday:
        assert [m["id"] for m in workday.resources("s/v1", "w")] == ["B", "C", "D"]


def test_members_that_are_promised_and_do_not_come_are_an_error_and_no_short_list() -> None:
    def answer(seen: Seen) -> Reply:
        return members(seen, ["A", "B"], total=9)

    with tenant(answer) as server, WorkdayConnector(as_client(server)) as workday:
        with pytest.raises(Busy, match="changed each time"):
            workday.resources("s/v1", "w")
        with pytest.raises(DataError, match="'limit' and 'offset'"):
            workday.resources("s/v1", "w", limit="5")


# ---- tokens ---------------------------------------------------------------------------------


async def test_a_token_that_two_requests_see_end_one_after_the_other_is_renewed_once() -> None:
    given: list[str] = []
    late, renewed = threading.Event(), threading.Event()

    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/token"):
            given.append(f"t{len(given)}")
            return Reply(200, json.dumps({"access_token": given[-1]}).encode(), JSON)
        token = seen.headers.get("authorization", "none at all").removeprefix("Bearer ")
        if token != "t0":
            renewed.set()
            return Reply(200, b'{"Report_Entry": [{"a": 1}]}', JSON)
        if seen.path.endswith("/late"):
            late.set()
            assert renewed.wait(20), "hears no before the other one is through"
        else:
            assert late.wait(20)
        return Reply(401)

    with tenant(answer) as server:
        async with AsyncWorkdayConnector(as_client(server)) as workday:
            first, second = await asyncio.gather(workday.report("a/b"), workday.report("a/late"))
    assert first == second == [{"a": 1}]
    assert given == ["t0", "t1"], "the new token is not thrown away with the old one"


def test_a_token_that_ends_again_and_again_ends_with_an_error() -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/token"):
            return Reply(200, b'{"access_token": "t"}', JSON)
        return Reply(401)

    with tenant(answer) as server:
        workday = WorkdayConnector(as_client(server))
        with pytest.raises(RequestFailed, match="401"):
            workday.report("a/b")
        with pytest.raises(RequestFailed, match="401"):
            workday.resources("s/v1", "w")
        assert workday.aio.state is State.UP, "it is taken for all else"
        workday.close()
        assert len(server.seen) < 14


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_tokn": "canary-1234"}', b'{"access_token": 1, "next": "canary-1234"}',
        b"<html>canary-1234</html>",
    ],
)  # fmt: skip
def test_an_answer_that_may_hold_a_token_is_not_told(body: bytes) -> None:
    with tenant(lambda _: Reply(200, body, JSON)) as server:
        workday = WorkdayConnector(as_client(server))
        with pytest.raises(RequestFailed, match="holds no access token") as caught:
            workday.connect()
        assert "canary" not in str(caught.value)
        workday.close()


def test_a_fault_that_repeats_our_password_is_told_without_it_and_not_endlessly() -> None:
    password = "canary-of-the-fault-4711"
    with tenant(lambda _: refused(f"no: {password} " + "x" * 50_000)) as server:
        workday = WorkdayConnector(settings(server, password=password))
        with pytest.raises(DataError) as caught:
            workday.cost_centers()
        workday.close()
    assert password not in str(caught.value)
    assert len(str(caught.value)) < 2000


# ---- journals -------------------------------------------------------------------------------


def journal_found(_: Seen) -> Reply:
    return soap(
        "<w:Get_Journals_Response><w:Response_Data><w:Journal_Entry><w:Journal_Entry_Reference>"
        '<w:ID w:type="Accounting_Journal_ID">k</w:ID></w:Journal_Entry_Reference>'
        "<w:Journal_Entry_Data><w:Journal_Number>JE-7</w:Journal_Number></w:Journal_Entry_Data>"
        "</w:Journal_Entry></w:Response_Data></w:Get_Journals_Response>"
    )


def test_a_journal_that_arrived_after_it_was_looked_for_is_done_and_no_failure() -> None:
    def answer(seen: Seen) -> Reply:
        if b"Submit_Accounting_Journal" in seen.body:
            return refused("Add Only is set and the journal k exists already.")
        return journal_found(seen)

    action = Action(key="k", name="submit_journal", fields=JOURNAL)
    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        receipt = workday.perform(action)
    assert receipt.already
    assert receipt.number == "k"
    assert "JE-7" in receipt.detail


@pytest.mark.parametrize("look", ["nothing", "fails"])
def test_a_journal_that_is_refused_and_is_not_there_stays_refused(look: str) -> None:
    def answer(seen: Seen) -> Reply:
        if b"Submit_Accounting_Journal" in seen.body:
            return refused("The ledger period is closed.")
        if look == "fails":
            return Reply(503)
        return refused("'k' is not a valid ID value for type = 'Accounting_Journal_ID'")

    action = Action(key="k", name="submit_journal", fields=JOURNAL)
    error: type[GL002Error] = Busy if look == "fails" else DataError
    with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
        with pytest.raises(error) as caught:
            workday.perform(action)
        submissions = [s for s in server.seen if b"Submit_Accounting_Journal" in s.body]
        assert len(submissions) == 1
    assert look == "fails" or "period is closed" in str(caught.value)


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Etc/GMT-14"])
def test_a_journal_without_a_date_is_of_the_plants_day_and_not_of_greenwichs(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment one of the two has another day than UTC."""
    days = []

    def answer(seen: Seen) -> Reply:
        days.append(ET.fromstring(seen.body).findtext(f".//{WD}Accounting_Date"))
        return soap("<w:Submit_Accounting_Journal_Response/>")

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with tenant(answer) as server, WorkdayConnector(settings(server)) as workday:
            before = datetime.now(ZoneInfo(zone)).date()
            workday.submit_journal(JOURNAL)
            after = datetime.now(ZoneInfo(zone)).date()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert days[0] in {before.isoformat(), after.isoformat()}


def test_of_the_tokens_of_years_only_the_newest_are_remembered_so_that_logs_stay_cheap() -> None:
    tokens = Tokens()

    def renewed(number: int) -> str:
        text = f"canary-of-access-token-{number}"
        tokens.keep(Answer(200, {}, json.dumps({"access_token": text}).encode()))
        return text

    first = renewed(0)
    newest = [renewed(number) for number in range(1, 259)][-1]
    assert newest not in Redactor.redact(f"a line with {newest}")
    assert first in Redactor.redact(f"a line with {first}")
