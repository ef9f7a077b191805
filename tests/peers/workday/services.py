"""The operations of a tenant, as the published directory describes them, on SQLite.

What is checked of a journal is a part of what Workday checks; its messages are ours but for those
of an ID that is not valid, of a log-in, and of a task that is not authorized, which are known.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

XSD = Path(__file__).with_name("workday.xsd")
VERSION = "v43.0"
WD = "urn:com.workday/bsvc"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_WSSE = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
)  # fmt: skip
OPERATIONS = {
    "Human_Resources": {
        "Server_Timestamp_Get": ("Server_Timestamp_Get", "Server_Timestamp"),
        "Get_Workers": ("Get_Workers_Request", "Get_Workers_Response"),
    },
    "Financial_Management": {
        "Get_Cost_Centers": ("Get_Cost_Centers_Request", "Get_Cost_Centers_Response"),
        "Submit_Accounting_Journal": (
            "Submit_Accounting_Journal_Request", "Submit_Accounting_Journal_Response",
        ),
        "Get_Journals": ("Get_Journals_Request", "Get_Journals_Response"),
    },
}  # fmt: skip
_IDS = {
    "Company_Reference_ID": {"ACME_US"}, "Currency_ID": {"USD", "EUR"},
    "Ledger_Type_ID": {"Actuals"}, "Journal_Source_ID": {"GL002"},
    "Ledger_Account_ID": {"6120", "6130", "2100"},
    "Cost_Center_Reference_ID": {"CC-BOILERS", "CC-OLD"}, "Spend_Category_ID": {"FUEL"},
    "Organization_Reference_ID": {"BOILER_HOUSE", "BOILER_HOUSE_A", "OFFICE"},
}  # fmt: skip
_ABOVE = {"BOILER_HOUSE_A": "BOILER_HOUSE"}
_CLOSED = date(2024, 1, 1)
_SCHEMA = """
CREATE TABLE journals (id TEXT PRIMARY KEY, wid, number INTEGER, status, memo, day, company);
CREATE TABLE lines (journal, place, account, debit, credit, memo, tags);
"""
Element = Any


class Fault(Exception):
    """What goes back instead of an answer."""

    def __init__(self, code: str, text: str, xpath: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.xpath = code, text, xpath

    def element(self) -> Element:
        fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"SOAP-ENV": SOAP, "wd": WD})
        etree.SubElement(fault, "faultcode").text = f"SOAP-ENV:{self.code}"
        invalid = self.code == "Client.validationError"
        before = "Validation error occurred. " if invalid else ""
        etree.SubElement(fault, "faultstring").text = before + self.text
        if self.code == "Client.authenticationError":
            return fault
        detail = etree.SubElement(fault, "detail")
        if not invalid:
            _add(_add(detail, "Processing_Fault"), "Detail_Message", self.text)
            return fault
        error = _add(_add(detail, "Validation_Fault"), "Validation_Error")
        _add(error, "Message", self.text)
        _add(error, "Detail_Message", self.text)
        if self.xpath:
            _add(error, "Xpath", self.xpath)
        return fault


def _invalid(text: str, xpath: str = "") -> Fault:
    return Fault("Client.validationError", text, xpath)


def opened(message: bytes) -> tuple[tuple[str, str], Element]:
    """User and password of an envelope's header, and what is in its body."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(message, parser)
    except etree.XMLSyntaxError as error:
        raise Fault("Client.invalidXML", str(error)) from None
    body = root.find(f"{{{SOAP}}}Body")
    if root.tag != f"{{{SOAP}}}Envelope" or body is None or len(body) != 1:
        raise Fault("Client.invalidRequest", "a SOAP 1.1 envelope with one element is expected")
    token = f"{{{SOAP}}}Header/{{{_WSSE}}}Security/{{{_WSSE}}}UsernameToken/{{{_WSSE}}}"
    user, password = root.findtext(f"{token}Username"), root.findtext(f"{token}Password")
    return (user or "", password or ""), body[0]


def envelope(content: Element) -> str:
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"env": SOAP})
    etree.SubElement(root, f"{{{SOAP}}}Body").append(content)
    return etree.tostring(root, encoding="unicode")


def _add(parent: Element, local: str, text: object = None) -> Element:
    made = etree.SubElement(parent, f"{{{WD}}}{local}")
    made.text = None if text is None else str(text)
    return made


