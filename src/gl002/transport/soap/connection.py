"""What connectors that speak SOAP have in common: messages out, an element or an error back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gl002.errors import GL002Error, RequestFailed
from gl002.transport.aside import aside
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.client import Query, Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.settings import HTTPSettings
from gl002.wire.soap import Fault, Version, content_type, decode, encode
from gl002.wire.xml import Element

C = TypeVar("C", bound=HTTPSettings)

_WITH_A_FAULT = {400, 500}  # besides success (SOAP 1.1, 6.2; SOAP 1.2 part 2, table 20)
_LONGEST_REASON = 300  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request.

    Attributes:
        path: where to, below the base; as in `Request`.
        body: what the envelope holds.
        action: SOAPAction of SOAP 1.1, 'action' of SOAP 1.2; '' where the service wants none.
        headers: blocks of the envelope's header.
        query: of the address.
        http_headers: besides those of the session.
    """

    path: str
    body: Element
    action: str = ""
    headers: Sequence[Element] = ()
    query: Query = ()
    http_headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, version: Version) -> Request:
        """As HTTP (SOAP 1.1, 6; SOAP 1.2 part 2, 7).

        Raises:
            DataError: it holds something that XML does not have.
        """
        headers = {"Content-Type": content_type(version, self.action), "Accept": "text/xml, */*"}
        if version == "1.1":
            headers["SOAPAction"] = f'"{self.action}"'
        headers |= self.http_headers
        body = encode(self.body, self.headers, version)
        return Request("POST", self.path, self.query, headers, body)


class SOAPConnection(HTTPConnection[C]):
    """A connector over SOAP. Its verbs use `_operation`, or `_post` within a `_call` of their own.

    Authors override `_fault` where a fault of their system says more than its code.
    """

    soap_version: Version = "1.1"
    largest = 16 * 1024 * 1024

    def _fault(self, fault: Fault, what: str) -> GL002Error:
        """The error that a fault stands for.

        Args:
            fault: what came.
            what: the request and where it went, for the message.
        """
        reason = " ".join(fault.reason.split())[:_LONGEST_REASON]
        return RequestFailed(f"{what}: {reason or '.'.join((fault.code, *fault.subcodes))}")

    async def _operation(self, message: Message, *, what: str, repeatable: bool) -> Element:
        """One message: connected, limited in time, retried; a fault is an error.

        Args:
            message: what to send.
            what: a phrase for error messages.
            repeatable: as `Session._call`.

        Raises:
            GL002Error: as `_fault`, `refusal`, and `HTTPClient.send`.
        """
        return await self._call(
            lambda: self._post(message, what=what), what=what, repeatable=repeatable
        )

    async def _post(self, message: Message, *, what: str) -> Element:
        """One attempt of a message within a `_call`: what the body of the answer holds.

        Args:
            message: what to send.
            what: a phrase for error messages.
        """
        answer = await self._exchange(message.request(self.soap_version))
        return await self._content(answer, f"{what}: {self.config.endpoint}")

    async def _content(self, answer: Answer, where: str) -> Element:
        """What the body of an answer holds; anything else is an error.

        Args:
            answer: to a message.
            where: the request and where it went, for error messages.
        """
        if not _may_be_soap(answer):
            if not answer.ok:
                raise self._refusal(answer, where)
            raise Unreadable(
                f"{where}: an answer that is no SOAP but '{answer.content_type}'",
                hint="is the address right, its path included?",
            )
        try:
            content = await aside(len(answer.body), decode, answer.body)
        except RequestFailed as error:
            if not answer.ok:
                raise self._refusal(answer, where) from None
            raise Unreadable(f"{where}: {error.args[0]}", hint=error.hint) from None
        if isinstance(content, Fault):
            raise self._fault(content, where)
        if not answer.ok:
            raise self._refusal(answer, where)
        return content


def _may_be_soap(answer: Answer) -> bool:
    kind = answer.content_type
    is_xml = kind.endswith(("/xml", "+xml")) and "xhtml" not in kind
    return is_xml and (answer.ok or answer.status in _WITH_A_FAULT)
