"""Calling functions over SOAP: types from SAP's own description, one logical unit of work.

/sap/bc/soap/rfc forgets everything between two calls, so that BAPI_TRANSACTION_COMMIT commits
nothing there (and says that it did). So a call that is to be committed first asks for a session,
and is not made where SAP gives none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from gl002.config.problems import near
from gl002.errors import DataError, GL002Error, RequestFailed, Unsupported
from gl002.transport.http.client import HTTPClient, Request
from gl002.transport.sap.session import Line
from gl002.transport.soap.connection import Message, Unreadable
from gl002.wire.rfc_types import Table, Type, abap_name, get, put, xml_name
from gl002.wire.rfc_wsdl import Interface, interface
from gl002.wire.xml import Element, child, local

NAMESPACE = "urn:sap-com:document:sap:rfc:functions"
COMMIT, ROLLBACK = "BAPI_TRANSACTION_COMMIT", "BAPI_TRANSACTION_ROLLBACK"
_SESSION = "http://www.sap.com/webas/630/soap/features/session/"
_COOKIE = "sap-contextid"
_LOG_OFF = "sap/public/bc/icf/logoff"
_NAME = re.compile(r"(?:/[A-Z0-9_]{1,10}/)?[A-Z][A-Z0-9_]{0,29}\Z")
_NOT_THERE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_UNKNOWN = "SE37 shows which functions there are; it must be remote-enabled"
_MOST_KNOWN = 500  # functions whose types are kept


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
            yield unit
            with suppress(GL002Error, TimeoutError):
                await self._line.exchange(Request("GET", _LOG_OFF), client)
        finally:
            await client.close()

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
            line.log.warning(
                "%s: SAP does not describe functions at /%s (%s): values are sent without types; "
                "activate it in SICF",
                line.name, line.config.soap.wsdl, answer.status,
            )  # fmt: skip
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

    async def open(self) -> None:
        """Ask for a session by a call that changes nothing in a new one."""
        request = self._message(ROLLBACK, ET.Element(f"{{{NAMESPACE}}}{ROLLBACK}")).request("1.1")
        answer = await self._line.exchange(request, self._client)
        where = f"open a session: {self._line.config.endpoint}"
        await self._line.content(answer, where)
        if _COOKIE not in answer.headers.get("set-cookie", ""):
            raise Unsupported(
                f"{where}: SAP keeps no session at /{self._line.config.soap.path}, so that a "
                "commit would commit nothing; nothing was called",
                hint="set soap.path to a stateful service of SOAMANAGER with this function and "
                f"{COMMIT} and {ROLLBACK}, or use the OData service, or functions: nwrfc",
            )

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        types = await self._functions.interface(function)
        body = _request(function, parameters, types)
        answer = await self._line.post(
            self._message(function, body), what=f"call {function}", client=self._client
        )
        return _response(function, answer, types)

    def _message(self, function: str, body: Element) -> Message:
        headers = []
        if self._client is not None:
            headers = [ET.Element(f"{{{_SESSION}}}Session")]
            child(headers[0], "enableSession", "true")
        return Message(
            path=self._line.config.soap.path, body=body, action=NAMESPACE, headers=headers,
            query=self._line.config.query,
        )  # fmt: skip


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
