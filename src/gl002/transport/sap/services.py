"""OData services of one SAP system: whether they are there, CSRF tokens, entities, batches."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from gl002.errors import RequestFailed
from gl002.transport.aside import aside
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.client import Query, Request
from gl002.transport.sap.session import Line
from gl002.wire import multipart, odata
from gl002.wire.multipart import Part, PartAnswer
from gl002.wire.odata import Entity

_TOKEN = "x-csrf-token"  # noqa: S105 (a name)
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
_NOT_ACTIVE = ("/IWFND/MED/170", "/IWFND/CM_COS", "/IWBEP/CM_V4_COS")
"""Codes of a service that nobody has activated (/IWFND/MAINT_SERVICE, /IWFND/V4_ADMIN)."""
_ALL_OF_THEM = {"Prefer": "odata.continue-on-error"}
"""Version 4 stops at the first request of a batch that fails (part 1, 11.7.2)."""
_MOST_IN_A_BATCH = 100


class ServiceMissing(RequestFailed):
    """SAP has no such service, or has not activated it."""


class Services:
    """Within a `_call` of the session.

    Args:
        line: of the session.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._tokens: dict[str, str] = {}
        self._missing: dict[str, str] = {}

    def forget(self) -> None:
        """The session is a new one: tokens of the last are worth nothing."""
        self._tokens.clear()
        self._missing.clear()

    async def open(self, service: str) -> None:
        """See whether a service is there, and fetch its token; once for each session.

        Raises:
            ServiceMissing: it is not.
        """
        if service in self._missing:
            raise ServiceMissing(self._missing[service])
        if service not in self._tokens:
            self._tokens[service] = await self._fetched(service)

    async def _fetched(self, service: str) -> str:
        headers = {**_JSON, _TOKEN: "Fetch"}
        request = Request("GET", f"{service}/", self._line.config.query, headers)
        answer = await self._line.exchange(request)
        if answer.ok:
            return answer.headers.get(_TOKEN, "")
        what = f"open /{service}: {self._line.config.endpoint}"
        if _is_missing(answer):
            self._missing[service] = (
                f"{what}: SAP has not activated this service: {answer.status} {answer.excerpt()}"
            )
            raise ServiceMissing(
                self._missing[service], hint="/IWFND/MAINT_SERVICE, for OData V4 /IWFND/V4_ADMIN"
            )
        raise self._line.refusal(answer, what)

    # ---- reading ----------------------------------------------------------------------------

    async def get(self, service: str, path: str, query: Query = (), *, what: str) -> Entity:
        """One entity.

        Raises:
            TagNotFound: there is none.
        """
        answer = await self._read(service, path, query, what)
        return await aside(len(answer.body), lambda: odata.entity(answer.json()))

    async def query(
        self, service: str, path: str, query: Query = (), *, what: str
    ) -> Sequence[Entity]:
        """The entities of a collection: the first page."""
        answer = await self._read(service, path, query, what)
        return await aside(len(answer.body), lambda: odata.entities(answer.json()))

    async def _read(self, service: str, path: str, query: Query, what: str) -> Answer:
        await self.open(service)
        pairs = [
            *(query.items() if isinstance(query, Mapping) else query),
            *self._line.config.query,
        ]
        answer = await self._line.exchange(Request("GET", f"{service}/{path}", pairs, _JSON))
        return self._done(answer, what)

    # ---- changing ---------------------------------------------------------------------------

    async def create(
        self, service: str, path: str, fields: Mapping[str, Any], *, what: str
    ) -> Entity:
        """Make an entity; sent once.

        Raises:
            Unreadable: it was made, and SAP's answer does not tell its number.
        """
        body = msgspec.json.encode(fields)
        answer = await self._sent("POST", service, path, _JSON, body)
        done = self._done(answer, what)
        try:
            return odata.entity(done.json())
        except RequestFailed as error:
            raise Unreadable(f"{what}: {error.args[0]}") from None

    async def change(
        self, service: str, path: str, fields: Mapping[str, Any], etag: str, *, what: str
    ) -> None:
        """Change fields of an entity, if it is still in the state of `etag`; sent once.

        Raises:
            RequestFailed: somebody has changed it since.
        """
        headers = {**_JSON, "If-Match": etag or "*"}
        body = msgspec.json.encode(fields)
        self._done(await self._sent("PATCH", service, path, headers, body), what)

    async def _sent(
        self, method: str, service: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """With a token; with a new one where SAP says that this one is worth nothing.

        What is refused for its token was not looked at, so that it may be sent again.
        """
        await self.open(service)
        for last in (False, True):
            own = {**headers, _TOKEN: self._tokens[service]}
            request = Request(method, f"{service}/{path}", self._line.config.query, own, body)
            answer = await self._line.exchange(request)
            required = answer.headers.get(_TOKEN, "").lower() == "required"
            if last or answer.status != HTTPStatus.FORBIDDEN or not required:
                break
            self._tokens[service] = await self._fetched(service)
        return answer

    # ---- many at once -----------------------------------------------------------------------

    async def batch(self, service: str, parts: Sequence[Part], *, what: str) -> list[PartAnswer]:
        """Many requests in as few as SAP takes; an answer to each, in their order.

        Raises:
            Unreadable: SAP took them, and its answers cannot be told apart.
        """
        answers: list[PartAnswer] = []
        for start in range(0, len(parts), _MOST_IN_A_BATCH):
            some = parts[start : start + _MOST_IN_A_BATCH]
            boundary = f"gl002-{secrets.token_hex(12)}"
            kind = f"multipart/mixed; boundary={boundary}"
            headers = {"Content-Type": kind, "Accept": "multipart/mixed", **_ALL_OF_THEM}
            body = multipart.encode(some, boundary)
            answer = self._done(await self._sent("POST", service, "$batch", headers, body), what)
            kind, body = answer.headers.get("content-type", ""), answer.body
            try:
                answers += await aside(len(body), multipart.decode, kind, body, len(some))
            except RequestFailed as error:
                raise Unreadable(f"{what}: {error.args[0]}: they may have been done") from None
        return answers

    def _done(self, answer: Answer, what: str) -> Answer:
        if not answer.ok:
            raise self._line.refusal(answer, f"{what}: {self._line.config.endpoint}")
        return answer


def _is_missing(answer: Answer) -> bool:
    """Whether nobody has activated a service: SICF's page, or Gateway's words."""
    said = odata.refusal_in(answer.body)
    if said is None:
        return answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}
    if answer.status == HTTPStatus.NOT_FOUND:
        return True
    return said.code.startswith(_NOT_ACTIVE)