def _refer(parent: Element, local: str, **ids: object) -> None:
    reference = _add(parent, local)
    for type_, value in ids.items():
        _add(reference, "ID", value).set(f"{{{WD}}}type", type_)


def _text(parent: Element, path: str) -> str:
    return parent.findtext("/".join(f"{{{WD}}}{p}" for p in path.split("/"))) or ""


class Tenant:
    """One tenant; `answer` may be called by several threads."""

    def __init__(self, file: Path) -> None:
        new = not file.exists()
        self._base = sqlite3.connect(
            file, timeout=30, check_same_thread=False, isolation_level=None
        )
        if new:
            self._base.executescript(_SCHEMA)
        self._turn = threading.Lock()
        self._schema = etree.XMLSchema(etree.parse(str(XSD)))
        self._run: dict[str, Callable[[Element, Element], None]] = {
            "Server_Timestamp_Get": self._timestamp,
            "Get_Workers_Request": self._workers,
            "Get_Cost_Centers_Request": self._cost_centers,
            "Submit_Accounting_Journal_Request": self._submit,
            "Get_Journals_Request": self._journals,
        }

    def answer(self, service: str, request: Element) -> Element:
        name = etree.QName(request).localname
        pairs = dict(OPERATIONS[service].values())
        if name not in pairs:
            raise Fault("Client.invalidRequest", f"{service} has no operation with {name}")
        if not self._schema.validate(request):
            error = self._schema.error_log[0]
            raise _invalid(error.message, error.path or "")
        made = etree.Element(f"{{{WD}}}{pairs[name]}", nsmap={"wd": WD})
        made.set(f"{{{WD}}}version", VERSION)
        with self._turn:
            self._run[name](request, made)
        self._schema.assertValid(made)
        return made

    # ---- reading ----------------------------------------------------------------------------

    def _timestamp(self, _: Element, answer: Element) -> None:
        _add(answer, "Server_Timestamp_Data", datetime.now(UTC).isoformat(timespec="milliseconds"))

    def _paged(self, request: Element, answer: Element, items: list[Any]) -> tuple[Any, list[Any]]:
        size = int(_text(request, "Response_Filter/Count") or 100)
        number = int(_text(request, "Response_Filter/Page") or 1)
        here = items[(number - 1) * size : number * size]
        self._told_when(request, answer, number, size)
        results = _add(answer, "Response_Results")
        _add(results, "Total_Results", len(items))
        _add(results, "Total_Pages", -(-len(items) // size))
        _add(results, "Page_Results", len(here))
        _add(results, "Page", number)
        return _add(answer, "Response_Data"), here

    def _told_when(self, request: Element, answer: Element, number: int, size: int) -> None:
        """As of when the answer is: as was asked, else now. Nothing is known of the future."""
        now = datetime.now(UTC)
        day = _text(request, "Response_Filter/As_Of_Effective_Date") or now.date().isoformat()
        moment = _text(request, "Response_Filter/As_Of_Entry_DateTime")
        if moment and datetime.fromisoformat(moment) > now:
            raise _invalid("As Of Entry DateTime cannot be in the future.")
        which = _add(answer, "Response_Filter")
        _add(which, "As_Of_Effective_Date", day)
        _add(which, "As_Of_Entry_DateTime", moment or now.isoformat(timespec="milliseconds"))
        _add(which, "Page", number)
        _add(which, "Count", size)

    def _workers(self, request: Element, answer: Element) -> None:
        wanted = _text(request, "Request_Criteria/Organization_Reference/ID")
        _check(request)
        people = [p for p in staff() if not wanted or wanted in p["organizations"]]
        data, here = self._paged(request, answer, people)
        for person in here:
            worker = _add(data, "Worker")
            _refer(worker, "Worker_Reference", WID=uuid.uuid5(uuid.NAMESPACE_OID, person["id"]).hex,
                   Employee_ID=person["id"])  # fmt: skip
            _add(worker, "Worker_Descriptor", person["name"])
            inner = _add(worker, "Worker_Data")
            _add(inner, "Worker_ID", person["id"])
            job = _add(inner, "Employment_Data")
            _add(_add(_add(job, "Worker_Job_Data"), "Position_Data"), "Business_Title", "Stoker")
            _add(_add(job, "Worker_Status_Data"), "Active", "1")
            belongs = _add(inner, "Organization_Data")
            for organization in person["organizations"]:
                _refer(_add(belongs, "Worker_Organization_Data"), "Organization_Reference",
                       Organization_Reference_ID=organization)  # fmt: skip

    def _cost_centers(self, request: Element, answer: Element) -> None:
        centers = [("CC-BOILERS", "Boiler house", "1"), ("CC-OLD", "Old boilers", "0")]
        data, here = self._paged(request, answer, centers)
        for id_, name, active in here:
            center = _add(data, "Cost_Center")
            _refer(center, "Cost_Center_Reference", Organization_Reference_ID=id_,
                   Cost_Center_Reference_ID=id_)  # fmt: skip
            inner = _add(_add(center, "Cost_Center_Data"), "Organization_Data")
            _add(inner, "ID", id_)
            _add(inner, "Organization_Name", name)
            _add(inner, "Organization_Active", active)

    def report(self, name: str, prompts: dict[str, str]) -> tuple[int, str]:
        """A report that is enabled as a web service, run with its prompts."""
        if name not in _REPORTS:
            return 404, '{"error": "no such report"}'
        wanted, rows = _REPORTS[name]
        for prompt in wanted:
            if prompt not in prompts:
                return 400, json.dumps({"error": f"The prompt {prompt} is required."})
            try:
                if prompt.endswith("Date"):
                    date.fromisoformat(prompts[prompt][:10])  # a zone may follow: -07:00
            except ValueError:
                return 400, json.dumps({"error": f"The prompt {prompt} is no date."})
        return 200, json.dumps({"Report_Entry": rows(prompts)})

    def workers_as_json(self, query: dict[str, str]) -> tuple[int, str]:
        limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
        if not 0 < limit <= 100:
            return 400, '{"error": "invalid request: limit"}'
        people = [{"id": p["id"], "descriptor": p["name"]} for p in staff()]
        here = people[offset : offset + limit]
        return 200, json.dumps({"data": here, "total": len(people)})

    # ---- journals ---------------------------------------------------------------------------

    def _submit(self, request: Element, answer: Element) -> None:
        _check(request)
        data = request.find(f"{{{WD}}}Accounting_Journal_Data")
        lines = data.findall(f"{{{WD}}}Journal_Entry_Line_Replacement_Data")
        sides = {side: [_text(e, f"{side}_Amount") for e in lines] for side in ("Debit", "Credit")}
        debit, credit = (sum(Decimal(a or 0) for a in side) for side in sides.values())
        if debit != credit or not lines:
            raise _invalid("Debits and credits must balance.")
        if date.fromisoformat(_text(data, "Accounting_Date")) < _CLOSED:
            raise _invalid("The ledger period is closed.", "/bsvc:Accounting_Date[1]")
        id_ = _text(data, "Accounting_Journal_ID") or f"ACCOUNTING_JOURNAL-{uuid.uuid4().hex[:8]}"
        there = self._base.execute("SELECT 1 FROM journals WHERE id = ?", (id_,)).fetchone()
        if there and request.get(f"{{{WD}}}Add_Only") in {"true", "1"}:
            raise _invalid(f"Add Only is set and the journal {id_} exists already.")
        wid = uuid.uuid4().hex
        (last,) = self._base.execute("SELECT MAX(number) FROM journals").fetchone()
        submitted = _text(data, "Submit") in {"true", "1"}
        row = (id_, wid, (last or 1000) + 1, "IN_PROGRESS" if submitted else "DRAFT",
               _text(data, "Journal_Entry_Memo"), _text(data, "Accounting_Date"),
               _text(data, "Company_Reference/ID"))  # fmt: skip
        self._base.execute("BEGIN")
        self._base.execute("INSERT OR REPLACE INTO journals VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for line in lines:
            tags = [
                _text(e, "ID") for e in line.findall(f"{{{WD}}}Worktags_Reference")
            ]  # fmt: skip
            self._base.execute(
                "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id_, _text(line, "Line_Order"), _text(line, "Ledger_Account_Reference/ID"),
                 _text(line, "Debit_Amount"), _text(line, "Credit_Amount"), _text(line, "Memo"),
                 ",".join(tags)),
            )  # fmt: skip
        self._base.execute("COMMIT")
        _refer(answer, "Accounting_Journal_Reference", WID=wid, Accounting_Journal_ID=id_)

    def _journals(self, request: Element, answer: Element) -> None:
        rows = []
        for wanted in request.iter(f"{{{WD}}}ID"):
            row = self._base.execute(
                "SELECT id, wid, number, status FROM journals WHERE id = ?", (wanted.text,)
            ).fetchone()
            if row is None:
                raise _not_valid(wanted)
            rows.append(row)
        data, here = self._paged(request, answer, rows)
        for id_, wid, number, status in here:
            entry = _add(data, "Journal_Entry")
            _refer(entry, "Journal_Entry_Reference", WID=wid, Accounting_Journal_ID=id_)
            inner = _add(entry, "Journal_Entry_Data")
            _add(inner, "Journal_Number", f"JE-{number}")
            _refer(inner, "Journal_Status_Reference", Journal_Entry_Status_ID=status)


def _crew(prompts: dict[str, str]) -> list[dict[str, Any]]:
    people = [p for p in staff() if "BOILER_HOUSE_A" in p["organizations"]]
    day = prompts.get("Shift_Date", "")
    return [{"Employee_ID": p["id"], "Shift_Date": day} for p in people]


def _shifts(prompts: dict[str, str]) -> list[dict[str, Any]]:
    """Three people on each day."""
    day, last = (date.fromisoformat(prompts[p][:10]) for p in ("From_Date", "To_Date"))
    rows = []
    while day <= last:
        rows += [{"Employee_ID": f"2100{n}", "Shift_Date": day.isoformat()} for n in (7, 8, 9)]
        day += timedelta(1)
    return rows


def _absences(prompts: dict[str, str]) -> list[dict[str, Any]]:
    """One of four weeks, which belongs to each day of them, and a day; no cell where nothing is."""
    first, last = prompts["From_Date"][:10], prompts["To_Date"][:10]
    known = [("A1", "2026-01-25", "2026-02-20"), ("A2", "2026-02-10", "2026-02-10")]
    return [{"Absence": i, "First": a, "Last": b} for i, a, b in known if a <= last and b >= first]


def _by_organization(prompts: dict[str, str]) -> list[dict[str, Any]]:
    wanted = prompts["Organization!Organization_Reference_ID"]
    return [{"Employee_ID": p["id"]} for p in staff() if wanted in p["organizations"]]


_REPORTS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, str]], list[dict[str, Any]]]]] = {
    "Crew_On_Shift": ((), _crew),
    "Shifts": (("From_Date", "To_Date"), _shifts),
    "Absences": (("From_Date", "To_Date"), _absences),
    "Crew": (("Organization!Organization_Reference_ID",), _by_organization),
}


