"""A session with a Workday tenant: who we are there, and what its faults mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from gl002.context import Context
from gl002.errors import (
    AccessDenied,
    AuthFailed,
    Busy,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
    RequestTimeout,
)
from gl002.pool import ConnectionPool
from gl002.security.secrets import Redactor
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import basic
from gl002.transport.http.client import HTTPClient, Request, Taker
from gl002.transport.soap.connection import Message, SOAPConnection
from gl002.transport.workday import journal, oauth
from gl002.transport.workday.settings import WorkdayConfig
from gl002.wire import workday as wire
from gl002.wire.soap import Fault
from gl002.wire.ws_security import username_token
from gl002.wire.xml import Element, first, text_of

T = TypeVar("T")

HR, FINANCE = "Human_Resources", "Financial_Management"
MOST_PAGES = 1000
_MOST_READINGS = 3  # of a list that changes while it is read
_NO_SUCH_ID = f"not a valid ID value for type = '{journal.JOURNAL_ID}'"
_MAY_NOT = "is not authorized"  # "The task submitted is not authorized."
_LONGEST = 1000  # characters of a fault that a message quotes
_SHARE = "share it with that user, and give its security group the domains of what is in it"


class NoSuchJournal(DataError):
    """The ID that was asked for is that of no journal."""


class WorkdaySession(SOAPConnection[WorkdayConfig]):
    """One tenant: messages with a password in them, or requests with a token that is renewed."""

    kind = "workday"
    Config = WorkdayConfig

    def __init__(
        self,
        config: WorkdayConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._tokens = oauth.Tokens() if self.config.client_id else None
        self._renewing = asyncio.Lock()
        self._report_limit = self.config.report_timeout

    def set_timeout(self, milliseconds: float) -> None:
        """Limit every further request, a report included, to this many milliseconds."""
        super().set_timeout(milliseconds)
        self._report_limit = self.timeout

    async def _greet(self) -> None:
        if self._tokens is not None:
            self._tokens.forget(self._tokens.current)
        await self._time()

    async def _ping(self) -> str:
        return f"Workday tenant {self.config.tenant}, {self.config.version}, {await self._time()}"

    async def _time(self) -> str:
        body = wire.request("Server_Timestamp_Get", self.config.version)
        answer = await self._post(self._message(HR, body), what="connect")
        return text_of(first(answer, "Server_Timestamp_Data"))

    def _message(self, service: str, body: Element) -> Message:
        c = self.config
        password = c.password
        headers = [] if password is None else [username_token(c.user, password.reveal())]
        path = f"ccx/service/{c.tenant}/{service}/{c.version}"
        return Message(path=path, body=body, headers=headers)

    def _basic(self) -> dict[str, str]:
        c = self.config
        return {} if c.password is None else {"Authorization": basic(c.user, c.password)}

    # ---- the token --------------------------------------------------------------------------

    async def _exchange(
        self,
        request: Request,
        client: HTTPClient | None = None,
        *,
        taker: Taker | None = None,
        limit: float | None = None,
    ) -> Answer:
        """One attempt; a token that is no longer taken is renewed, and then it is a second one.

        A request that was refused for its token was not done, whatever it asks for. Each request
        carries the token that it was given, so that another one's renewal takes it from nobody.
        """
        send = partial(super()._exchange, client=client, taker=taker, limit=limit)
        tokens = self._tokens
        if tokens is None:
            return await send(request)
        token = await self._token(tokens)
        answer = await send(token.on(request))
        if oauth.is_over(answer):
            tokens.forget(token)
            token = await self._token(tokens)
            answer = await send(token.on(request))
        return answer

    async def _token(self, tokens: oauth.Tokens) -> oauth.Token:
        async with self._renewing:
            if tokens.current is None:
                try:
                    answer = await super()._exchange(oauth.refresh(self.config))
                except TimeoutError:  # of the refresh, and not of what it is for
                    raise RequestTimeout(
                        f"{self.config.endpoint}: no access token within {self.timeout:g} s"
                    ) from None
                if not answer.ok:
                    raise oauth.refused(answer, str(self.config.endpoint))
                tokens.keep(answer)
            assert tokens.current is not None
            return tokens.current

    # ---- refusals ---------------------------------------------------------------------------

    async def _send(self, request: Request, *, what: str) -> Answer:
        """One attempt within a `_call`; a refusal is an error, as `_not_for_us` tells it."""
        answer = await self._exchange(request)
        if not answer.ok:
            raise await self._not_for_us(answer, f"{what}: {self.config.endpoint}")
        return answer

    async def _not_for_us(self, answer: Answer, where: str) -> GL002Error:
        """The error of a report or resource that was refused; the session that all share stands.

        A report that is not shared with us may be answered with 401, as a password that is no
        longer taken is. So Workday is asked what it thinks of us otherwise.

        Raises:
            AuthFailed: it is we who are refused, whatever we ask for.
            ConnectFailed: there was no answer to that.
        """
        if answer.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self._refusal(answer, where)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            try:
                await self._time()
            except TimeoutError:  # of this, and not of what was refused
                raise RequestTimeout(f"{where}: no answer within {self.timeout:g} s") from None
        said = refusal(answer, where).args[0]
        return RequestFailed(f"{said}", hint=_SHARE)

    # ---- faults -----------------------------------------------------------------------------

    def _fault(self, fault: Fault, what: str) -> GL002Error:
        said = wire.complaints(fault.detail)
        words = "; ".join(said) or " ".join(fault.reason.split()) or fault.code
        text = Redactor.redact(words)
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        message = f"{what}: {shown}"
        if "authenticationError" in fault.subcodes or "invalid username or password" in text:
            ours = self.config.password is not None  # and not a token: that locks no account
            kind = PasswordRefused if ours else AuthFailed
            return kind(message, hint="check user, password and tenant")
        if _MAY_NOT in text:
            return AccessDenied(message, hint="give its security group the domain of the set-up")
        if _NO_SUCH_ID in text:
            return NoSuchJournal(message)
        if "validationError" in fault.subcodes:
            return DataError(f"{what}: Workday refuses it: {shown}")
        return RequestFailed(message) if fault.ours else Busy(message)

    # ---- pages ------------------------------------------------------------------------------

    async def _pages(
        self,
        service: str,
        ask: Callable[[int, wire.Moment], Element],
        read: Callable[[Element], Sequence[T]],
        *,
        what: str,
    ) -> list[T]:
        """All pages of one state of a list, each item once.

        The further pages are asked for as of the moment that the first one was of. Where the
        number of results changes all the same, the list is read again.

        Raises:
            Busy: it has changed each time.
        """
        for _ in range(_MOST_READINGS):
            found = await self._read_through(service, ask, read, what=what)
            if found is not None:
                return found
        raise Busy(f"{what}: the list has changed each time while it was read")

    async def _read_through(
        self,
        service: str,
        ask: Callable[[int, wire.Moment], Element],
        read: Callable[[Element], Sequence[T]],
        *,
        what: str,
    ) -> list[T] | None:
        """All pages once; None where the list has changed meanwhile."""
        moment, total = wire.Moment(), ""
        found: dict[T, None] = {}
        for number in range(1, MOST_PAGES + 1):
            message = self._message(service, ask(number, moment))
            response = await self._operation(message, what=what, repeatable=True)
            if number == 1:
                moment, total = wire.moment(response), wire.total(response)
            elif wire.total(response) != total:
                return None
            found.update(dict.fromkeys(read(response)))
            if number >= wire.pages(response):
                return list(found)
        raise RequestFailed(f"{what}: more than {MOST_PAGES} pages", hint="raise 'page_size'")
