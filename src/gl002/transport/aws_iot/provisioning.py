"""Fleet provisioning by claim: the first connection, with a certificate that all gateways share,
gets this gateway a certificate and a thing of its own.

The private key is made here and never leaves this machine, unless the configuration says so.
"""  # noqa: D205 (one sentence)

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gl002.errors import AuthFailed, ConfigError
from gl002.security.folders import make_private
from gl002.security.network import Network
from gl002.security.pki import write_whole
from gl002.transport.aws_iot.settings import ProvisioningSettings
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.route import Route
from gl002.transport.mqtt.session import MQTTSession
from gl002.wire import aws_provisioning as wire
from gl002.wire.json_payload import encode

log = logging.getLogger("gl002.aws")

_MOST_ANSWERS = 10


class Device(NamedTuple):
    """Files of a gateway's own certificate.

    Attributes:
        certificate, key: PEM; the certificate is written last, so that both are there when it is.
        thing: name of the thing, in words.
    """

    certificate: Path
    key: Path
    thing: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Device:
        """Where they lie in a folder."""
        return cls(folder / "device.pem.crt", folder / "private.pem.key", folder / "thing_name.txt")

    def thing_name(self) -> str:
        """Of the thing that was registered; '' where none was."""
        try:
            return self.thing.read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def save(self, certificate: str, key: str, thing: str) -> None:
        """Keep what AWS has given us, readable by us alone."""
        make_private(self.certificate.parent)
        for path, text in ((self.key, key), (self.thing, thing), (self.certificate, certificate)):
            write_whole(path, text.encode(), mode=0o600)


class Own(NamedTuple):
    """What a gateway gets: PEM of its certificate and key, name of its thing."""

    certificate: str
    key: str
    thing: str


async def claimed(
    how: ProvisioningSettings,
    options: SessionOptions,
    network: Network,
    parameters: Mapping[str, str],
    limit: float,
) -> Own:
    """Get a certificate and a thing. The caller limits the time.

    Args:
        how: template, and who makes the key.
        options: of a session with the claim certificate.
        network: to dial through.
        parameters: of the template.
        limit: seconds for one step.

    Raises:
        AuthFailed: AWS does not take the claim certificate, or its policy forbids this.
        RequestFailed: the template refuses us.
        Busy, ConnectFailed: it cannot be done now.
    """
    inbox = Inbox(log)
    session = await MQTTSession.open(options, network, inbox, timeout=limit)
    try:
        key, topic, request = "", wire.CREATE, dict[str, Any]()
        if how.key_made_by == "us":
            key, text = wire.certificate_request(options.client_id)
            topic, request = wire.FROM_REQUEST, {"certificateSigningRequest": text}
        own = wire.issued(await _asked(session, inbox, topic, request, limit))
        if not key and not own.key:
            raise ConfigError("AWS has made a certificate without a key")
        there = wire.register_topic(how.template)
        answer = await _asked(session, inbox, there, wire.registration(own, parameters), limit)
        return Own(own.certificate, key or own.key, wire.registered(answer))
    finally:
        await session.close()


async def _asked(
    session: MQTTSession, inbox: Inbox, topic: str, request: Mapping[str, Any], limit: float
) -> bytes:
    """The answer to a request, if it is accepted."""
    route = Route(inbox, [f"{topic}/accepted", f"{topic}/rejected"], _MOST_ANSWERS)
    inbox.add(route)
    try:
        await session.subscribe(route.filters, qos=1, patience=limit)
        await session.publish(topic, encode(request), qos=1)
        messages = list(await route.take())
        route.all_done()
    finally:
        inbox.remove(route)
    if not messages:
        raise AuthFailed(f"{topic}: no answer", hint="the policy of the claim certificate")
    answer = messages[0]
    if answer.topic.endswith("/rejected"):
        raise wire.refusal(answer.payload, topic)
    return answer.payload
