"""Workday: pages come whole, a journal is posted once, refusals come in Workday's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from gl002.action import Action
from gl002.errors import AuthFailed, DataError, RequestFailed
from gl002.integrations.enterprise import WorkdayConnector
from integrations.workday_site import JOURNAL, ONCE, against, as_client, tenant, timestamp
from peers import vendors
from peers.web_server import WebServer
from peers.workday_tenant import PASSWORD, USER, Workday

fixtures = (tenant,)

HOSTILE = "<wd:Submit>false</wd:Submit> & ]]> \"'; DROP TABLE journals; -- \N{SNOWMAN}"


@pytest.fixture
def workday(tenant: Workday) -> Iterator[WorkdayConnector]:
    with connected(tenant) as connector:
        yield connector


def connected(tenant: Workday, **changes: Any) -> WorkdayConnector:
    return WorkdayConnector({**tenant.config, "retry_policy": ONCE, **changes})


# ---- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 125, 250, 999])
def test_all_pages_of_the_workers_come_whatever_their_size(tenant: Workday, size: int) -> None:
    with connected(tenant, page_size=size) as workday:
        workers = workday.workers()
    assert [w.id for w in workers] == [str(21000 + n) for n in range(1, 251)]


def test_a_crew_is_an_organization_with_what_is_below_it(workday: WorkdayConnector) -> None:
    crew = workday.workers(organization="BOILER_HOUSE_A")
    assert [(w.id, w.name, w.title, w.active) for w in crew] == [
        (f"2100{n}", f"Worker {n}", "Stoker", True) for n in (7, 8, 9)
    ]
    assert set(crew[0].organizations) == {"BOILER_HOUSE_A", "BOILER_HOUSE"}
    assert workday.workers(organization="BOILER_HOUSE") == crew


def test_an_organization_that_is_none_is_refused_by_name(workday: WorkdayConnector) -> None:
    with pytest.raises(DataError, match="'NOBODY' is not a valid ID value"):
        workday.workers(organization="NOBODY")


def test_cost_centers_say_whether_they_are_open(workday: WorkdayConnector) -> None:
    assert [(c.id, c.name, c.active) for c in workday.cost_centers()] == [
        ("CC-BOILERS", "Boiler house", True), ("CC-OLD", "Old boilers", False),
    ]  # fmt: skip


def test_a_report_takes_prompts_and_gives_rows(tenant: Workday) -> None:
    for workday in (connected(tenant), as_client(tenant)):
        with workday:
            rows = workday.report("ISU_GL002/Crew_On_Shift", Shift_Date="2026-11-26")
        assert [r["Employee_ID"] for r in rows] == ["21007", "21008", "21009"]
        assert rows[0]["Shift_Date"] == "2026-11-26"


def test_a_report_that_is_not_there_is_an_error(workday: WorkdayConnector) -> None:
    with pytest.raises(RequestFailed, match="404"):
        workday.report("ISU_GL002/../../x")
    with pytest.raises(DataError, match="no report"):
        workday.report("Crew_On_Shift")


def test_resources_come_page_by_page_to_an_api_client(tenant: Workday) -> None:
    with as_client(tenant) as workday:
        assert len(workday.resources("staffing/v6", "workers")) == 250


def test_resources_are_not_for_a_user_with_a_password(workday: WorkdayConnector) -> None:
    with pytest.raises(AuthFailed, match="access token") as caught:
        workday.resources("staffing/v6", "workers")
    assert "refresh_token" in (caught.value.hint or "")


# ---- journals ---------------------------------------------------------------------------------


def test_a_journal_is_posted_with_its_lines(tenant: Workday, workday: WorkdayConnector) -> None:
    made = workday.submit_journal(JOURNAL, key="GL-J1")
    assert made.id == "GL-J1"
    rows = tenant.rows("SELECT memo, day, company, status FROM journals WHERE id = 'GL-J1'")
    assert rows == [("Soot blowing, boiler 1", "2026-11-26", "ACME_US", "IN_PROGRESS")]
    lines = tenant.rows(
        "SELECT place, account, debit, credit, memo, tags FROM lines WHERE journal = 'GL-J1'"
    )
    assert lines == [
        ("1", "6120", "480.25", "", "", "CC-BOILERS,FUEL"),
        ("2", "2100", "", "480.25", "accrued", ""),
    ]
    there = workday.find_journal("GL-J1")
    assert there is not None
    assert (there.number[:3], there.status) == ("JE-", "IN_PROGRESS")


def test_a_second_journal_with_the_same_key_is_refused(
    tenant: Workday, workday: WorkdayConnector
) -> None:
    workday.submit_journal(JOURNAL, key="GL-J2")
    with pytest.raises(DataError, match="GL-J2 exists already"):
        workday.submit_journal({**JOURNAL, "memo": "another"}, key="GL-J2")
    assert tenant.rows("SELECT memo FROM journals WHERE id = 'GL-J2'") == [(JOURNAL["memo"],)]


def test_without_a_key_workday_names_it_and_it_may_stay_a_draft(tenant: Workday) -> None:
    with connected(tenant, submit=False) as workday:
        made = workday.submit_journal(JOURNAL)
    assert made.id.startswith("ACCOUNTING_JOURNAL-")
    assert tenant.rows("SELECT status FROM journals WHERE id = ?", made.id) == [("DRAFT",)]


def test_the_date_is_today_where_none_is_given(tenant: Workday, workday: WorkdayConnector) -> None:
    undated = {k: v for k, v in JOURNAL.items() if k != "date"}
    before = datetime.now().astimezone().date()
    workday.submit_journal(undated, key="GL-J3")
    after = datetime.now().astimezone().date()  # midnight may have passed
    (row,) = tenant.rows("SELECT day FROM journals WHERE id = 'GL-J3'")
    assert row[0] in {before.isoformat(), after.isoformat()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"company": "NOBODY"}, "'NOBODY' is not a valid ID value for type = 'Company_Ref"),
        ({"currency": "XXX"}, "'XXX' is not a valid ID value"),
        ({"date": "2020-01-31"}, r"period is closed\. \(Accounting_Date\[1\]\)"),
        ({"lines": [{"account": "9999", "debit": 1}, {"account": "2100", "credit": 1}]},
         "'9999' is not a valid ID value for type = 'Ledger_Account_ID'"),
        ({"lines": [{"account": "6120", "debit": 1, "worktags": {"Nothing": "x"}},
                    {"account": "2100", "credit": 1}]}, "type = 'Nothing'"),
    ],
)  # fmt: skip
def test_what_workday_does_not_take_is_refused_in_its_words(
    tenant: Workday, workday: WorkdayConnector, changes: dict[str, Any], said: str
) -> None:
    before = tenant.rows("SELECT count(*) FROM journals")
    with pytest.raises(DataError, match=said):
        workday.submit_journal({**JOURNAL, **changes})
    assert tenant.rows("SELECT count(*) FROM journals") == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": [{"account": "6120", "debit": "0.1"}, {"account": "2100", "credit": 0.2}]},
         "do not balance"),
        ({"lines": [{"account": "6120", "debit": 1, "credit": 1}] * 2}, "one of them"),
        ({"lines": [{"account": "6120", "debit": -1}, {"account": "2100", "credit": -1}]},
         "greater than 0"),
        ({"lines": [{"account": "6120", "debit": "0.0001"}, {"account": "1", "credit": "0.0001"}]},
         "decimal"),
        ({"lines": [{"account": "6120", "debit": "NaN"}, {"account": "1", "credit": "NaN"}]},
         "debit"),
        ({"lines": []}, "lines"),
        ({"memmo": "x"}, "did you mean 'memo'"),
        ({"memo": "bell \x07"}, "U\\+0007"),
    ],
)  # fmt: skip
def test_a_wrong_journal_is_refused_before_anything_is_sent(
    changes: dict[str, Any], said: str
) -> None:
    with WebServer(timestamp) as server:
        workday = against(server)
        workday.connect()
        sent = len(server.seen)
        with pytest.raises(DataError, match=said):
            workday.submit_journal({**JOURNAL, **changes})
        assert len(server.seen) == sent
        workday.close()


def test_hostile_text_stays_text(tenant: Workday, workday: WorkdayConnector) -> None:
    workday.submit_journal({**JOURNAL, "memo": HOSTILE}, key="GL-J4")
    assert tenant.rows("SELECT memo, status FROM journals WHERE id = 'GL-J4'") == [
        (HOSTILE, "IN_PROGRESS")
    ]


def test_a_rehearsal_shows_the_document_without_credentials(workday: WorkdayConnector) -> None:
    text = workday.rehearse(Action(key="GL-J5", name="submit_journal", fields=JOURNAL))
    assert "GL-J5" in text
    assert "CC-BOILERS" in text
    assert PASSWORD not in text
    assert workday.find_journal("GL-J5") is None


# ---- the peer itself --------------------------------------------------------------------------


def test_a_client_of_others_reads_its_description_and_its_answers(tenant: Workday) -> None:
    def call(service: str, *calls: Any, password: str = PASSWORD) -> Any:
        task = {
            "wsdl": f"{tenant.url}/ccx/service/acme/{service}/v43.0?wsdl",
            "user": f"{USER}@acme", "password": password, "calls": calls,
        }  # fmt: skip
        return vendors.run("zeep_client.py", json.dumps(task))

    people, refused = call(
        "Human_Resources",
        ["Get_Workers", {"Response_Filter": {"Page": 2, "Count": 200}}],
        ["Get_Workers", {"Request_Criteria": {"Organization_Reference": [
            {"ID": [{"_value_1": "NOBODY", "type": "Organization_Reference_ID"}]}]}}],
    )  # fmt: skip
    assert len(people["Response_Data"]["Worker"]) == 50
    assert "is not a valid ID value" in refused["fault"]
    with connected(tenant) as workday:
        workday.submit_journal(JOURNAL, key="GL-Z1")
    key = {"ID": [{"_value_1": "GL-Z1", "type": "Accounting_Journal_ID"}]}
    journals, centers = call(
        "Financial_Management",
        ["Get_Journals", {"Request_References": {"JournalEntryReference": [key]}}],
        ["Get_Cost_Centers", {}],
    )
    (entry,) = journals["Response_Data"]["Journal_Entry"]
    assert entry["Journal_Entry_Data"][0]["Journal_Number"].startswith("JE-")
    assert len(centers["Response_Data"]["Cost_Center"]) == 2
    (nobody,) = call("Human_Resources", ["Server_Timestamp_Get", {}], password="wrong")
    assert nobody == {"fault": "invalid username or password"}
