"""Workday: who is on the crew, which cost centres there are, journals posted once.

from gl002.integrations.enterprise import WorkdayConnector

workday = WorkdayConnector({"url": "https://wd2-impl-services1.workday.com", "tenant": "acme",
"username": "ISU_GL002", "password": "..."})
crew = workday.workers(organization="BOILER_HOUSE_A")
journal = workday.submit_journal({"company": "ACME_US", "memo": "Soot blowing, boiler 1",
"lines": [{"account": "6120", "debit": 480, "cost_center": "CC-BOILERS"},
{"account": "2100", "credit": 480}]})
print(journal.id)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import msgspec

from gl002.action import Action, ActionForm, Receipt
from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import AuthFailed, Busy, DataError, RequestFailed
from gl002.pool import ConnectionPool
from gl002.transport.http.answer import Unreadable
from gl002.transport.http.client import Request
from gl002.transport.workday import journal, reading
from gl002.transport.workday.journal import Journal, JournalForm
from gl002.transport.workday.reading import CostCenter, Worker
from gl002.transport.workday.reports import Reports
from gl002.transport.workday.session import FINANCE, HR, MOST_PAGES, NoSuchJournal
from gl002.transport.workday.settings import WorkdayConfig

_JOURNAL = "submit_journal"
_REST_PAGE = 100  # the most that its resources give at once
_PAGING = {"limit", "offset"}
_MOST_READINGS = 3  # of a collection that changes while it is read


class _Resources(msgspec.Struct):
    data: list[dict[str, Any]]
    total: int


class AsyncWorkdayConnector(Reports):
    """One tenant, for code that awaits."""

    kind = "workday"
    can = Capability.ACT
    Config = WorkdayConfig
    actions: ClassVar[Mapping[str, type[ActionForm]]] = {_JOURNAL: JournalForm}

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'workday://host/tenant'."""
        parts = urlsplit(url)
        return {"url": f"https://{parts.netloc}", "tenant": parts.path.strip("/")}

    # ---- what people read -------------------------------------------------------------------

    async def workers(self, organization: str = "") -> Sequence[Worker]:
        """Those who work here now.

        Args:
            organization: Organization_Reference_ID of a crew, with what is below it; '' for all.

        Raises:
            DataError: there is no such organization.
        """
        ask = partial(reading.workers_request, self.config, organization=organization)
        return await self._pages(HR, ask, reading.workers_of, what="workers")

    async def cost_centers(self) -> Sequence[CostCenter]:
        """All cost centres."""
        ask = partial(reading.cost_centers_request, self.config)
        return await self._pages(FINANCE, ask, reading.cost_centers_of, what="cost centers")

    async def resources(
        self, service: str, collection: str, /, **query: str
    ) -> Sequence[Mapping[str, Any]]:
        """All members of a collection of the REST services, whatever number of pages.

        Args:
            service: name and version, 'staffing/v6', 'common/v1'.
            collection: 'workers', 'workers/<id>/timeOffDetails'.
            query: what narrows it.

        Raises:
            AuthFailed: REST takes an API client, and a user is configured.
            Busy: members came or went each time while it was read.
        """
        if self._tokens is None:
            raise AuthFailed(
                "REST of Workday takes an access token, not a user and a password",
                hint="configure client_id, client_secret and refresh_token",
            )
        if _PAGING & query.keys():
            raise DataError(f"{collection}: 'limit' and 'offset' are ours", hint="leave them out")
        parts = "/".join(quote(part, safe="") for part in collection.strip("/").split("/"))
        path = f"ccx/api/{quote(service.strip('/'))}/{self.config.tenant}/{parts}"
        for _ in range(_MOST_READINGS):
            members = await self._members(path, query, collection)
            if members is not None:
                return members
        raise Busy(f"{collection}: the collection has changed each time while it was read")

    async def _members(
        self, path: str, query: Mapping[str, str], what: str
    ) -> list[Mapping[str, Any]] | None:
        """All members once; None where their number has changed meanwhile."""
        members: dict[str, Mapping[str, Any]] = {}
        met, total = 0, 0
        for number in range(MOST_PAGES):
            window = [("limit", str(_REST_PAGE)), ("offset", str(met))]
            request = Request(
                "GET", path, [*query.items(), *window], {"Accept": "application/json"}
            )
            answer = await self._ask(request, what=what)
            here: _Resources = answer.json(_Resources)
            if number and here.total != total:
                return None
            total = here.total
            for place, member in enumerate(here.data, met):
                members[str(member.get("id") or f"at {place}")] = member
            met += len(here.data)
            if met >= total:
                return list(members.values())
            if not here.data:
                return None  # they were promised, and are not there
        raise RequestFailed(f"{what}: more than {MOST_PAGES} pages")

    # ---- journals ---------------------------------------------------------------------------

    async def submit_journal(
        self, entry: Mapping[str, Any] | JournalForm, *, key: str = ""
    ) -> Journal:
        """Post a journal. Never repeated by itself.

        Args:
            entry: memo, lines, and what else `JournalForm` has.
            key: becomes its Accounting_Journal_ID, so that Workday refuses a second one.

        Raises:
            DataError: a field is wrong, the lines do not balance, or Workday refuses it.
        """
        form = entry if isinstance(entry, JournalForm) else JournalForm.filled(entry, _JOURNAL)
        message = self._message(FINANCE, journal.submission(form, key, self.config))
        response = await self._operation(message, what=_JOURNAL, repeatable=False)
        return journal.submitted(response, key)

    async def find_journal(self, key: str) -> Journal | None:
        """The journal with this Accounting_Journal_ID; None where there is none."""
        message = self._message(FINANCE, journal.question(key, self.config))
        try:
            response = await self._operation(message, what=f"find {key}", repeatable=True)
        except NoSuchJournal:
            return None
        return journal.found(response, key)

    # ---- what the outbox asks ---------------------------------------------------------------

    async def rehearse(self, action: Action) -> str:
        """What would be sent, without credentials; nothing is."""
        body = journal.submission(_form(action), action.key, self.config)
        ET.indent(body)
        return ET.tostring(body, encoding="unicode")

    async def find(self, action: Action) -> Receipt | None:
        """What an earlier try made."""
        there = await self.find_journal(action.key)
        return None if there is None else _receipt(there, already=True)

    async def perform(self, action: Action) -> Receipt:
        """Do it once; after an answer that says nothing the outbox looks for it first."""
        try:
            return _receipt(await self.submit_journal(_form(action), key=action.key))
        except Unreadable as error:
            raise Busy(f"{error.args[0]}: it may have been done") from error
        except DataError:
            # An earlier try may have arrived after it was looked for: then it is that one.
            there = await self.find(action)
            if there is None:
                raise
            return there


