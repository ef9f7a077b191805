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

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import msgspec

from gl002.action import Action, ActionForm, Receipt
from gl002.bridge import Blocking, blocking, plain
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import AuthFailed, Busy, DataError, GL002Error, RequestFailed
from gl002.pool import ConnectionPool
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.auth import Anonymous, Auth, basic
from gl002.transport.http.client import HTTPClient, Request
from gl002.transport.soap.connection import Message, SOAPConnection
from gl002.transport.workday import journal, oauth, reading
from gl002.transport.workday.journal import Journal, JournalForm
from gl002.transport.workday.reading import CostCenter, Worker
from gl002.transport.workday.settings import WorkdayConfig
from gl002.wire import workday as wire
from gl002.wire.soap import Fault
from gl002.wire.ws_security import username_token
from gl002.wire.xml import Element, first, text_of

T = TypeVar("T")

_JOURNAL = "submit_journal"
_HR, _FINANCE = "Human_Resources", "Financial_Management"
_MOST_PAGES = 1000
_REST_PAGE = 100  # the most that its resources give at once
_NO_SUCH_ID = f"not a valid ID value for type = '{journal.JOURNAL_ID}'"
_MAY_NOT = "is not authorized"  # "The task submitted is not authorized."


class _Report(msgspec.Struct):
    entries: list[dict[str, Any]] = msgspec.field(name="Report_Entry", default_factory=list)


class _Resources(msgspec.Struct):
    data: list[dict[str, Any]]
    total: int


class _NoSuchJournal(DataError):
    """The ID that was asked for is that of no journal."""


