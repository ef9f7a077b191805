"""Who we are to Workday, and answers of it that are none."""

from __future__ import annotations

import base64
import json

import pytest

from gl002.action import Action
from gl002.errors import AccessDenied, AuthFailed, Busy, GL002Error, PasswordRefused, RequestFailed
from gl002.transport.http.answer import Unreadable
from integrations.workday_site import _OPEN, JOURNAL, against, as_client, soap, tenant, timestamp
from peers.web_server import Reply, Seen, WebServer
from peers.workday_tenant import Workday

fixtures = (tenant,)


# ---- who we are there -------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["status", "fault"])
def test_a_token_that_is_no_longer_taken_is_renewed_and_the_request_done_once(by: str) -> None:
    given: list[str] = []
    done: list[bytes] = []

    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/token"):
            given.append(f"t{len(given)}")
            token = json.dumps({"access_token": given[-1]}).encode()
            return Reply(200, token, {"Content-Type": "application/json"})
        if seen.headers["authorization"] != f"Bearer {given[-1]}" or given[-1] == "over":
            invalid = fault("Client.authenticationError", "invalid username or password")
            return Reply(401) if by == "status" else invalid
        if b"Submit_Accounting_Journal" in seen.body:
            done.append(seen.body)
            return soap('<w:Submit_Accounting_Journal_Response xmlns:w="urn:com.workday/bsvc"/>')
        return timestamp(seen)

    with WebServer(answer) as server:
        way_in = {"username": "", "password": None, "client_id": "c", "refresh_token": "r"}
        workday = against(server, **way_in)
        workday.connect()
        given.append("over")
        assert workday.submit_journal(JOURNAL, key="GL-T").id == "GL-T"
        workday.close()
    assert given == ["t0", "over", "t2"]
    assert len(done) == 1


@pytest.mark.parametrize(
    "changes",
    [{"client_secret": "no"}, {"refresh_token": "no"}, {"client_id": "no"}],
    ids=["secret", "token", "client"],
)
def test_a_client_that_is_not_known_hears_what_to_check(
    tenant: Workday, changes: dict[str, str]
) -> None:
    with pytest.raises(AuthFailed, match="no access token: invalid_") as caught:
        as_client(tenant, **changes).connect()
    assert "refresh_token" in (caught.value.hint or "")


def test_the_password_goes_in_the_header_of_the_envelope_only() -> None:
    with WebServer(timestamp) as server:
        workday = against(server)
        workday.connect()
        workday.close()
    (seen,) = server.seen
    assert "authorization" not in seen.headers
    assert b"<wsse:Username>u@acme</wsse:Username>" in seen.body
    assert b"#PasswordText" in seen.body


# ---- answers that are none --------------------------------------------------------------------


def fault(code: str, text: str, detail: str = "") -> Reply:
    return soap(
        f"<e:Fault><faultcode>SOAP-ENV:{code}</faultcode><faultstring>{text}</faultstring>"
        f'<detail xmlns:wd="urn:com.workday/bsvc">{detail}</detail></e:Fault>',
        500,
    )


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (fault("Client.authenticationError", "invalid username or password"), PasswordRefused,
         "not tried again before"),
        (fault("Client.validationError", "x", "<wd:Processing_Fault><wd:Detail_Message>The task"
               " submitted is not authorized.</wd:Detail_Message></wd:Processing_Fault>"),
         AccessDenied, "domain"),
        (fault("Server.processingError", "Processing error occurred."), Busy, "Processing error"),
        (fault("Client.invalidRequest", "no such operation"), RequestFailed, "no such operation"),
        (Reply(429, b"slow down", {"Retry-After": "7"}), Busy, "429"),
        (Reply(503, b"<html>maintenance</html>", {"Content-Type": "text/html"}), Busy, "503"),
        (Reply(200, b"<html>log in</html>", {"Content-Type": "text/html"}), Unreadable, "SOAP"),
        (Reply(200, b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', {"Content-Type": "text/xml"}),
         Unreadable, "document type"),
        (Reply(200, (_OPEN + "<a>").encode(), {"Content-Type": "text/xml"}), Unreadable, "XML"),
        (Reply(200, b" " * (17 * 1024 * 1024), {"Content-Type": "text/xml"}), Unreadable, ""),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_timestamp_is_the_right_error(
    reply: Reply, error: type[GL002Error], said: str
) -> None:
    with WebServer(lambda _: reply) as server:
        workday = against(server)
        with pytest.raises(error, match="127\\.0\\.0\\.1") as caught:
            workday.cost_centers()
        assert type(caught.value) is error
        assert said in str(caught.value)
        assert "canary" not in str(caught.value)
        workday.close()


def test_an_action_whose_answer_says_nothing_may_have_been_done_and_comes_again() -> None:
    proxy = Reply(200, b"<html>proxy</html>", {"Content-Type": "text/html"})
    fields = {
        "memo": "m",
        "lines": [{"account": "1", "debit": "5"}, {"account": "2", "credit": "5"}],
    }
    with WebServer(lambda seen: proxy if b"Submit_" in seen.body else timestamp(seen)) as server:
        workday = against(server, currency="EUR")
        with pytest.raises(Busy, match="it may have been done"):
            workday.perform(Action(key="k", name="submit_journal", fields=fields))
        workday.close()


@pytest.mark.parametrize("pages", ["", "3", "1e9", "-5", "9" * 5000, "NaN", "\N{SUPERSCRIPT TWO}"])
def test_pages_end_where_nothing_comes_and_their_number_must_be_one(pages: str) -> None:
    def answer(seen: Seen) -> Reply:
        if b"Timestamp" in seen.body:
            return timestamp(seen)
        return soap(
            '<w:Get_Cost_Centers_Response xmlns:w="urn:com.workday/bsvc"><w:Response_Results>'
            f"<w:Total_Pages>{pages}</w:Total_Pages></w:Response_Results>"
            "<w:Response_Data/></w:Get_Cost_Centers_Response>"
        )

    with WebServer(answer) as server:
        workday = against(server)
        if pages in {"", "3"}:
            assert workday.cost_centers() == []
        else:
            with pytest.raises(RequestFailed, match="number of pages"):
                workday.cost_centers()
        workday.close()


@pytest.mark.parametrize(
    "body", [b"{}", b"[" * 100_000, b'{"Report_Entry": 1}', b'{"Report_Entry": [1]}', b"\xff"]
)
def test_a_report_that_is_no_list_of_rows_is_an_error(body: bytes) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.method == "POST":
            return timestamp(seen)
        assert seen.headers["authorization"] == f"Basic {base64.b64encode(b'u@acme:p').decode()}"
        return Reply(200, body, {"Content-Type": "application/json"})

    with WebServer(answer) as server:
        workday = against(server)
        if body == b"{}":
            assert workday.report("a/b") == []
        else:
            with pytest.raises(RequestFailed):
                workday.report("a/b")
        workday.close()
