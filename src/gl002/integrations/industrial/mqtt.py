"""MQTT brokers: publish, subscribe, topics as inputs and outputs, Sparkplug B payloads.

    from gl002.integrations.industrial import MQTTConnector

    mqtt = MQTTConnector({"broker": "mqtts://mqtt.broker.com", "username": "gl002"})
    await mqtt.subscribe(["boiler/+/data"], callback=handle_message)
    await mqtt.publish(topic="boiler/001/optimization", payload={"efficiency": 85.4})

A message is acknowledged when its callback has returned, or when its values are durable in the
store. `publish` returns when the broker has taken over. How Python values become JSON:
`gl002.wire.json_payload`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from gl002.bridge import Blocking, blocking, on_callback_thread, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import ConfigError, DataError, Unsupported
from gl002.model import Batch, now_ns, to_ns
from gl002.pool import ConnectionPool
from gl002.transport.mqtt.broker import MQTTBrokerConnection
from gl002.transport.mqtt.commands import commanded, is_command
from gl002.transport.mqtt.entries import MQTTInput, MQTTOutput
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.settings import MQTTConfig
from gl002.transport.mqtt.sink import MQTTSink
from gl002.transport.mqtt.source import MQTTSource
from gl002.transport.mqtt.sparkplug import SparkplugSink
from gl002.wire import sparkplug
from gl002.wire.mqtt_payload import payload_of
from gl002.wire.mqtt_topic import check_name, filters_of
from gl002.wire.sample_topic import topic_template
from gl002.wire.sparkplug_host import SparkplugDecoder

_SEQUENCE = 256  # Sparkplug B numbers messages from 0 to 255


class MQTTConnector(MQTTBrokerConnection):
    """A connection to a broker, shared by everything that publishes and subscribes.

    Subscriptions with a callback come back by themselves after an outage. With MQTT 5 the broker
    keeps what they miss meanwhile; across a restart of this program it does so with
    `clean_start: false`, which is the default where the connection has an input.
    """

    kind = "mqtt"
    can = Capability.STREAM | Capability.STORE
    Config = MQTTConfig
    Input = MQTTInput
    Output = MQTTOutput
    environment: ClassVar = {"GL002_MQTT_BROKER": "broker"}

    _sequence = 0  # of the next payload made by hand

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """The broker of a URL."""
        return {"broker": url}

    # ---- calls of the guide -----------------------------------------------------------------

    async def subscribe(
        self,
        topics: str | Sequence[str],
        callback: Callable[[Message], Any],
        *,
        qos: int | None = None,
    ) -> None:
        """Call `callback` with each message of these topics, in order, until `unsubscribe`.

        Args:
            topics: a topic filter or several: 'boiler/+/data'.
            callback: plain or coroutine function that takes a `Message`. The message is
                acknowledged when it has returned, and also when it has raised, which is logged.
            qos: 0, 1 or 2; that of the configuration where absent. A broker that grants less is
                told of in the log and by `check`.

        Raises:
            ConfigError: a filter is not valid.
            RequestFailed: the broker refuses one.
            ConnectFailed, RequestTimeout: after the configured number of tries.
        """
        await self._call_back(filters_of(topics), callback, _qos(qos, self.config.qos))

    async def unsubscribe(self, topics: str | Sequence[str]) -> None:
        """End the subscriptions that were made with exactly these topics.

        Raises:
            ConnectFailed, RequestTimeout: the broker could not be told; they have ended here.
        """
        await self._end_call_back(filters_of(topics))

    async def publish(
        self,
        topic: str,
        payload: Any,
        qos: int | None = None,
        retain: bool | None = None,  # noqa: FBT001 (the guide's order)
    ) -> None:
        """Publish a message; returns when the broker has taken it over.

        A command of Sparkplug B (its topic has NCMD or DCMD) is a write to a plant: audited before
        it is sent and with its outcome, and never repeated by itself.

        Args:
            topic: one topic, without wildcards.
            payload: bytes and text as they are; None is an empty message; anything else as JSON.
            qos: 0, 1 or 2; that of the configuration where absent. With 0 nothing is confirmed.
            retain: the broker keeps it for new subscribers; as configured where absent.

        Raises:
            ConfigError: the topic is not valid.
            DataError: the payload has no JSON form, or is larger than the broker takes.
            RequestFailed: the broker refuses it (MQTT 5; before, it would not say so).
            Unsupported: QoS 2 on a session that the broker keeps.
            ConnectFailed, RequestTimeout: whether it arrived is unknown.
            WriteRefused: it is a command, and the audit file cannot be written; nothing was sent.
        """
        check_name(topic)
        level = _qos(qos, self.config.qos)
        if level > 1 and self._kept:
            raise Unsupported(
                f"{self.name}: QoS 2 on a session that the broker keeps over a restart: what is "
                "under way would have to be on disk, and is not",
                hint="publish with qos 1, or over a connection of its own with clean_start: true",
            )
        kept = self.config.retain if retain is None else retain
        content = payload_of(payload)
        if is_command(topic):
            await self._write_to_plant(
                lambda: self._live().publish(topic, content, qos=level, retain=kept),
                address=topic,
                value=commanded(content),
            )
        else:
            await self._publish(topic, content, qos=level, retain=kept)

    def create_sparkplug_payload(
        self,
        metrics: Mapping[str, Any],
        *,
        datatypes: Mapping[str, int] | None = None,
        timestamp: datetime | None = None,
    ) -> bytes:
        """A Sparkplug B payload with these metrics, the time now, and the next sequence number.

        Args:
            metrics: name -> value. Whole numbers are Int64, others Double, text String.
            datatypes: name -> `gl002.wire.sparkplug.DataType`, where another one is wanted;
                needed for a value of None.
            timestamp: of the payload, instead of now; without a zone it is local time.

        Raises:
            DataError: a value does not fit its type.
            MissingDependency: the package 'protobuf' is not installed.
        """
        types = datatypes or {}
        payload = sparkplug.Payload(
            metrics=[
                sparkplug.metric(name, value, datatype=types.get(name))
                for name, value in metrics.items()
            ],
            time=now_ns() if timestamp is None else to_ns(timestamp),
            seq=self._sequence,
        )
        encoded = sparkplug.encode(payload)
        self._sequence = (self._sequence + 1) % _SEQUENCE
        return encoded

    async def publish_sparkplug(self, topic: str, payload: bytes) -> None:
        """Publish a Sparkplug B payload as the specification asks: QoS 0, not retained.

        Args:
            topic: 'spBv1.0/<group>/<message type>/<edge node>/<device>'; taken as it is.
            payload: of `create_sparkplug_payload`.

        Raises:
            ConfigError, DataError, ConnectFailed, RequestTimeout: as `publish`.
        """
        await self.publish(topic, payload, qos=0, retain=False)

    # ---- what the flow asks -----------------------------------------------------------------

    def source(self, spec: InputSettings) -> MQTTSource:
        """Subscribe to topics; from now on the broker keeps our session."""
        assert isinstance(spec, MQTTInput)
        if self._edge is not None:
            raise ConfigError(
                f"{self.name}: an edge node of Sparkplug starts clean, so an input would miss what "
                "is published while we are away",
                hint="give the input a connection of its own",
            )
        decoder = spec.decoder()
        if self._host is not None:
            self._host.listen(decoder.filters)

        async def ask_for_births() -> None:
            if isinstance(decoder, SparkplugDecoder):
                for request in decoder.rebirths():
                    await self._live().publish(request.topic, request.payload, qos=0)

        if isinstance(decoder, SparkplugDecoder) and self.config.sparkplug is not None:
            decoder.types_in_commands = self.config.sparkplug.types_in_data
        return self._stream(
            decoder,
            qos=spec.qos,
            max_tags=spec.max_tags,
            answer=ask_for_births,
            holds=decoder if isinstance(decoder, SparkplugDecoder) else None,
        )

    def sink(self, spec: OutputSettings) -> MQTTSink | SparkplugSink:
        """Publish samples.

        Raises:
            ConfigError: it cannot be published so on this connection.
        """
        assert isinstance(spec, MQTTOutput)
        if spec.format == "sparkplug":
            return self._sparkplug_sink()
        if spec.qos == _EXACTLY_ONCE and not self.config.clean_start:
            raise ConfigError(
                f"{self.name}: an output with QoS 2 on a session that the broker may keep: what is "
                "under way would have to be on disk, and is not",
                hint="qos: 1, where the 'id' of each message tells a repeat; "
                "or 'clean_start: true' for the connection, and another one for inputs",
            )
        return self._publisher(
            topic_template(spec.topic),
            qos=min(self.config.qos, 1) if spec.qos is None else spec.qos,
            retain=self.config.retain if spec.retain is None else spec.retain,
            largest=spec.max_payload,
        )

    def _sparkplug_sink(self) -> SparkplugSink:
        edge = self._edge
        if edge is None:
            raise ConfigError(
                f"{self.name}: an output with format sparkplug, and the connection is no edge node",
                hint=f"give {self.name} a block 'sparkplug: {{group: ..., node: ...}}'",
            )

        async def deliver(batch: Batch) -> None:
            await self._call(
                lambda: edge.deliver(self._live(), batch), what=f"publish {len(batch)} metrics"
            )

        return SparkplugSink(self.name, deliver)


_EXACTLY_ONCE = 2


def _qos(given: int | None, configured: int) -> int:
    qos = configured if given is None else given
    if qos not in {0, 1, 2}:
        raise DataError(f"qos {qos} does not exist", hint="0, 1 or 2")
    return qos


class SyncMQTTConnector(Blocking[MQTTConnector]):
    """The blocking face of `MQTTConnector`: same calls, without `await`.

    Callbacks run one after the other on a thread of their own.
    """

    def __init__(
        self,
        config: MQTTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(MQTTConnector(config, name=name, pool=pool, context=context))

    @functools.wraps(MQTTConnector.subscribe)
    def subscribe(
        self,
        topics: str | Sequence[str],
        callback: Callable[[Message], Any],
        *,
        qos: int | None = None,
    ) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.subscribe(topics, on_callback_thread(callback), qos=qos))

    connect = blocking(MQTTConnector.connect)
    close = blocking(MQTTConnector.close)
    check = blocking(MQTTConnector.check)
    read = blocking(MQTTConnector.read)
    write = blocking(MQTTConnector.write)
    set_timeout = plain(MQTTConnector.set_timeout)
    try_at_once = plain(MQTTConnector.try_at_once)
    unsubscribe = blocking(MQTTConnector.unsubscribe)
    publish = blocking(MQTTConnector.publish)
    create_sparkplug_payload = plain(MQTTConnector.create_sparkplug_payload)
    publish_sparkplug = blocking(MQTTConnector.publish_sparkplug)