def _form(action: Action) -> JournalForm:
    if action.name != _JOURNAL:
        raise DataError(f"Workday has no action '{action.name}'", hint=_JOURNAL)
    return JournalForm.filled(action.fields, action.name)


def _receipt(there: Journal, *, already: bool = False) -> Receipt:
    number = f" number {there.number}" if there.number else ""
    status = f", {there.status}" if there.status else ""
    return Receipt(number=there.id, detail=f"journal{number}{status}", already=already)


class WorkdayConnector(Blocking[AsyncWorkdayConnector]):
    """A Workday tenant for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: WorkdayConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncWorkdayConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncWorkdayConnector.connect)
    close = blocking(AsyncWorkdayConnector.close)
    check = blocking(AsyncWorkdayConnector.check)
    set_timeout = plain(AsyncWorkdayConnector.set_timeout)
    try_at_once = plain(AsyncWorkdayConnector.try_at_once)
    workers = blocking(AsyncWorkdayConnector.workers)
    cost_centers = blocking(AsyncWorkdayConnector.cost_centers)
    report = blocking(AsyncWorkdayConnector.report)
    report_pieces = iterating(AsyncWorkdayConnector.report_pieces)
    resources = blocking(AsyncWorkdayConnector.resources)
    submit_journal = blocking(AsyncWorkdayConnector.submit_journal)
    find_journal = blocking(AsyncWorkdayConnector.find_journal)
    rehearse = blocking(AsyncWorkdayConnector.rehearse)
    find = blocking(AsyncWorkdayConnector.find)
    perform = blocking(AsyncWorkdayConnector.perform)