class AsyncWorkdayConnector(SOAPConnection[WorkdayConfig]):
    """One tenant, for code that awaits."""

    kind = "workday"
    can = Capability.ACT
    Config = WorkdayConfig
    actions: ClassVar[Mapping[str, type[ActionForm]]] = {_JOURNAL: JournalForm}

    def __init__(
        self,
        config: WorkdayConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._token = oauth.AccessToken() if self.config.client_id else None
        self._renewing = asyncio.Lock()

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'workday://host/tenant'."""
        parts = urlsplit(url)
        return {"url": f"https://{parts.netloc}", "tenant": parts.path.strip("/")}

    # ---- a session --------------------------------------------------------------------------

    def _auth(self) -> Auth:
        return self._token or Anonymous()

    async def _greet(self) -> None:
        if self._token is not None:
            self._token.forget()
        await self._time()

    async def _ping(self) -> str:
        return f"Workday tenant {self.config.tenant}, {self.config.version}, {await self._time()}"

    async def _time(self) -> str:
        body = wire.request("Server_Timestamp_Get", self.config.version)
        answer = await self._post(self._message(_HR, body), what="connect")
        return text_of(first(answer, "Server_Timestamp_Data"))

    def _message(self, service: str, body: Element) -> Message:
        c = self.config
        password = c.password
        headers = [] if password is None else [username_token(c.user, password.reveal())]
        path = f"ccx/service/{c.tenant}/{service}/{c.version}"
        return Message(path=path, body=body, headers=headers)

    async def _exchange(self, request: Request, client: HTTPClient | None = None) -> Answer:
        """One attempt; a token that is no longer taken is renewed, and then it is a second one.

        A request that was refused for its token was not done, whatever it asks for.
        """
        token = self._token
        if token is None:
            return await super()._exchange(request, client)
        await self._renew(token)
        answer = await super()._exchange(request, client)
        if oauth.is_over(answer):
            token.forget()
            await self._renew(token)
            answer = await super()._exchange(request, client)
        return answer

    async def _renew(self, token: oauth.AccessToken) -> None:
        async with self._renewing:
            if not token.is_there:
                answer = await super()._exchange(oauth.refresh(self.config))
                if not answer.ok:
                    raise oauth.refused(answer, str(self.config.endpoint))
                token.keep(answer)

    def _fault(self, fault: Fault, what: str) -> GL002Error:
        said = wire.complaints(fault.detail)
        text = "; ".join(said) or " ".join(fault.reason.split()) or fault.code
        if "authenticationError" in fault.subcodes or "invalid username or password" in text:
            return AuthFailed(f"{what}: {text}", hint="check user, password and tenant")
        if _MAY_NOT in text:
            return AuthFailed(
                f"{what}: {text}", hint="give its security group the domain of the set-up"
            )
        if _NO_SUCH_ID in text:
            return _NoSuchJournal(f"{what}: {text}")
        if "validationError" in fault.subcodes:
            return DataError(f"{what}: Workday refuses it: {text}")
        return RequestFailed(f"{what}: {text}") if fault.ours else Busy(f"{what}: {text}")

    # ---- what people read -------------------------------------------------------------------

    async def workers(self, organization: str = "") -> Sequence[Worker]:
        """Those who work here now.

        Args:
            organization: Organization_Reference_ID of a crew, with what is below it; '' for all.

        Raises:
            DataError: there is no such organization.
        """
        return await self._pages(
            _HR,
            lambda number: reading.workers_request(self.config, number, organization),
            reading.workers_of,
            what="workers",
        )

    async def cost_centers(self) -> Sequence[CostCenter]:
        """All cost centres."""
        return await self._pages(
            _FINANCE,
            lambda number: reading.cost_centers_request(self.config, number),
            reading.cost_centers_of,
            what="cost centers",
        )

    async def _pages(
        self,
        service: str,
        ask: Callable[[int], Element],
        read: Callable[[Element], list[T]],
        *,
        what: str,
    ) -> list[T]:
        found: list[T] = []
        for number in range(1, _MOST_PAGES + 1):
            message = self._message(service, ask(number))
            response = await self._operation(message, what=what, repeatable=True)
            here = read(response)
            found += here
            if number >= wire.pages(response) or not here:
                return found
        raise RequestFailed(f"{what}: more than {_MOST_PAGES} pages", hint="raise 'page_size'")

    async def report(self, path: str, /, **prompts: str) -> Sequence[Mapping[str, Any]]:
        """The rows of a report that is enabled as a web service: those on shift, say.

        Args:
            path: owner and name, as in the report's address: 'ISU_GL002/Crew_On_Shift'.
            prompts: its parameters, by their aliases.

        Raises:
            RequestFailed: there is no such report, or it is not shared with us.
        """
        owner, slash, title = path.strip("/").partition("/")
        if not slash or not owner or not title:
            raise DataError(f"'{path}' is no report", hint="write 'owner/name'")
        request = Request(
            "GET",
            f"ccx/service/customreport2/{self.config.tenant}/{quote(owner, safe='')}/"
            f"{quote(title, safe='')}",
            [*prompts.items(), ("format", "json")],
            self._basic(),
        )
        answer = await self._ask(request, what=f"report {path}")
        rows: _Report = answer.json(_Report)
        return rows.entries

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
        """
        if self._token is None:
            raise AuthFailed(
                "REST of Workday takes an access token, not a user and a password",
                hint="configure client_id, client_secret and refresh_token",
            )
        parts = "/".join(quote(part, safe="") for part in collection.strip("/").split("/"))
        path = f"ccx/api/{quote(service.strip('/'))}/{self.config.tenant}/{parts}"
        members: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            window = [("limit", str(_REST_PAGE)), ("offset", str(len(members)))]
            request = Request(
                "GET", path, [*query.items(), *window], {"Accept": "application/json"}
            )
            answer = await self._ask(request, what=collection)
            here: _Resources = answer.json(_Resources)
            members += here.data
            if len(members) >= here.total or not here.data:
                return members
        raise RequestFailed(f"{collection}: more than {_MOST_PAGES} pages")

    def _basic(self) -> dict[str, str]:
        c = self.config
        return {} if c.password is None else {"Authorization": basic(c.user, c.password)}

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
        message = self._message(_FINANCE, journal.submission(form, key, self.config))
        response = await self._operation(message, what=_JOURNAL, repeatable=False)
        return journal.submitted(response, key)

    async def find_journal(self, key: str) -> Journal | None:
        """The journal with this Accounting_Journal_ID; None where there is none."""
        message = self._message(_FINANCE, journal.question(key, self.config))
        try:
            response = await self._operation(message, what=f"find {key}", repeatable=True)
        except _NoSuchJournal:
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
    resources = blocking(AsyncWorkdayConnector.resources)
    submit_journal = blocking(AsyncWorkdayConnector.submit_journal)
    find_journal = blocking(AsyncWorkdayConnector.find_journal)
    rehearse = blocking(AsyncWorkdayConnector.rehearse)
    find = blocking(AsyncWorkdayConnector.find)
    perform = blocking(AsyncWorkdayConnector.perform)
