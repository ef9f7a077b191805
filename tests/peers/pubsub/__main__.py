"""Pub/Sub as a program: the REST interface and the token services of Google on one port.

    python -m peers.pubsub FOLDER PORT

Without a token nothing is answered, as by the real one; started with OPEN=1 it is an emulator.
`POST /control` changes what it does, for tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from peers.pubsub.store import Refused, Store, invalid
from peers.pubsub.tokens import ACCOUNT, Tokens

_LARGEST = 10 * 1024 * 1024  # "Request payload size exceeds the limit: 10485760 bytes."
_LOOK = 0.02  # seconds between two looks for messages
_PATIENCE = 10.0  # seconds a pull waits for a first one
_PATH = re.compile(r"/v1/(projects/[^/]+/(?:topics|subscriptions)(?:/[^:]+)?)(?::(\w+))?")
_PERMISSIONS = {
    "publish": "pubsub.topics.publish", "pull": "pubsub.subscriptions.consume",
    "acknowledge": "pubsub.subscriptions.consume",
    "modifyAckDeadline": "pubsub.subscriptions.consume",
}  # fmt: skip


class Service:
    """Answers requests.

    Attributes:
        deny: permissions that the account lacks.
        busy: how many requests are refused with 429 before one is answered again.
        refuse: a status and a reason that everything is refused with; None for none.
        skew: seconds that this clock is ahead of the machine's.
        patience: seconds a pull waits for a first message.
    """

    def __init__(self, folder: Path) -> None:
        self.store, self.tokens = Store(folder / "pubsub.db"), Tokens(folder)
        self.deny: list[str] = []
        self.busy = 0
        self.retry_after = ""
        self.refuse: list[Any] | None = None
        self.skew = 0.0
        self.patience = _PATIENCE
        self._open = os.environ.get("OPEN") == "1"
        self.requests: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.path
        self.requests.append(f"{request.method} {path}")
        headers = {"Date": formatdate(time.time() + self.skew, usegmt=True)}
        try:
            if path in self._special:
                code, content = await self._special[path](self, request)
            else:
                code, content = 200, await self._answer(request, path)
        except Refused as refusal:
            error: dict[str, Any] = {
                "code": refusal.code, "message": refusal.message, "status": refusal.status,
            }  # fmt: skip
            if refusal.reason:
                kind = "type.googleapis.com/google.rpc.ErrorInfo"
                error["details"] = [{"@type": kind, "reason": refusal.reason}]
            code, content = refusal.code, {"error": error}
            if refusal.code == 429 and self.retry_after:
                headers["Retry-After"] = self.retry_after
        return web.json_response(content, status=code, headers=headers)

    # ---- Pub/Sub ----------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest, path: str) -> Any:
        match = _PATH.fullmatch(path)
        if match is None:
            raise Refused(404, "NOT_FOUND", "Method not found.")
        name, verb = match[1], match[2] or ""
        self._admit(request, _PERMISSIONS.get(verb, f"pubsub.{name.split('/')[2]}.other"), name)
        body = await _body(request) if request.method in {"POST", "PUT"} else {}
        if verb:
            return await self._verb(name, verb, body, request)
        kind, whole = name.split("/")[2], name.count("/") == 3
        if request.method == "GET" and not whole:
            found = [{"name": n} for (n,) in self.store.rows(f"SELECT name FROM {kind[:-1]}")]
            return {kind: found[: int(request.query.get("pageSize", 1000))]} if found else {}
        match request.method, kind:
            case "PUT", "topics":
                return self.store.create_topic(name)
            case "GET", "topics":
                return self.store.topic(name)
            case "PUT", "subscriptions":
                return self.store.create_subscription(name, body)
            case "GET", "subscriptions":
                return self.store.subscription(name)
        raise Refused(405, "UNIMPLEMENTED", "Not here.")

    def _admit(self, request: web.BaseRequest, permission: str, name: str) -> None:
        if self.refuse is not None:
            code, status, message, reason = self.refuse
            raise Refused(code, status, message, reason)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not self._open and (scheme != "Bearer" or not self.tokens.holds(token)):
            raise Refused(
                401, "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential.",
                "ACCESS_TOKEN_EXPIRED",
            )  # fmt: skip
        if self.busy:
            self.busy -= 1
            raise Refused(
                429, "RESOURCE_EXHAUSTED",
                "Quota exceeded for quota metric 'Regional publisher throughput, kB' and limit "
                "'Regional publisher throughput, kB per minute per region'.",
                "RATE_LIMIT_EXCEEDED",
            )  # fmt: skip
        if permission in self.deny or permission.replace(".other", ".get") in self.deny:
            raise Refused(
                403, "PERMISSION_DENIED",
                f"User not authorized to perform this action (resource={name}).",
                "IAM_PERMISSION_DENIED",
            )  # fmt: skip

    async def _verb(
        self, name: str, verb: str, body: dict[str, Any], request: web.BaseRequest
    ) -> Any:
        match verb:
            case "publish":
                messages = _fields(body, {"messages"}).get("messages", [])
                return {"messageIds": self.store.publish(name, messages)}
            case "pull":
                _fields(body, {"maxMessages", "returnImmediately"})
                return await self._pull(name, body, request)
            case "acknowledge":
                self.store.acknowledge(name, _fields(body, {"ackIds"}).get("ackIds", []))
            case "modifyAckDeadline":
                _fields(body, {"ackIds", "ackDeadlineSeconds"})
                ids, seconds = body.get("ackIds", []), int(body.get("ackDeadlineSeconds", 0))
                self.store.postpone(name, ids, seconds)
            case _:
                raise Refused(404, "NOT_FOUND", "Method not found.")
        return {}

    async def _pull(self, name: str, body: dict[str, Any], request: web.BaseRequest) -> Any:
        most = int(body.get("maxMessages", 0))
        if most <= 0:
            raise invalid("No max_messages specified")
        end = time.monotonic() + (0 if body.get("returnImmediately") else self.patience)
        while True:
            if request.transport is None or request.transport.is_closing():
                return {}  # nobody is there to take them
            taken = self.store.pull(name, most)
            if taken or time.monotonic() >= end:
                return {"receivedMessages": taken} if taken else {}
            await asyncio.sleep(_LOOK)

    # ---- tokens -----------------------------------------------------------------------------

    async def _token(self, request: web.BaseRequest) -> tuple[int, Any]:
        now = time.time() + self.skew
        form = dict(await request.post())
        return self.tokens.for_assertion(form, now)  # type: ignore[arg-type]

    async def _sts(self, request: web.BaseRequest) -> tuple[int, Any]:
        return self.tokens.for_subject(dict(await request.post()))  # type: ignore[arg-type]

    async def _machine(self, request: web.BaseRequest) -> tuple[int, Any]:
        if request.headers.get("Metadata-Flavor") != "Google":
            return 403, {}
        return 200, self.tokens.of_machine()

    async def _account(self, request: web.BaseRequest) -> tuple[int, Any]:
        return 200, {"email": ACCOUNT, "aliases": ["default"], "scopes": []}

    # ---- for tests --------------------------------------------------------------------------

    async def _control(self, request: web.BaseRequest) -> tuple[int, Any]:
        for key, value in (await request.json()).items():
            if key == "lifetime":
                self.tokens.lifetime = value
            elif key == "revoke":
                self.tokens.revoke()
            else:
                setattr(self, key, value)
        return 200, {"requests": self.requests}

    _special = {  # noqa: RUF012 (constant)
        "/token": _token,
        "/sts": _sts,
        "/computeMetadata/v1/instance/service-accounts/default/token": _machine,
        "/computeMetadata/v1/instance/service-accounts/default/": _account,
        "/control": _control,
    }


def _fields(body: dict[str, Any], known: set[str]) -> dict[str, Any]:
    if unknown := body.keys() - known:
        raise invalid(f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
    return body


async def _body(request: web.BaseRequest) -> dict[str, Any]:
    if (request.content_length or 0) > _LARGEST:
        raise invalid("Request payload size exceeds the limit: 10485760 bytes.")
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received.")
    return body


def main() -> None:
    folder, port = sys.argv[1:]

    async def run() -> None:
        service = Service(Path(folder))
        runner = web.ServerRunner(web.Server(service, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(port)).start()
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
