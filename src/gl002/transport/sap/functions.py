"""Calling functions over SOAP: types from SAP's own description, one logical unit of work.

/sap/bc/soap/rfc forgets everything between two calls, so that BAPI_TRANSACTION_COMMIT commits
nothing there (and says that it did). So a call that is to be committed first asks for a session,
and is not made where SAP gives none.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from itertools import islice
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from gl002.config.problems import near
from gl002.errors import Busy, DataError, GL002Error, RequestFailed, Unsupported
from gl002.transport.aside import LARGE, aside
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.client import HTTPClient, Request
from gl002.transport.sap.session import Line
from gl002.transport.soap.connection import Message
from gl002.wire.rfc_types import Table, Type, abap_name, get, put, xml_name
from gl002.wire.rfc_wsdl import Interface, interface
from gl002.wire.xml import Element, child, local

NAMESPACE = "urn:sap-com:document:sap:rfc:functions"
COMMIT, ROLLBACK = "BAPI_TRANSACTION_COMMIT", "BAPI_TRANSACTION_ROLLBACK"
_SESSION = "http://www.sap.com/webas/630/soap/features/session/"
_COOKIE = re.compile(r"sap-contextid=([^;,\s]*)")
_LOG_OFF = "sap/public/bc/icf/logoff"
_NAME = re.compile(r"(?:/[A-Z0-9_]{1,10}/)?[A-Z][A-Z0-9_]{0,29}\Z")
_NOT_THERE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_UNKNOWN = "SE37 shows which functions there are; it must be remote-enabled"
_MOST_KNOWN = 500  # functions whose types are kept
_GOODBYE = 1.0  # seconds that the end of a session may take
_ELEMENT = 32  # bytes of one in XML, or more


class Unit(Protocol):
    """Calls of one logical unit of work."""

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function; names and values as `SAPConnector.call_function`."""
        ...


def checked_name(function: str) -> str:
    """The name of a function in capitals.

    Raises:
        DataError: it is none.
    """
    name = function.upper()
    if _NAME.match(name) is None:
        raise DataError(f"{function!r} is no name of a function", hint="such as BAPI_USER_GETLIST")
    return name


