"""A session with AWS IoT Core: one device, its certificate, its shadows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gl002.connector import Health
from gl002.context import Context
from gl002.errors import ConfigError, GL002Error, require
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
from gl002.wire import aws_jobs
from gl002.wire.aws_iot import ALPN, check_shadow, refusal, shadow_topic
from gl002.wire.json_payload import decode, encode

_SILENT = "does the policy allow iot:Subscribe and iot:Receive on the topics of its answers?"
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
        self._replies: dict[str, Replies] = {}

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
