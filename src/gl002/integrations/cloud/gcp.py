"""Google Cloud Pub/Sub: publish, pull, and samples on their way to BigQuery, over REST.

    from gl002.integrations.cloud import GCPIoTConnector

    gcp = GCPIoTConnector({"project": "plant-1", "credentials": "/etc/gl002/plant-1.json"})
    await gcp.publish("samples", {"efficiency": 85.4}, ordering_key="boiler1")
    for message in await gcp.pull("wishes"):
        print(message.json())
        await gcp.acknowledge("wishes", [message])

Google retired its IoT Core on 16 August 2023: devices and gateways speak to Pub/Sub itself. The
services that took over its MQTT bridge are reached with kind 'mqtt' and its block `jwt`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from gl002.bridge import Blocking, blocking, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import DataError
from gl002.pool import ConnectionPool
from gl002.transport.pubsub.commands import Commands
from gl002.transport.pubsub.session import PubSubSession
from gl002.transport.pubsub.settings import GCPConfig, GCPInput, GCPOutput
from gl002.transport.pubsub.sink import PubSubSink
from gl002.transport.pubsub.source import PubSubSource, Subscription
from gl002.wire.mqtt_payload import payload_of
from gl002.wire.pubsub import LONGEST_DEADLINE, MOST_PULLED, Message, Received, checked

_WAIT = 5.0  # seconds a pull of one's own waits for a first message


class GCPIoTConnector(PubSubSession):
    """Topics and subscriptions of one project."""

    kind = "gcp"
    can = Capability.STREAM | Capability.STORE
    Config = GCPConfig
    Input = GCPInput
    Output = GCPOutput
    environment: ClassVar = {"GL002_GCP_PROJECT": "project"}

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """The project of a URL, 'gcp://plant-1'."""
        return {"project": url.partition("://")[2].strip("/")}

    # ---- publishing -------------------------------------------------------------------------

    async def publish(
        self,
        topic: str,
        payload: Any,
        *,
        attributes: Mapping[str, str] | None = None,
        ordering_key: str = "",
        message_id: str = "",
    ) -> str:
        """Publish a message; returns the id that the service has given it.

        Args:
            topic: its name, or 'projects/<project>/topics/<name>'.
            payload: bytes and text as they are; anything else as JSON.
            attributes: names and values beside it, for filters.
            ordering_key: messages of one key are delivered in the order they were published.
            message_id: its attribute 'id', by which a repeat is known; a random one where absent.

        Raises:
            ConfigError: that is no name of a topic.
            DataError: it has no JSON form, is too large, or does not fit the topic's schema.
            TagNotFound: there is no such topic.
            AccessDenied: we may not publish to it; says which role is missing.
            Busy: a quota is used up.
            ConnectFailed, RequestTimeout: whether it arrived is unknown.
        """
        message = self._message(payload, attributes, ordering_key, message_id)
        return (await self._publish(topic, [message]))[0]

    async def publish_batch(
        self,
        topic: str,
        payloads: Sequence[Any],
        *,
        attributes: Mapping[str, str] | None = None,
        ordering_key: str = "",
    ) -> list[str]:
        """Publish several messages in order, in as few requests as they fit into, at our pace.

        Args:
            topic: as that of `publish`.
            payloads: each as that of `publish`.
            attributes: of each message.
            ordering_key: of each message.

        Raises:
            DataError: one of them cannot be sent; then none was.
            GL002Error: as `publish`; those before the one that failed are published.
        """
        messages = [self._message(p, attributes, ordering_key, "") for p in payloads]
        return await self._publish_paced(topic, messages)

    def _message(
        self, payload: Any, attributes: Mapping[str, str] | None, ordering_key: str, message_id: str
    ) -> Message:
        named = {"id": message_id or secrets.token_hex(16), **(attributes or {})}
        return checked(
            Message(data=payload_of(payload), attributes=named, ordering_key=ordering_key)
        )

    async def _publish_paced(self, topic: str, messages: Sequence[Message]) -> list[str]:
        ids: list[str] = []
        for part in self._pace.portions(messages):
            await self._pace.take(len(part))
            ids += await self._publish(topic, part)
        return ids

    # ---- pulling ----------------------------------------------------------------------------

    async def pull(
        self, subscription: str, *, most: int = 100, wait: float = _WAIT
    ) -> list[Received]:
        """Messages that wait in a subscription; they come again until they are acknowledged.

        Args:
            subscription: its name, or 'projects/<project>/subscriptions/<name>'.
            most: messages at once.
            wait: seconds the service may wait for a first one.

        Raises:
            TagNotFound: there is no such subscription.
            GL002Error: as `publish`.
        """
        if not 1 <= most <= MOST_PULLED:
            raise DataError(f"{most} messages at once: 1 to {MOST_PULLED}")
        return await self._pull(subscription, most, wait)

    async def acknowledge(self, subscription: str, messages: Sequence[Received]) -> None:
        """They need not come again; safe to call twice."""
        await self._acknowledge(subscription, [message.ack_id for message in messages])

    async def postpone(self, subscription: str, messages: Sequence[Received], seconds: int) -> None:
        """They come again in so many seconds, at most 600, unless they are acknowledged; 0: now."""
        if not 0 <= seconds <= LONGEST_DEADLINE:
            raise DataError(f"{seconds} s: a deadline is at most {LONGEST_DEADLINE} s away")
        await self._postpone(subscription, [message.ack_id for message in messages], seconds)

    # ---- what the flow asks -----------------------------------------------------------------

    def source(self, spec: InputSettings) -> PubSubSource:
        """A pull subscription; acknowledged when its values are on disk."""
        assert isinstance(spec, GCPInput)
        name = spec.subscription
        there = Subscription(
            pull=partial(self._pull, name, spec.max_messages, spec.wait),
            acknowledge=partial(self._acknowledge, name),
            postpone=partial(self._postpone, name),
        )
        commands = None
        if spec.commands:
            commands = Commands(self.name, self.context.proposals, self._teller(spec.answers))
        return PubSubSource(self.name, spec, there, self.context.tags, commands)

    def _teller(self, topic: str) -> Callable[[Message], Awaitable[object]] | None:
        """What publishes the answers to commands; None where no topic is named."""
        if not topic:
            return None
        return lambda answer: self._publish(topic, [answer])

    def sink(self, spec: OutputSettings) -> PubSubSink:
        """Publish samples; the id of a message depends on nothing but its samples."""
        assert isinstance(spec, GCPOutput)
        return PubSubSink(
            self.name,
            spec,
            publish=lambda messages: self._publish_paced(spec.topic, messages),
            look=lambda: self._look("topics", spec.topic),
            gateway=self.context.name,
            tags=self.context.tags,
        )


class SyncGCPIoTConnector(Blocking[GCPIoTConnector]):
    """The blocking face of `GCPIoTConnector`: same calls, without `await`."""

    def __init__(
        self,
        config: GCPConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(GCPIoTConnector(config, name=name, pool=pool, context=context))

    connect = blocking(GCPIoTConnector.connect)
    close = blocking(GCPIoTConnector.close)
    check = blocking(GCPIoTConnector.check)
    set_timeout = plain(GCPIoTConnector.set_timeout)
    try_at_once = plain(GCPIoTConnector.try_at_once)
    publish = blocking(GCPIoTConnector.publish)
    publish_batch = blocking(GCPIoTConnector.publish_batch)
    pull = blocking(GCPIoTConnector.pull)
    acknowledge = blocking(GCPIoTConnector.acknowledge)
    postpone = blocking(GCPIoTConnector.postpone)
