"""A session with AWS IoT Core: one device, its certificate, its shadows."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gl002.connector import Health
from gl002.context import Context
from gl002.errors import ConfigError, require
from gl002.pool import ConnectionPool
from gl002.security.certificates import load_certificates, notes_on
from gl002.security.network import Endpoint
from gl002.security.tls import client_context
from gl002.transport.aws_iot.settings import AWSIoTConfig
from gl002.transport.mqtt.connection import MQTTConnection
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import SessionOptions, Version
from gl002.transport.mqtt.replies import Replies
from gl002.transport.pace import Pace
from gl002.wire.aws_iot import ALPN, check_shadow, refusal, shadow_topic
from gl002.wire.json_payload import decode, encode

_SILENT = "does the policy allow iot:Subscribe and iot:Receive on the topics of the shadow?"
_CLOSED = (
    "AWS hangs up on a certificate that is not active or not its own, and where its policy does "
    "not allow iot:Connect for this client_id"
)
_OUTCOMES = "accepted", "rejected"


class AWSIoTConnection(MQTTConnection[AWSIoTConfig]):
    """What `AWSIoTConnector` makes its calls over."""

    def __init__(
        self,
        config: AWSIoTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self.remembered = self.config.receive_maximum
        self._pace = Pace(self.config.messages_per_second)
        self._replies: dict[tuple[str, str], Replies] = {}

    @property
    def client_id(self) -> str:
        """Our name at AWS: as configured, else the gateway's."""
        return self.config.client_id or self.context.name

    @property
    def thing_name(self) -> str:
        """The thing whose shadows are meant: as configured, else our own name."""
        return self.config.thing_name or self.client_id

    def endpoints(self) -> Iterable[Endpoint]:
        """The account's endpoint."""
        return (self.config.address,)

    def _load(self) -> None:
        require("paho.mqtt", extra=self.kind)

    def _versions(self) -> Sequence[Version]:
        return ("5",)

    @property
    def _kept(self) -> bool:
        return self._has_input

    def _options(self, version: Version) -> SessionOptions:
        config, tls = self.config, self.config.tls
        cert, key = self._certificate()
        context = client_context(ca=tls.ca, cert=cert, key=key, min_version=tls.min_version)
        if config.says_alpn:
            context.set_alpn_protocols([ALPN])
        clean, expiry = self._session_life(version, config.session_expiry)
        return SessionOptions(
            endpoint=config.address,
            client_id=self.client_id,
            version=version,
            tls=context,
            server_name=tls.server_name or config.address.host,
            keepalive=config.keepalive,
            clean_start=clean,
            session_expiry=expiry,
            receive_maximum=config.receive_maximum,
            when_closed=_CLOSED,
        )

    def _certificate(self) -> tuple[str, str | None]:
        """Files of our certificate and private key."""
        tls = self.config.tls
        if tls.cert is not None:
            return tls.cert, tls.key
        folder = self.context.state_dir / "aws"
        cert, key = folder / "device.pem.crt", folder / "private.pem.key"
        if not cert.is_file():
            raise ConfigError(
                f"{self.name}: no device certificate: cert_path is not set, and '{cert}' is not "
                "there",
                hint="create one for the thing in AWS IoT and set cert_path and key_path",
            )
        return str(cert), str(key)

    async def check(self) -> Health:
        """One cheap round trip; notes on a device certificate that ends soon."""
        health = await super().check()
        return msgspec.structs.replace(health, notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        try:
            ours = load_certificates(Path(self._certificate()[0]).read_bytes())[0]
        except (OSError, ValueError):
            return ()  # what is wrong with it stands in the detail
        return notes_on({"our": ours})

    # ---- shadows ----------------------------------------------------------------------------

    async def _of_shadow(
        self, verb: str, shadow: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask the shadow service, and return what it has accepted."""
        token = secrets.token_hex(8)
        topic = shadow_topic(self.thing_name, check_shadow(shadow), verb)
        payload = encode({**document, "clientToken": token})

        def understand(answer: Message) -> Mapping[str, Any]:
            if answer.topic.endswith("/rejected"):
                raise refusal(answer.payload, f"{self.name}: {topic}")
            accepted: Mapping[str, Any] = decode(answer.payload)
            return accepted

        return await self._ask(
            self._replies_to(verb, shadow, topic),
            token,
            topic,
            payload,
            understand,
            repeatable="version" not in document,
        )

    def _replies_to(self, verb: str, shadow: str, topic: str) -> Replies:
        known = self._replies.get((verb, shadow))
        if known is None:
            known = self._replies[verb, shadow] = Replies(
                [f"{topic}/{outcome}" for outcome in _OUTCOMES],
                _client_token,
                service="the shadow service",
                hint=_SILENT,
            )
        return known


def _client_token(message: Message) -> str | None:
    content = message.json()
    token = content.get("clientToken") if isinstance(content, dict) else None
    return token if isinstance(token, str) else None
