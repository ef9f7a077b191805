"""Azure IoT Hub: telemetry, device twin, direct methods, messages from the cloud, over MQTT.

    from gl002.integrations.cloud import AzureIoTConnector

    azure = AzureIoTConnector({
        "connection_string": "HostName=hub.azure-devices.net;DeviceId=boiler1;SharedAccessKey=...",
    })
    await azure.send_telemetry({"efficiency": 85.4})
    await azure.update_twin({"properties": {"reported": {"firmwareVersion": "2.0.0"}}})

A token is made from the key and renewed before it expires, without losing the session. What the
cloud wishes arrives as a call or as tags; nothing is written to a plant because of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from gl002.bridge import Blocking, blocking, on_callback_thread, plain
from gl002.config.flow import InputSettings, OutputSettings
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import DataError
from gl002.model import now_ns
from gl002.pool import ConnectionPool
from gl002.proposal import PROPOSE, Proposal
from gl002.transport.azure_iot.connection import AzureIoTConnection, checked_message
from gl002.transport.azure_iot.settings import AzureIoTConfig, AzureIoTInput, AzureIoTOutput
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.sink import MQTTSink, Outgoing
from gl002.transport.mqtt.source import MQTTSource
from gl002.transport.mqtt.wishes import Wishes
from gl002.wire import azure_iot as wire
from gl002.wire.azure_iot import Answer, Method
from gl002.wire.desired_state import State
from gl002.wire.json_payload import decode, encode
from gl002.wire.mqtt_payload import payload_of
from gl002.wire.sample_topic import topic_template

_JSON = {"$.ct": "application/json", "$.ce": "utf-8"}
_KEPT, _REFUSED = 202, 400
_FAILED = 500
_SHAPE = "{'properties': {'reported': {...}}}"


class _Identified(msgspec.Struct):
    """The part of our own messages that says which one it is."""

    id: str


class AzureIoTConnector(AzureIoTConnection):
    """A connection of one device, or of a module on it, to its hub.

    Subscriptions with a callback come back by themselves after an outage.
    """

    kind = "azure"
    can = Capability.STREAM | Capability.STORE
    Config = AzureIoTConfig
    Input = AzureIoTInput
    Output = AzureIoTOutput
    environment: ClassVar = {"GL002_AZURE_IOT_CONNECTION": "connection_string"}
    _methods_answered = False

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """The connection string in a URL, 'azure:HostName=...;DeviceId=...'."""
        return {"connection_string": url.partition(":")[2].removeprefix("//")}

    # ---- telemetry --------------------------------------------------------------------------

    async def send_telemetry(
        self,
        payload: Any,
        *,
        content_type: str = "",
        content_encoding: str = "",
        properties: Mapping[str, str] | None = None,
        message_id: str = "",
    ) -> None:
        """Send a message to the hub; returns when the hub has taken it over.

        Args:
            payload: bytes and text as they are; anything else as JSON.
            content_type: 'application/json' where absent and the payload is no bytes; the hub's
                routes look into messages of this type only.
            content_encoding: 'utf-8' where absent and the payload is no bytes.
            properties: of your own, for the hub's routes.
            message_id: a name of the message, the same when it is sent again; a random one where
                absent.

        Raises:
            DataError: it has no JSON form, or is larger than 256 KiB with its properties.
            ConnectFailed, RequestTimeout: whether it arrived is unknown.
        """
        known = {"$.mid": message_id or secrets.token_hex(16)}
        if not isinstance(payload, bytes | bytearray | memoryview):
            known |= _JSON
        if content_type:
            known["$.ct"] = content_type
        if content_encoding:
            known["$.ce"] = content_encoding
        topic = self._events(known | dict(properties or {}))
        content = checked_message(payload_of(payload), topic)
        await self._publish(topic, content, qos=1, retain=False)

    async def send_telemetry_batch(
        self, payloads: Sequence[Any], *, properties: Mapping[str, str] | None = None
    ) -> None:
        """Send several messages, many of them under way at once; returns when the hub has all.

        Args:
            payloads: each as that of `send_telemetry`.
            properties: of each message.

        Raises:
            DataError: one of them cannot be sent; then none was.
            ConnectFailed, RequestTimeout: whether they arrived is unknown.
        """
        messages = []
        for i, payload in enumerate(payloads):
            named = {"$.mid": secrets.token_hex(16), **_JSON, **(properties or {})}
            topic = self._events(named)
            content = checked_message(payload_of(payload), topic)
            messages.append(Outgoing(topic, content, range(i, i + 1)))
        await self._publish_all(messages, qos=1, retain=False, pace=self._pace)

    def _events(self, properties: Mapping[str, str]) -> str:
        return wire.events_topic(self.config.device, properties, self.config.module_id)

    # ---- the twin ---------------------------------------------------------------------------

    async def update_twin(self, document: Mapping[str, Any]) -> int:
        """Change reported properties of the twin; returns their new version.

        Args:
            document: {'properties': {'reported': {...}}}; null removes a property.

        Raises:
            DataError: it has another shape, is larger than 32 KiB, or the hub takes it for none.
            Busy: the hub is at the limit of its tier, has a fault, or is silent.
            RequestFailed: it was refused for another reason.
            ConnectFailed, RequestTimeout: whether it was carried out is unknown.
        """
        inner = document.get("properties")
        reported = inner.get("reported") if isinstance(inner, Mapping) else None
        if not isinstance(reported, Mapping) or set(document) | set(inner or ()) != {
            "properties", "reported",
        }:  # fmt: skip
            raise DataError("a twin is updated by its reported properties alone", hint=_SHAPE)
        payload = encode(reported)
        if len(payload) > wire.LARGEST_REPORTED:
            raise DataError(f"{len(payload)} bytes: reported properties have at most 32 KiB")
        return await self._of_twin(wire.report_topic, payload, lambda result, _: result.version)

    async def get_twin(self) -> Mapping[str, Any]:
        """The twin: {'desired': {..., '$version'}, 'reported': {..., '$version'}}.

        Raises:
            Busy, RequestFailed, ConnectFailed, RequestTimeout: as `update_twin`.
        """
        twin: Mapping[str, Any] = await self._of_twin(
            wire.get_topic, b"", lambda _, content: decode(content)
        )
        return twin

    async def on_desired(self, callback: Callable[[State], Any]) -> None:
        """Call `callback` with the desired properties: all of them now, then what changes.

        A `State` has `values`, `version`, and `whole`: all properties, or only what has changed
        (None for what was taken away). After an outage all come again. A change that is not newer
        than the last is left out.

        Args:
            callback: plain or coroutine function.

        Raises:
            RequestFailed, ConnectFailed, RequestTimeout: after the configured number of tries.
        """
        newest, turn = -1, asyncio.Lock()

        async def hand_over(state: State) -> None:
            nonlocal newest
            async with turn:
                if state.whole or state.version > newest:
                    newest = state.version
                    await _called(callback, state)

        async def arrived(message: Message) -> None:
            state = wire.read_state(message.topic, message.payload)
            assert state is not None
            await hand_over(state)

        async def catch_up() -> None:
            state = await self._of_twin(wire.get_topic, b"", lambda _, twin: wire.desired_in(twin))
            await hand_over(state)

        await self._call_back([f"{wire.DESIRED}#"], arrived, 1, catch_up)

    # ---- what the cloud asks ----------------------------------------------------------------

    async def on_method(self, callback: Callable[[Method], Any]) -> None:
        """Answer direct methods with what `callback` returns.

        Whoever calls the method waits for the answer, 30 s by custom of the hub. To write to the
        plant because of one, ask `gl002.writes`: it checks, and a person confirms.

        Args:
            callback: plain or coroutine function that takes a `Method`, and returns an `Answer` or
                the payload of one with status 200. If it raises, the caller is told status 500.

        Raises:
            RequestFailed, ConnectFailed, RequestTimeout: after the configured number of tries.
        """

        async def arrived(message: Message) -> None:
            method = wire.method_of(message.topic, message.payload)
            try:
                outcome = await _called(callback, method)
                answer = outcome if isinstance(outcome, Answer) else Answer(payload=outcome)
                payload = encode(answer.payload)
            except Exception as error:  # whatever it is, the caller must not wait
                self.log.exception("%s: the method '%s' failed", self.name, method.name)
                answer = Answer(_FAILED)
                payload = encode({"error": type(error).__name__})
            topic = wire.methods_answer(method.request, answer.status)
            await self._publish(topic, payload, qos=1, retain=False)

        await self._call_back([f"{wire.METHODS}#"], arrived, 1)

    async def on_message(self, callback: Callable[[Message, Mapping[str, str]], Any]) -> None:
        """Call `callback` with each cloud-to-device message and its properties.

        Args:
            callback: plain or coroutine function that takes a `Message` and its properties, those
                of the system beginning with '$.'. The message is acknowledged when it has
                returned, and also when it has raised, which is logged.

        Raises:
            RequestFailed, ConnectFailed, RequestTimeout: after the configured number of tries.
        """

        async def arrived(message: Message) -> None:
            await _called(callback, message, wire.properties_in(message.topic))

        await self._call_back([wire.commands_filter(self.config.device)], arrived, 1)

    # ---- what the flow asks -----------------------------------------------------------------

    def source(self, spec: InputSettings) -> MQTTSource:
        """The desired properties, or messages from the cloud."""
        assert isinstance(spec, AzureIoTInput)

        async def ask_for_twin() -> None:
            topic = wire.get_topic(secrets.token_hex(8))
            await self._publish(topic, b"", qos=1, retain=False)
            await self._answer_methods()

        return self._stream(
            spec.decoder_for(self.config.device),
            qos=1,
            max_tags=spec.max_tags,
            then=ask_for_twin if spec.what == "desired" else None,
            wishes=self._wishes(spec) if spec.what == "desired" else None,
        )

    async def _answer_methods(self) -> None:
        """Take proposals by direct method, too, where this connection may propose."""
        if not self._methods_answered and self.context.proposals.open_to(self.name):
            await self.on_method(self._propose)
            self._methods_answered = True

    async def _propose(self, method: Method) -> Answer:
        """A direct method as a proposal for a write; its answer says whether it is kept."""
        asker = f"direct method of {self.config.device}"
        if method.name != PROPOSE:
            return Answer(_REFUSED, {"error": f"there is no '{method.name}', only '{PROPOSE}'"})
        once = f"{method.request}@{now_ns()}"
        try:
            proposal = Proposal.asked(method.payload, id=once, origin=self.name, asker=asker)
        except DataError as error:
            return Answer(_REFUSED, {"error": str(error)})
        answer = await self.context.proposals.offer(proposal)
        return Answer(_KEPT if answer.accepted else _REFUSED, answer.told())

    def _wishes(self, spec: AzureIoTInput) -> Wishes:
        """Proposals from desired properties, and what became of them in the reported ones."""

        async def report(document: Mapping[str, Any]) -> None:
            await self.update_twin({"properties": {"reported": document}})

        asker, prefix = f"twin of {self.config.device}", spec.prefix or "desired."
        return Wishes(self.name, self.context.proposals, prefix, asker, report)

    def sink(self, spec: OutputSettings) -> MQTTSink:
        """Send samples as telemetry; the id of a message depends on nothing but its samples."""
        assert isinstance(spec, AzureIoTOutput)
        properties = spec.properties

        def addressed(message: Outgoing) -> Outgoing:
            named = {"$.mid": msgspec.json.decode(message.payload, type=_Identified).id}
            return message._replace(topic=self._events(named | _JSON | properties))

        return self._publisher(
            topic_template("events"),
            qos=1,
            retain=False,
            largest=spec.max_payload,
            pace=self._pace,
            addressed=addressed,
        )


async def _called(callback: Callable[..., Any], *arguments: Any) -> Any:
    outcome = callback(*arguments)
    return await outcome if inspect.isawaitable(outcome) else outcome


class SyncAzureIoTConnector(Blocking[AzureIoTConnector]):
    """The blocking face of `AzureIoTConnector`: same calls, without `await`.

    Callbacks run one after the other on a thread of their own.
    """

    def __init__(
        self,
        config: AzureIoTConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AzureIoTConnector(config, name=name, pool=pool, context=context))

    @functools.wraps(AzureIoTConnector.on_desired)
    def on_desired(self, callback: Callable[[State], Any]) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.on_desired(on_callback_thread(callback)))

    @functools.wraps(AzureIoTConnector.on_method)
    def on_method(self, callback: Callable[[Method], Any]) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.on_method(on_callback_thread(callback)))

    @functools.wraps(AzureIoTConnector.on_message)
    def on_message(self, callback: Callable[[Message, Mapping[str, str]], Any]) -> None:
        """As that of the twin, with the callback on the callback thread."""
        self._portal().run(self.aio.on_message(on_callback_thread(callback)))

    connect = blocking(AzureIoTConnector.connect)
    close = blocking(AzureIoTConnector.close)
    check = blocking(AzureIoTConnector.check)
    set_timeout = plain(AzureIoTConnector.set_timeout)
    try_at_once = plain(AzureIoTConnector.try_at_once)
    send_telemetry = blocking(AzureIoTConnector.send_telemetry)
    send_telemetry_batch = blocking(AzureIoTConnector.send_telemetry_batch)
    update_twin = blocking(AzureIoTConnector.update_twin)
    get_twin = blocking(AzureIoTConnector.get_twin)