def staff() -> list[dict[str, Any]]:
    """250 people; three of them on crew A, which is below the boiler house."""
    people = []
    for number in range(1, 251):
        crew = ["BOILER_HOUSE_A"] if number in {7, 8, 9} else ["OFFICE"]
        above = [_ABOVE[c] for c in crew if c in _ABOVE]
        people.append({"id": f"{21000 + number}", "name": f"Worker {number}",
                       "organizations": crew + above})  # fmt: skip
    return people


def _check(request: Element) -> None:
    """Every ID is of a known type, and one of it; an account counts within its set."""
    for id_ in request.iter(f"{{{WD}}}ID"):
        type_ = id_.get(f"{{{WD}}}type")
        if id_.text not in _IDS.get(type_, ()):
            raise _not_valid(id_)
        if type_ == "Ledger_Account_ID":
            within = id_.get(f"{{{WD}}}parent_type"), id_.get(f"{{{WD}}}parent_id")
            if within != ("Account_Set_ID", "Standard"):
                raise _not_valid(id_)


def _not_valid(id_: Element) -> Fault:
    type_ = id_.get(f"{{{WD}}}type")
    path = id_.getroottree().getelementpath(id_.getparent()).replace(f"{{{WD}}}", "bsvc:")
    return _invalid(
        f"Invalid ID value.  '{id_.text}' is not a valid ID value for type = '{type_}'",
        "/" + path.rpartition("Body/")[2],
    )
