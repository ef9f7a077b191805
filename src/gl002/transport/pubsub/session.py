"""A session with Pub/Sub: who we are, what its refusals mean, its five requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from gl002.config.blocks import TlsSettings
from gl002.context import Context
from gl002.errors import (
    AccessDenied,
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    RequestFailed,
    TagNotFound,
    require,
)
from gl002.pool import ConnectionPool
from gl002.security.tls import client_context
from gl002.transport.google.credentials import GoogleAuth, loader
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Anonymous, Auth
from gl002.transport.http.client import HTTPClient, Request, segment
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.pace import Pace
from gl002.transport.pubsub.settings import GCPConfig
from gl002.wire import pubsub as wire
from gl002.wire.pubsub import Collection, Message, Problem, Received

_SCOPE = "https://www.googleapis.com/auth/pubsub"
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_ROLES = {
    "publish": "roles/pubsub.publisher on the topic",
    "pull": "roles/pubsub.subscriber on the subscription",
    "acknowledge": "roles/pubsub.subscriber on the subscription",
}
_COME_AGAIN = {"ABORTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED"}
_LATE = 2.0  # seconds that an answer may take beyond what the service was asked to wait
_QUOTA = "a quota of the project is used up: lower messages_per_second, or have it raised"
_OFF = {"SERVICE_DISABLED", "CONSUMER_INVALID", "BILLING_DISABLED"}


class PubSubSession(HTTPConnection[GCPConfig]):
    """What `GCPIoTConnector` makes its calls over."""

    def __init__(
        self,
        config: GCPConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._pace = Pace(self.config.messages_per_second)
        self._who: GoogleAuth | None = None

    # ---- logging in -------------------------------------------------------------------------

    def _load(self) -> None:
        super()._load()
        if not self.config.emulator:
            require("google.auth", extra=self.kind)
            from google.auth import exceptions, identity_pool  # noqa: F401 (half a second on a small machine)
            from google.oauth2 import service_account  # noqa: F401 (the same)

    def _headers(self) -> Mapping[str, str]:
        return _JSON

    def _auth(self) -> Auth:
        config = self.config
        if config.emulator:
            self.log.warning("%s: talks to the emulator %s", self.name, config.endpoint)
            return Anonymous()
        if self._who is None:
            tls = config.tls or TlsSettings()
            self._who = GoogleAuth(
                loader(config.credentials, config.credentials_json),
                scope=_SCOPE,
                network=self.context.network,
                timeout=self._timeout,
                tls=client_context(ca=tls.ca, min_version=tls.min_version),
            )
        return self._who

    async def _greet(self) -> None:
        """Ask for a topic: an answer shows the service and our token, even one that refuses us
        the list, which who may publish need not be allowed to see.
        """  # noqa: D205 (one sentence)
        answer = await self._exchange(Request("GET", self._path("topics"), {"pageSize": "1"}))
        if answer.ok:
            return
        problem = wire.problem_in(answer.body)
        if answer.status != HTTPStatus.FORBIDDEN or not problem.status or problem.reason in _OFF:
            raise self._refusal(answer, f"connect: {self.config.endpoint}")

    async def _ping(self) -> str:
        await self._greet()
        account = self._who.account if self._who is not None else ""
        return f"Pub/Sub of project {self.config.project}{f', as {account}' if account else ''}"

    # ---- what answers mean ------------------------------------------------------------------

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        problem = wire.problem_in(answer.body)
        if not problem.status:
            return refusal(answer, what)
        message = f"{what}: {answer.status} {problem.status}: {problem.message}"
        error: GL002Error
        match problem.status:
            case "UNAUTHENTICATED":
                error = AuthFailed(message, hint=self._hint_of_unknown())
            case "PERMISSION_DENIED":
                error = AccessDenied(message, hint=self._hint_of_denied(problem, what))
            case "NOT_FOUND":
                error = TagNotFound(message, hint=_hint_of_absent(what))
            case "INVALID_ARGUMENT" if what.startswith("publish"):
                error = DataError(message, hint="has the topic a schema that these do not fit?")
            case "RESOURCE_EXHAUSTED":
                error = Busy(message, hint=_QUOTA)
            case status if status in _COME_AGAIN:
                error = Busy(message)
            case _:
                error = RequestFailed(message)
        error.retry_after = answer.retry_after
        return error

    def _hint_of_unknown(self) -> str:
        if self.config.emulator:
            return "an emulator asks for no credentials: is that one?"
        return "is the key still valid, and the clock of this machine right?"

    def _hint_of_denied(self, problem: Problem, what: str) -> str:
        if problem.reason in _OFF:
            return f"turn on the Pub/Sub API, and billing, for the project {self.config.project}"
        account = (self._who.account if self._who is not None else "") or "our account"
        verb = what.partition(" ")[0]
        return f"give {account} {_ROLES.get(verb, 'the right to do this')}"

    # ---- requests ---------------------------------------------------------------------------

    def _path(self, collection: Collection, name: str = "", verb: str = "") -> str:
        """Path of a topic or a subscription, of its verb, or of all."""
        if not name:
            return f"v1/projects/{segment(self.config.project)}/{collection}"
        whole = wire.full_name(name, collection, self.config.project)
        return f"v1/{'/'.join(map(segment, whole.split('/')))}{f':{verb}' if verb else ''}"

    async def _publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish messages in order; returns the ids that the service has given them."""
        path, ids = self._path("topics", topic, "publish"), []
        for part in wire.requests(messages):
            body = wire.publish_body(part)
            what = f"publish {len(part)} messages to {topic}"
            answer = await self._ask(Request("POST", path, body=body), what=what)
            given = wire.published(answer.body)
            if len(given) != len(part):
                raise RequestFailed(f"{what}: {len(given)} ids came back: not all were taken")
            ids += given
        return ids

    async def _pull(self, subscription: str, most: int, wait: float) -> list[Received]:
        """Messages that wait, or that come within `wait` seconds; none where none do."""
        what = f"pull from {subscription}"
        request = Request(
            "POST",
            self._path("subscriptions", subscription, "pull"),
            headers={"X-Server-Timeout": f"{wait:.0f}"},
            body=msgspec.json.encode({"maxMessages": most}),
        )

        async def attempt() -> list[Received]:
            try:
                answer = await self._open_client().send(request, timeout=wait + _LATE)
            except TimeoutError:  # it may wait longer than it was asked to: is it still there?
                async with asyncio.timeout(self._timeout):
                    await self._greet()
                return []
            if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
                return []  # nothing came
            if not answer.ok:
                raise self._refusal(answer, f"{what}: {self.config.endpoint}")
            return wire.pulled(answer.body)

        return await self._call(attempt, what=what, own_limit=True)

    def _open_client(self) -> HTTPClient:
        if self._client is None:
            raise ConnectFailed(f"{self.name}: the connection has just ended")
        return self._client

    async def _acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        path = self._path("subscriptions", subscription, "acknowledge")
        what = f"acknowledge in {subscription}"
        for part in wire.ack_portions(ack_ids):
            body = msgspec.json.encode({"ackIds": part})
            await self._ask(Request("POST", path, body=body), what=what)

    async def _postpone(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Put off the moment at which the service delivers these again; 0 for now."""
        path = self._path("subscriptions", subscription, "modifyAckDeadline")
        what = f"pull from {subscription}: keep"
        for part in wire.ack_portions(ack_ids):
            body = msgspec.json.encode({"ackIds": part, "ackDeadlineSeconds": seconds})
            await self._ask(Request("POST", path, body=body), what=what)

    async def _look(self, collection: Collection, name: str) -> None:
        """Raise where a topic or subscription is not there; silent where we may not know."""
        request = Request("GET", self._path(collection, name))

        async def attempt() -> None:
            answer = await self._exchange(request)
            known = answer.ok or answer.status == HTTPStatus.FORBIDDEN
            if not known:
                raise self._refusal(answer, f"look for {name}: {self.config.endpoint}")

        await self._call(attempt, what=f"look for {name}")


def _hint_of_absent(what: str) -> str:
    thing = "subscription" if what.startswith(("pull", "acknowledge")) else "topic"
    return f"gcloud pubsub {thing}s create ...; is the project the right one?"
