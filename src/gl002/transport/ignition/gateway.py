"""The HTTP API of an Ignition gateway, 8.3 and later: what it is, and how its tags are configured.

It serves configuration and no values. Used are three of the routes that a gateway documents at
`/openapi.json`: `gateway-info`, `trial`, `tags/export`, all of them read with GET.

Source: Ignition User Manual 8.3, "API Documentation", "API Keys"; the OpenAPI description that a
gateway 8.3.8 generates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from gl002.connector import Found, Health
from gl002.errors import GL002Error, RequestFailed, Unsupported
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Auth, Header
from gl002.transport.http.client import Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.ignition.settings import APISettings
from gl002.transport.opc_ua.browsing import known_unit
from gl002.wire.ignition_tags import Described, described

_HEADER = "X-Ignition-API-Token"
_ROOT = "data/api/v1"
_SOON = 15 * 60  # seconds of a trial that are worth a note


class _License(msgspec.Struct):
    mode: str = ""


class GatewayInfo(msgspec.Struct, rename="camel"):
    """What a gateway says of itself."""

    name: str = ""
    ignition_version: str = ""
    edition: str = ""
    redundancy_role: str = ""
    deployment_mode: str = ""
    license: _License = msgspec.field(default_factory=_License)

    def __str__(self) -> str:
        parts = (
            f"gateway {self.name}".strip(), f"Ignition {self.ignition_version}".strip(),
            self.edition, f"license {self.license.mode}" if self.license.mode else "",
            f"mode {self.deployment_mode}" if self.deployment_mode else "",
            "" if self.redundancy_role in {"", "Independent"} else self.redundancy_role,
        )  # fmt: skip
        return ", ".join(part for part in parts if part)


class _Trial(msgspec.Struct, rename="camel"):
    trial_state: str = ""
    trial_seconds_left: float = 0.0
    expired: bool = False


class Gateway(HTTPConnection[APISettings]):
    """A session with the HTTP API of a gateway."""

    kind = "ignition"
    Config = APISettings

    def _auth(self) -> Auth:
        return Header("", self.config.key, name=_HEADER)

    def _headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json, application/octet-stream"}

    async def _greet(self) -> None:
        await self._info()

    async def _ping(self) -> str:
        return str(await self._info())

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        if answer.status == HTTPStatus.NOT_FOUND:
            return Unsupported(
                f"{what}: {answer.status}: {answer.excerpt()}",
                hint="a gateway has this API since Ignition 8.3",
            )
        error = refusal(answer, what)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            error.hint = "is it the whole key, 'name:secret', and may its security level read?"
        return error

    async def _info(self) -> GatewayInfo:
        info: GatewayInfo = await self._read("gateway-info", GatewayInfo)
        return info

    async def _read(self, route: str, type: Any) -> Any:  # noqa: A002 (as msgspec calls it)
        answer = await self._send(Request("GET", f"{_ROOT}/{route}"), what=route)
        try:
            return answer.json(type)
        except RequestFailed as error:
            raise RequestFailed(
                f"{route}: {self.config.endpoint}: {error.args[0]}",
                hint="is the gateway commissioned, and is it Ignition 8.3 or later?",
            ) from None

    async def check(self) -> Health:
        """What the gateway is; notes where it runs as a trial, after which its tags turn bad."""
        health = await super().check()
        if not health.ok:
            return health
        try:
            trial = await self._call(lambda: self._read("trial", _Trial), what="trial")
        except GL002Error as error:
            self.log.debug("%s: %s", self.name, error)  # it may read less than the gateway's info
            return health
        return msgspec.structs.replace(health, notes=_notes(trial))

    async def tags(self, provider: str) -> dict[str, Described]:
        """How the tags of a provider are configured, by path in lower case.

        Always the whole provider: the types of its instances are at its top.

        Raises:
            RequestFailed: there is no such provider, or its export is above 64 MB.
        """
        request = Request(
            "GET", f"{_ROOT}/tags/export", {"provider": provider, "type": "json"}
        )  # fmt: skip
        what = f"tags of [{provider}]"
        answer = await self._ask(request, what=what)
        try:
            return await asyncio.to_thread(described, answer.body)
        except RequestFailed as error:
            raise RequestFailed(f"{self.name}: {what}: {error.args[0]}") from None


def with_configuration(found: Found, tag: Described | None) -> Found:
    """A tag that was found elsewhere with what its configuration says and nobody else did."""
    if tag is None:
        return found
    return msgspec.structs.replace(
        found, type=found.type or tag.type,
        unit=found.unit or known_unit(tag.unit) or tag.unit,
        description=found.description or tag.description,
        low=tag.low, high=tag.high, history=tag.history,
    )  # fmt: skip


def _notes(trial: _Trial) -> tuple[str, ...]:
    if trial.expired:
        return ("its trial has expired: tags are not updated before it is reset or licensed",)
    if trial.trial_state == "NoneInDemo" or not trial.trial_state:
        return ()
    left = trial.trial_seconds_left
    shown = f"{left / 60:.0f} minutes" if left >= _SOON else f"{left:.0f} seconds"
    return (f"parts of it run as a trial, {shown} left",)
