"""The session with one PI Web API: logging in, and what its refusals mean."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from gl002.context import Context
from gl002.errors import GL002Error, TagNotFound, require
from gl002.pool import ConnectionPool
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Anonymous, Auth, Basic, Header
from gl002.transport.http.client import Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.negotiate import Negotiate
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.transport.pi_web_api.settings import PIConfig
from gl002.wire import omf
from gl002.wire.pi_batch import said

_NOT_FOUND = 404
_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "X-Requested-With": "gl002",  # PI Web API wants it with every change (EnableCSRFDefense)
}


class PIWebAPISession(HTTPConnection[PIConfig], ABC):
    """One PI Web API: how we log in, and what its refusals mean."""

    def __init__(
        self,
        config: PIConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._api = PIWebAPI(
            self.config, name=self.name, tags=self.context.tags, connect=self.connect, ask=self._ask
        )

    # ---- logging in -------------------------------------------------------------------------

    def _load(self) -> None:
        super()._load()
        if self.config.log_in == "negotiate":
            require("spnego", extra=self.kind)

    def _headers(self) -> Mapping[str, str]:
        return _HEADERS

    def _auth(self) -> Auth:
        c = self.config
        match c.log_in:
            case "basic":
                return Basic(c.username, c.password or Secret(""))
            case "bearer":
                return Header("Bearer", c.token or Secret(""))
            case "negotiate":
                return Negotiate(c.endpoint.host, username=c.username, password=c.password)
            case _:
                return Anonymous()

    async def _greet(self) -> None:
        await self._api.greet(partial(self._send, what="connect"))

    async def _ping(self) -> str:
        answer = await self._send(Request("GET", "system"), what="check")
        system = self._api.content(answer)
        product = f"{system.get('ProductTitle', '?')} {system.get('ProductVersion', '')}".strip()
        return f"{product}, Data Archive {self._api.data_server}"

    # ---- what answers mean ------------------------------------------------------------------

    async def _send(self, request: Request, *, what: str) -> Answer:
        """As everywhere; but OMF is answered for each message, whatever the status of the whole."""
        answer = await self._exchange(request)
        if answer.ok or (request.path == "omf" and _speaks_of_messages(answer)):
            return answer
        raise self._refusal(answer, f"{what}: {self.config.endpoint}")

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        words = ""
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # HTML of a proxy
            words = said(msgspec.json.decode(answer.body))
        if answer.status == _NOT_FOUND and words:
            return TagNotFound(f"{what}: {words}")
        return refusal(answer, what, words)


def _speaks_of_messages(answer: Answer) -> bool:
    """Whether an answer of the OMF endpoint says which message was refused, and why."""
    try:
        return bool(omf.refusals(msgspec.json.decode(answer.body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # HTML of a proxy
        return False
