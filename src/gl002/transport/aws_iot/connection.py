"""A session with AWS IoT Core: one device, its certificate, its shadows."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gl002.config.blocks import TlsSettings
from gl002.connector import Health
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, GL002Error
from gl002.pool import ConnectionPool
from gl002.security.certificates import load_certificates, notes_on
from gl002.security.network import Endpoint
from gl002.security.tls import client_context
from gl002.transport.aws_iot.provisioning import Device, claimed
from gl002.transport.aws_iot.settings import AWSIoTConfig, ProvisioningSettings
from gl002.transport.mqtt.connection import MQTTConnection
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import SessionOptions, Version
from gl002.transport.mqtt.replies import Replies
from gl002.transport.pace import Pace
from gl002.wire import aws_jobs
from gl002.wire.aws_iot import ALPN, check_shadow, refusal, shadow_topic
from gl002.wire.json_payload import decode, encode
from gl002.wire.sigv4 import Keys, Scope, signed_path

_SILENT = "does the policy allow iot:Subscribe and iot:Receive on the topics of its answers?"
_BUSY = (
    "a quota of the connection or the account is used up: lower messages_per_second, or have it "
    "raised"
)
_CLOSED = (
    "AWS hangs up on a certificate that is not active or not its own, and where its policy does "
    "not allow iot:Connect for this client_id"
)
_CLOSED_KEY = (
    "AWS hangs up where the policy of the access key does not allow iot:Connect for this client_id"
)
_REFUSED_KEY = (
    "check the access key, its session_token and the region, whether it is still active, and the "
    "clock of this machine"
)
_NO_CLAIM = "AWS hangs up on a claim certificate that is not active, or whose policy forbids this"
_SIGNED_FOR = 300  # seconds for which a signed address can be used; it is used at once
_RENEW_AFTER = 23 * 3600.0  # AWS ends a WebSocket after a day
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
        self._replies: dict[str, Replies] = {}

    @property
    def client_id(self) -> str:
        """Our name at AWS: as configured, else the gateway's."""
        return self.config.client_id or self.context.name

    @property
    def thing_name(self) -> str:
        """The thing whose shadows are meant: as configured, else our own name."""
        provisioned = self._device.thing_name() if self.config.provisioning is not None else ""
        return self.config.thing_name or provisioned or self.client_id

    def endpoints(self) -> Iterable[Endpoint]:
        """The account's endpoint."""
        return (self.config.address,)

    def _load(self) -> None:
        self._load_drivers(websocket=self.config.protocol == "mqtt_ws")

    def _versions(self) -> Sequence[Version]:
        return ("5",)

    @property
    def _kept(self) -> bool:
        return self._has_input

    @property
    def _tls(self) -> TlsSettings:
        """In a WebSocket the access key says who we are, and no certificate."""
        signed = self.config.protocol == "mqtt_ws"
        cert, key = (None, None) if signed else self._certificate()
        return self.config.tls.model_copy(update={"cert": cert, "key": key})

    async def _open(self) -> None:
        how = self.config.provisioning
        if how is not None and not self._device.certificate.is_file():
            await self._get_own_certificate(how)
        try:
            await super()._open()
        except AuthFailed as error:
            if self.config.protocol == "mqtt_ws":
                error.hint = error.hint or _REFUSED_KEY
            raise

    async def _get_own_certificate(self, how: ProvisioningSettings) -> None:
        """Once: from now on the gateway connects with what it gets here."""
        tls = self.config.tls
        context = client_context(
            ca=tls.ca, cert=how.claim_cert, key=how.claim_key, min_version=tls.min_version
        )
        claim = self._session_options(
            context, clean_start=True, session_expiry=0, when_closed=_NO_CLAIM
        )
        parameters = {"SerialNumber": self.client_id, **how.parameters}
        own = await claimed(how, claim, self.context.network, parameters, self._timeout)
        await asyncio.to_thread(self._device.save, *own)
        self.log.info("%s: provisioned, as thing '%s'", self.name, own.thing or self.thing_name)

    def _options(self, version: Version) -> SessionOptions:
        config = self.config
        clean, expiry = self._session_life(version, config.session_expiry)
        life = {"clean_start": clean, "session_expiry": expiry}
        if config.protocol == "mqtt_ws":
            return self._session_options(
                self._trust(), path=self._signed_path(), renew_after=_RENEW_AFTER,
                when_closed=_CLOSED_KEY, **life,
            )  # fmt: skip
        return self._session_options(self._trust(), when_closed=_CLOSED, **life)

    def _signed_path(self) -> str:
        """Path of the WebSocket, signed anew for each connection."""
        config = self.config
        assert config.secret_access_key is not None
        return signed_path(
            Keys(config.access_key_id, config.secret_access_key, config.session_token),
            Scope(config.signing_region, "iotdevicegateway"),
            host=config.tls.server_name or config.address.host,
            path="/mqtt",
            now=time.time(),
            expires=_SIGNED_FOR,
        )

    def _session_options(self, context: ssl.SSLContext | None, **more: Any) -> SessionOptions:
        config = self.config
        if context is not None and config.says_alpn and config.protocol != "mqtt_ws":
            context.set_alpn_protocols([ALPN])
        return SessionOptions(
            endpoint=config.address,
            client_id=self.client_id,
            version="5",
            tls=context,
            server_name=config.tls.server_name or config.address.host,
            keepalive=config.keepalive,
            receive_maximum=config.receive_maximum,
            when_busy=_BUSY,
            **more,
        )

    @property
    def _device(self) -> Device:
        return Device.in_folder(self.context.state_dir / "aws")

    def _certificate(self) -> tuple[str, str | None]:
        """Files of our certificate and private key."""
        tls = self.config.tls
        if tls.cert is not None:
            return tls.cert, tls.key
        cert, key = self._device.certificate, self._device.key
        if not cert.is_file():
            raise ConfigError(
                f"{self.name}: no device certificate: cert_path is not set, and '{cert}' is not "
                "there",
                hint="create one for the thing in AWS IoT and set cert_path and key_path, or add "
                "a block 'provisioning'",
            )
        return str(cert), str(key)

    async def check(self) -> Health:
        """One cheap round trip; notes on a device certificate that ends soon."""
        health = await super().check()
        return msgspec.structs.replace(health, notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        if self.config.protocol == "mqtt_ws":
            return ()
        try:
            ours = load_certificates(Path(self._certificate()[0]).read_bytes())[0]
        except (OSError, ValueError):  # a ConfigError, too
            return ()  # what is wrong with it stands in the detail
        return notes_on({"our": ours})

    # ---- asking a service -------------------------------------------------------------------

    async def _of_shadow(
        self, verb: str, shadow: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask the shadow service, and return what it has accepted."""
        topic = shadow_topic(self.thing_name, check_shadow(shadow), verb)
        once = "version" in document
        return await self._accepted(
            topic, topic, document, "the shadow service", refusal, once=once
        )

    async def _accepted(
        self,
        topic: str,
        answers: str,
        request: Mapping[str, Any],
        service: str,
        refused: Callable[[bytes, str], GL002Error],
        *,
        once: bool,
    ) -> Mapping[str, Any]:
        """Send a request, and return what it is answered with if it is accepted.

        Args:
            topic: of the request; the answer comes under '<topic>/accepted' or '/rejected'.
            answers: filter of such topics.
            request: JSON; a token is added by which the answer is known.
            service: that answers, for messages.
            refused: the error in a refusal.
            once: a second time would be refused because of the first.
        """
        token = secrets.token_hex(8)

        def understand(answer: Message) -> Mapping[str, Any]:
            if answer.topic.endswith("/rejected"):
                raise refused(answer.payload, f"{self.name}: {topic}")
            accepted: Mapping[str, Any] = decode(answer.payload)
            return accepted

        return await self._ask(
            self._replies_to(answers, service),
            token,
            topic,
            encode({**request, "clientToken": token}),
            understand,
            repeatable=not once,
        )

    def _replies_to(self, answers: str, service: str) -> Replies:
        known = self._replies.get(answers)
        if known is None:
            filters = [f"{answers}/{outcome}" for outcome in _OUTCOMES]
            known = self._replies[answers] = Replies(
                filters, _client_token, service=service, hint=_SILENT
            )
        return known

    async def _start_next_job(self) -> aws_jobs.Job | None:
        """Take the job that was begun, else the next that waits; None where there is none."""
        topic = aws_jobs.jobs_topic(self.thing_name, "start-next")
        return aws_jobs.job_in(await self._of_jobs(topic, topic, {}))

    async def _end_job(self, job: aws_jobs.Job, status: str, details: Mapping[str, object]) -> None:
        """Tell what became of a job."""
        topic = aws_jobs.jobs_topic(self.thing_name, job.id, "update")
        answers = aws_jobs.jobs_topic(self.thing_name, "+", "update")
        await self._of_jobs(topic, answers, aws_jobs.status_update(job, status, details))

    async def _of_jobs(
        self, topic: str, answers: str, request: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask the jobs service, and return what it has accepted."""
        once = "expectedVersion" in request
        return await self._accepted(
            topic, answers, request, "the jobs service", aws_jobs.refusal, once=once
        )


def _client_token(message: Message) -> str | None:
    content = message.json()
    token = content.get("clientToken") if isinstance(content, dict) else None
    return token if isinstance(token, str) else None
