"""A topic as a destination: samples become messages, and count when the service has taken them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gl002.errors import DataError
from gl002.model import TagTable
from gl002.transport.mqtt.sink import MQTTSink, Outgoing
from gl002.transport.pubsub.settings import GCPOutput
from gl002.wire.pubsub import Message, checked
from gl002.wire.sample_topic import topic_template


class _Identified(msgspec.Struct):
    """The part of our own messages that says which one it is."""

    id: str


class PubSubSink(MQTTSink):
    """One entry of `data_flow.output`: packed and identified as messages of MQTT are.

    Args:
        name: connector instance.
        spec: the topic, and what a message has beside its samples.
        publish: delivers messages in order, or raises.
        look: raises where the topic is not there.
        gateway: its name, for the messages.
        tags: their units and sources.
    """

    def __init__(
        self,
        name: str,
        spec: GCPOutput,
        *,
        publish: Callable[[Sequence[Message]], Awaitable[object]],
        look: Callable[[], Awaitable[None]],
        gateway: str,
        tags: TagTable,
    ) -> None:
        super().__init__(
            name, spec.template, self._publish_all, gateway=gateway, tags=tags,
            largest=spec.max_payload,
        )  # fmt: skip
        self._spec = spec
        self._send = publish
        self._look = look
        self._key = ""  # the same for all; '' where each message has its own, or none has
        if spec.ordering_key and spec.template.text != spec.ordering_key:
            self._key = topic_template(spec.ordering_key).fill({"gateway": gateway})

    async def prepare(self) -> None:
        """Look whether the topic is there, as far as we may.

        Raises:
            TagNotFound: it is not.
        """
        await self._look()

    async def _publish_all(self, messages: Sequence[Outgoing]) -> Sequence[DataError | None]:
        outcomes: list[DataError | None] = []
        fitting: list[Message] = []
        for outgoing in messages:
            try:
                fitting.append(self._message(outgoing))
                outcomes.append(None)
            except DataError as error:
                outcomes.append(error)
        await self._send(fitting)
        return outcomes

    def _message(self, outgoing: Outgoing) -> Message:
        has_own = self._spec.ordering_key and not self._key
        identity = msgspec.json.decode(outgoing.payload, type=_Identified).id
        return checked(
            Message(
                data=outgoing.payload,
                attributes={"id": identity, **self._spec.attributes},
                ordering_key=outgoing.topic if has_own else self._key,
            )
        )