class SoapFunctions:
    """Functions of one system, over SOAP. Within a `_call` of the session.

    Args:
        line: of the session.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: dict[str, Interface] = {}
        self._described = bool(line.config.soap.wsdl)
        self._told = False

    def forget(self) -> None:
        """The session is a new one: functions may have changed, and be described by now."""
        self._known.clear()
        self._described = bool(self._line.config.soap.wsdl)

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function by itself.

        Raises:
            DataError: a parameter does not fit; nothing was sent.
            RequestFailed: SAP refused it.
        """
        return await _SoapUnit(self._line, self).call(function, parameters)

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """A session of its own: what is called in it can be committed together.

        Raises:
            Unsupported: SAP gives us no session; nothing was called.
        """
        client = self._line.new_client()
        try:
            unit = _SoapUnit(self._line, self, client)
            await unit.open()
            try:
                yield unit
            except GL002Error:
                await self._log_off(client)  # SAP keeps a session's locks as long as the session
                raise
            await self._log_off(client)
        finally:
            await client.close()

    async def _log_off(self, client: HTTPClient) -> None:
        """End a session. What was committed in it stands, whatever becomes of this."""
        with suppress(GL002Error, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._line.exchange(Request("GET", _LOG_OFF), client)

    async def interface(self, function: str) -> Interface | None:
        """Types of a function's parameters; None where SAP does not describe functions.

        Raises:
            RequestFailed: there is no such function.
        """
        if not self._described:
            return None
        known = self._known.get(function)
        if known is not None:
            return known
        line = self._line
        query = [("services", function), *line.config.query]
        what = f"describe {function}: {line.config.endpoint}"
        answer = await line.exchange(Request("GET", line.config.soap.wsdl, query))
        if answer.status in _NOT_THERE:
            self._described = False
            line.log.log(
                logging.DEBUG if self._told else logging.WARNING,
                "%s: SAP does not describe functions at /%s (%s): values are sent without types; "
                "activate it in SICF",
                line.name, line.config.soap.wsdl, answer.status,
            )  # fmt: skip
            self._told = True
            return None
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise RequestFailed(f"{what}: {answer.status}: {answer.excerpt()}", hint=_UNKNOWN)
        if not answer.ok:
            raise line.refusal(answer, what)
        try:
            found = await asyncio.to_thread(interface, answer.body, function)  # it may be a MB
        except RequestFailed as error:
            raise RequestFailed(f"{what}: {error.args[0]}", hint=_UNKNOWN) from None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[function] = found
        return found


class _SoapUnit:
    """Calls that share an HTTP session, or a single call."""

    def __init__(
        self, line: Line, functions: SoapFunctions, client: HTTPClient | None = None
    ) -> None:
        self._line = line
        self._functions = functions
        self._client = client
        self._session = ""

    async def open(self) -> None:
        """Ask for a session by a call that changes nothing in a new one."""
        request = self._message(ET.Element(f"{{{NAMESPACE}}}{ROLLBACK}")).request("1.1")
        answer = await self._line.exchange(request, self._client)
        where = f"open a session: {self._line.config.endpoint}"
        await self._line.content(answer, where)
        self._session = _session_of(answer)
        if not self._session:
            raise Unsupported(
                f"{where}: SAP keeps no session at /{self._line.config.soap.path}, so that a "
                "commit would commit nothing; nothing was called",
                hint="set soap.path to a stateful service of SOAMANAGER with this function and "
                f"{COMMIT} and {ROLLBACK}, or use the OData service, or functions: nwrfc",
            )

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        types = await self._functions.interface(function)
        message, what = self._message(_request(function, parameters, types)), f"call {function}"
        if self._client is None:
            content = await self._line.post(message, what=what)
        else:
            content = await self._within(message, f"{what}: {self._line.config.endpoint}")
        return await aside(_bytes_of(content), _response, function, content, types)

    async def _within(self, message: Message, where: str) -> Element:
        """One call of the session that was opened.

        A session that SAP has ended meanwhile (a time-out, a restart) is replaced by a new one
        without a word: a commit in that one succeeds, and commits nothing.

        Raises:
            Busy: it has ended; nothing was committed.
        """
        answer = await self._line.exchange(message.request("1.1"), self._client)
        if _session_of(answer) not in {"", self._session} or _is_without_session(answer):
            raise Busy(f"{where}: SAP has ended the session meanwhile: nothing was committed")
        return await self._line.content(answer, where)

    def _message(self, body: Element) -> Message:
        headers = []
        if self._client is not None:
            headers = [ET.Element(f"{{{_SESSION}}}Session")]
            child(headers[0], "enableSession", "true")
        return Message(
            path=self._line.config.soap.path, body=body, action=NAMESPACE, headers=headers,
            query=self._line.config.query,
        )  # fmt: skip


def _session_of(answer: Answer) -> str:
    """The session that SAP gives us with an answer, '' where it gives none."""
    given = _COOKIE.search(answer.headers.get("set-cookie", ""))
    return given[1] if given is not None else ""


def _is_without_session(answer: Answer) -> bool:
    """Whether this is the page of the ICM for a session that it does not know any more."""
    page = not answer.content_type.endswith("xml") and "session" in answer.text()[:2000].lower()
    return answer.status == HTTPStatus.BAD_REQUEST and page


def _request(function: str, parameters: Mapping[str, Any], types: Interface | None) -> Element:
    body = ET.Element(f"{{{NAMESPACE}}}{xml_name(function)}")
    known: Mapping[str, Type | None]
    known = types.request if types is not None else dict.fromkeys(parameters)
    for name in parameters:
        if name not in known:
            raise DataError(
                f"{function} has no parameter '{name}'",
                hint=near(name, known) or f"its parameters: {', '.join(known)}",
            )
    for name, kind in known.items():
        value = parameters.get(name)
        if value is not None:
            put(body, name, value, kind, f"{function}: {name}")
        elif isinstance(kind, Table):  # SAP sends back only tables that were there
            put(body, name, [], kind, name)
    return body


def _bytes_of(content: Element) -> int:
    """About as many as it had in XML; counted no further than it takes to call it large."""
    elements = sum(1 for _ in islice(content.iter(), LARGE // _ELEMENT))
    return elements * _ELEMENT


def _response(function: str, answer: Element, types: Interface | None) -> dict[str, Any]:
    name = xml_name(function)
    if local(answer) not in {f"{name}.Response", f"{name}Response"}:
        raise Unreadable(f"call {function}: an answer that is <{local(answer)}>")
    kinds = types.response if types is not None else {}
    found = {abap_name(local(e)): e for e in answer}
    try:
        return {name: get(element, kinds.get(name)) for name, element in found.items()}
    except RequestFailed as error:
        raise Unreadable(f"call {function}: {error.args[0]}") from None
    except RecursionError:
        raise Unreadable(f"call {function}: an answer nested without end") from None
