"""The session with one SAP system over HTTP: logging in, and what its refusals mean."""

from __future__ import annotations

import logging
from abc import ABC
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib.util import find_spec
from typing import Protocol

from gl002.errors import Busy, GL002Error, RequestFailed, TagNotFound, require
from gl002.security.network import Endpoint, Network
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Anonymous, Auth, Basic, Header
from gl002.transport.http.client import HTTPClient, Request
from gl002.transport.sap.settings import SAPConfig
from gl002.transport.soap.connection import Message, SOAPConnection
from gl002.wire.odata import Refusal, refusal_in
from gl002.wire.soap import Fault
from gl002.wire.xml import Element, local, text_of

LIBRARY = "pyrfc"
_PING = "sap/bc/ping"
_NO_AUTHORITY = ("NO_AUTHORITY", "AUTHORIZATION")
_FORBIDDEN = "is it active in SICF, and has the user S_SERVICE or S_ICF for it (SU53)?"
_HINTS = {
    "FU_NOT_FOUND": "SE37 shows which functions there are; it must be remote-enabled",
    "NO_AUTHORITY": "give the user S_RFC for the function, and what it checks itself (SU53)",
}


class Post(Protocol):
    """One attempt of a message within a `_call`; a fault is an error."""

    async def __call__(self, message: Message, *, what: str) -> Element:
        """What the answer holds."""
        ...


@dataclass(frozen=True, kw_only=True)
class Line:
    """What functions, services and documents use of a session, within a `_call` of it.

    Attributes:
        config: its settings.
        name: connector instance.
        log: where it writes.
        network: what may be reached.
        exchange: one attempt of a request, whatever its status; by a client besides its own.
        post: one attempt of a message.
        content: what an answer to a message holds; `where` is for error messages.
        refusal: the error that an answer which is no success stands for.
        refused: the same from a status and OData's words; None where HTTP says enough.
        new_client: an HTTP session with cookies of its own; who makes one closes it.
    """

    config: SAPConfig
    name: str
    log: logging.Logger
    network: Network
    exchange: Callable[..., Awaitable[Answer]]
    post: Post
    content: Callable[[Answer, str], Awaitable[Element]]
    refusal: Callable[[Answer, str], GL002Error]
    refused: Callable[[int, Refusal | None, str], GL002Error | None]
    new_client: Callable[[], HTTPClient]


class SAPSession(SOAPConnection[SAPConfig], ABC):
    """One SAP system: how we log in, and what its refusals mean."""

    cookies = True  # CSRF tokens belong to a session

    # ---- logging in -------------------------------------------------------------------------

    @property
    def uses_library(self) -> bool:
        """Whether functions are called by SAP's own library."""
        way = self.config.functions
        return way == "nwrfc" or (way == "auto" and find_spec(LIBRARY) is not None)

    def endpoints(self) -> Iterable[Endpoint]:
        """Where HTTP is spoken; and the gateway, where SAP's library is used."""
        own = [self.config.endpoint]
        return [*own, self.config.gateway] if self.uses_library else own

    def _load(self) -> None:
        super()._load()
        if self.config.functions == "nwrfc":
            require(LIBRARY, extra=self.kind)

    def _auth(self) -> Auth:
        c = self.config
        match c.log_in:
            case "basic":
                return Basic(c.user, c.passwd or Secret(""))
            case "bearer":
                return Header("Bearer", c.token or Secret(""))
            case _:
                return Anonymous()

    async def _greet(self) -> None:
        await self._alive("connect")

    async def _ping(self) -> str:
        await self._alive("check")
        client = f"client {self.config.client}" if self.config.client else "its default client"
        return f"SAP at {self.config.endpoint}, {client}"

    async def _alive(self, what: str) -> None:
        """Ask SAP's ping service; one that is not activated has answered, too."""
        answer = await self._exchange(Request("GET", _PING, self.config.query))
        if answer.ok or answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            return
        raise self._refusal(answer, f"{what}: {self.config.endpoint}")

    def _line(self) -> Line:
        """For functions, services and documents."""
        return Line(
            config=self.config, name=self.name, log=self.log, network=self.context.network,
            exchange=self._exchange, post=self._post, content=self._content,
            refusal=self._refusal, refused=_refused,
            new_client=partial(self._new_client, cookies=True),
        )  # fmt: skip

    # ---- what answers mean ------------------------------------------------------------------

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        said = refusal_in(answer.body)
        return _refused(answer.status, said, what) or refusal(
            answer, what, str(said) if said else ""
        )

    def _fault(self, fault: Fault, what: str) -> GL002Error:
        exception, text = _exception(fault)
        words = " ".join((text or fault.reason).split())
        shown = f"{exception}: {words}" if exception and exception not in words else words
        if "LOCK" in exception:
            return Busy(f"{what}: {shown}")
        kind = "NO_AUTHORITY" if any(w in shown.upper() for w in _NO_AUTHORITY) else exception
        if "FU_NOT_FOUND" in shown:
            kind = "FU_NOT_FOUND"
        return RequestFailed(f"{what}: {shown or fault.code}", hint=_HINTS.get(kind, ""))


def _refused(status: int, said: Refusal | None, what: str) -> GL002Error | None:
    """The error of a status that means something else to SAP than to HTTP; None for others."""
    words = f"{what}: {status}: {said}" if said else f"{what}: {status}"
    if status == HTTPStatus.NOT_FOUND and said is not None:
        return TagNotFound(words)
    if status == HTTPStatus.FORBIDDEN:  # it knows us: the session stands
        return RequestFailed(words, hint=_FORBIDDEN)
    if status == HTTPStatus.PRECONDITION_FAILED:
        return RequestFailed(words, hint="somebody has changed it since: read it again")
    if status == HTTPStatus.LOCKED:
        return Busy(words)
    return None


def _exception(fault: Fault) -> tuple[str, str]:
    """Name and text of the ABAP exception in a fault, in either of the forms that SAP uses.

    /sap/bc/soap/rfc: rfc:Error with type and message; SOAMANAGER: NAME.Exception, Name and Text.
    """
    found = {local(e).lower(): text_of(e) for e in _below(fault.detail)}
    name = found.get("name") or found.get("type", "")
    if not name and fault.reason.isupper() and " " not in fault.reason:
        name = fault.reason
    return name, found.get("text") or found.get("message", "")


def _below(detail: Element | None) -> Sequence[Element]:
    return [] if detail is None else [e for e in detail.iter() if not len(e)]
