"""A session of one device with its Azure IoT Hub: its token, its twin."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gl002 import __version__
from gl002.config.blocks import TlsSettings
from gl002.connector import Health
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, DataError
from gl002.pool import ConnectionPool
from gl002.security.certificates import load_certificates, notes_on
from gl002.security.network import Endpoint
from gl002.transport.azure_iot.provisioning import assigned
from gl002.transport.azure_iot.settings import AzureIoTConfig
from gl002.transport.mqtt.connection import MQTTConnection
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import SessionOptions, Version
from gl002.transport.mqtt.replies import Replies
from gl002.transport.pace import Pace
from gl002.wire import azure_iot as wire

R = TypeVar("R")

_RENEW_AFTER = 0.8  # of a token's life
_REFUSED = (
    "check the shared access key or certificate, that the device is enabled, and the clock: a "
    "token holds for a time"
)
_CLOSED = "the hub hangs up on a device that it does not know, and on a second one of the same name"
_SILENT = "the hub took the request; is it one of the free or basic tier, which has no twins?"
_OK, _UPDATED = 200, 204


class AzureIoTConnection(MQTTConnection[AzureIoTConfig]):
    """What `AzureIoTConnector` makes its calls over."""

    _hub = ""  # host name; '' until the configuration or the provisioning service has told it

    def __init__(
        self,
        config: AzureIoTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._pace = Pace(self.config.messages_per_second)
        self._hub = self.config.host
        self._expires = 0.0  # of the token in use, seconds since 1970; 0 for none
        self._twin_replies = Replies(
            [f"{wire.RESULTS}#"], _request_number, service="the device twin", hint=_SILENT
        )

    def endpoints(self) -> Iterable[Endpoint]:
        """The hub, or the gateway before it; the provisioning service where it is asked first."""
        how = self.config.provisioning
        hub = self._hub or self.config.host
        service = [how.address] if how is not None else []
        return [*service, self.config.address_of(hub)] if hub else service

    def _load(self) -> None:
        self._load_drivers(websocket=bool(self.config.path))

    def _versions(self) -> Sequence[Version]:
        return ("3.1.1",)

    @property
    def _kept(self) -> bool:
        return self._has_input

    @property
    def _tls(self) -> TlsSettings:
        return self.config.tls

    async def _open(self) -> None:
        if not self._hub:
            self._hub = await self._assigned_hub()
            self.context.network.name(self.config.address_of(self._hub))
        try:
            await super()._open()
        except AuthFailed:
            self._hub = self.config.host  # the device may have been moved: ask again
            raise

    async def _assigned_hub(self) -> str:
        """Ask the provisioning service, which is trusted to name the hub: the configuration does
        so, and its certificate is checked.
        """  # noqa: D205 (one sentence)
        answer = await assigned(
            self.config, self.context.network, self._session_options, self._timeout
        )
        if answer.device != self.config.device:
            raise ConfigError(
                f"the provisioning service calls this device '{answer.device}'",
                hint="give the enrollment the registration_id as its device id",
            )
        self.log.info("%s: assigned to %s", self.name, answer.hub)
        return answer.hub

    def _options(self, version: Version) -> SessionOptions:
        config, key = self.config, self.config.key
        token = renew = None
        if key is not None:
            self._expires = time.time() + config.token_lifetime
            renew = config.token_lifetime * _RENEW_AFTER
            token = wire.token(
                self._hub, config.device, config.module_id, key, expires=math.ceil(self._expires)
            )
        # A session that begins clean ends with its connection: its first renewal would lose what
        # comes for callbacks meanwhile. Without renewals nothing need outlast a connection.
        renewed = renew is not None and self._inbox.wanted
        return self._session_options(
            endpoint=config.address_of(self._hub),
            client_id=wire.name_of(config.device, config.module_id),
            username=wire.username(
                self._hub, config.device, config.module_id, agent=f"gl002/{__version__}"
            ),
            password=token,
            path=config.path,
            clean_start=not (self._kept or self._resumable or renewed),
            renew_after=renew,
            when_closed=_CLOSED,
        )

    def _session_options(self, *, endpoint: Endpoint, **more: Any) -> SessionOptions:
        """The options of a session, but for those that differ from session to session."""
        return SessionOptions(
            endpoint=endpoint,
            version="3.1.1",
            tls=self._trust(),
            server_name=self._tls.server_name or endpoint.host,
            keepalive=self.config.keepalive,
            when_refused=_REFUSED,
            **more,
        )

    async def check(self) -> Health:
        """One cheap round trip; notes on the token in use, or a certificate that ends soon."""
        health = await super().check()
        return msgspec.structs.replace(health, notes=self._notes()) if health.ok else health

    async def _ping(self) -> str:
        detail = await super()._ping()
        if self.config.key is None:
            return detail
        left = max(0.0, self._expires - time.time())
        return f"{detail}, token valid for {left / 60:.0f} min, renewed before"

    def _notes(self) -> tuple[str, ...]:
        if self.config.tls.cert is None:
            return ()
        ours = load_certificates(Path(self.config.tls.cert).read_bytes())[0]
        return notes_on({"our": ours})

    # ---- the twin ---------------------------------------------------------------------------

    async def _of_twin(
        self,
        topic: Callable[[str], str],
        payload: bytes,
        understand: Callable[[wire.Result, bytes], R],
    ) -> R:
        """Ask about the twin, and return what is understood from the answer.

        Args:
            topic: of the request, given its number.
            payload: of the request.
            understand: reads an answer that is no error.
        """
        request = secrets.token_hex(8)
        asked = topic(request)

        def read(answer: Message) -> R:
            result = wire.result_of(answer.topic)
            if result is None or result.status not in {_OK, _UPDATED}:
                status = result.status if result is not None else 0
                raise wire.refusal(status, answer.payload, f"{self.name}: {asked}")
            return understand(result, answer.payload)

        return await self._ask(self._twin_replies, request, asked, payload, read)


def checked_message(payload: bytes, topic: str) -> bytes:
    """The payload, if the hub takes it with the properties in its topic.

    Raises:
        DataError: both are larger than a message may be.
    """
    size = len(payload) + len(topic)
    if size > wire.LARGEST_MESSAGE:
        raise DataError(f"{size} bytes: the hub takes {wire.LARGEST_MESSAGE} in a message")
    return payload


def _request_number(message: Message) -> str | None:
    result = wire.result_of(message.topic)
    return result.request if result is not None else None
