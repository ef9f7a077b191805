"""paho-mqtt at its edge: a client on our stream, its properties, its way to subscribe.

paho is untyped in places and an extra, so nothing of it is named outside of this module, and it is
imported only when a session opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.stream import Stream

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_LARGEST_PACKET = 16 * 1024 * 1024  # bytes that a broker may send us in one message (MQTT 5)
_REASON = 2  # place of the reason code in PUBREC and PUBREL, after the packet identifier
_TYPE = 4  # bits of a packet's first byte that stand below its type
_FAILURE = 0x80  # reason codes from here on are failures (MQTT 5.0, section 2.4)
_OF_MESSAGES = {
    "PayloadFormatIndicator": "payload_format_indicator",
    "MessageExpiryInterval": "message_expiry_interval",
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "SubscriptionIdentifier": "subscription_identifier",
    "UserProperty": "user_property",
}
_LIMITS = ("ReceiveMaximum", "MaximumQoS", "RetainAvailable", "MaximumPacketSize")


def client(options: SessionOptions, stream: Stream) -> Client:
    """A client on `stream`, without a thread, that acknowledges nothing by itself.

    Made for one CONNECT, which follows at once: the will is that of this connection.
    """
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    mqtt5 = options.version == "5"
    made = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        clean_session=None if mqtt5 else options.clean_start,
        protocol=mqtt.MQTTv5 if mqtt5 else mqtt.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    made.max_inflight_messages = 0  # the session counts; paho would queue without a bound
    if options.username:
        made.username = options.username
    if options.password is not None:
        made.password = options.password.reveal()
    if options.will is not None:
        will = options.will()
        made.will_set(will.topic, will.payload, will.qos, will.retain)
    # paho has no public way to take a socket that is connected already.
    made._create_socket = lambda: stream  # type: ignore[method-assign]  # noqa: SLF001 (see above)
    if mqtt5:
        _let_refusals_through(made)
    return made


def _let_refusals_through(made: Client) -> None:
    """With QoS 2 a refusal comes in PUBREC (MQTT 5.0, section 3.5.2.1), where paho overlooks it."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    accepted: Any = made._handle_pubrec  # noqa: SLF001 (there is no public way)

    def handle_pubrec() -> Any:
        packet = made._in_packet["packet"]  # noqa: SLF001 (as above)
        mid = int.from_bytes(packet[:2], "big")
        if len(packet) > _REASON and packet[_REASON] >= _FAILURE and mid in made._out_messages:  # noqa: SLF001 (as above)
            reason = ReasonCode(PacketTypes.PUBREC, identifier=packet[_REASON])
            return made._do_on_publish(mid, reason, _properties(PacketTypes.PUBREC))  # noqa: SLF001 (as above)
        return accepted()

    made._handle_pubrec = handle_pubrec  # type: ignore[method-assign]  # noqa: SLF001 (as above)


def watch_pings(
    made: Client, *, asked: Callable[[], None], answered: Callable[[], None]
) -> Callable[[], None]:
    """Tell of each PINGREQ that goes out and each PINGRESP that comes; returns how to ask.

    A broker works through what one client sends in order, so that an answer covers all packets
    before the question. paho asks by itself only after a silence, and tells nobody.
    """
    from paho.mqtt.packettypes import PacketTypes

    by_itself, accepted = made._send_pingreq, made._handle_pingresp  # noqa: SLF001 (there is no public way)

    def send_pingreq() -> Any:
        code = by_itself()
        if not code:
            asked()
        return code

    def handle_pingresp() -> Any:
        code = accepted()
        if not code:
            answered()
        return code

    def ask() -> None:
        # Not through `_send_pingreq`, whose time paho takes for that of a silent broker.
        if not made._send_simple_command(PacketTypes.PINGREQ << _TYPE):  # noqa: SLF001 (as above)
            asked()

    made._send_pingreq = send_pingreq  # type: ignore[method-assign]  # noqa: SLF001 (as above)
    made._handle_pingresp = handle_pingresp  # type: ignore[method-assign]  # noqa: SLF001 (as above)
    return ask


def receive_exactly_once(
    made: Client, *, arrived: Callable[[Any], None], released: Callable[[int], None]
) -> Callable[[int], Any]:
    """Leave QoS 2 (MQTT 5.0, section 4.3.3) to us; returns how to send PUBREC.

    paho sends PUBREC when a message arrives, shows the message when it is released, and keeps it
    in memory between: a crash there would lose what the broker counts as received. Here it is
    shown when it arrives, PUBREC goes when we say so, and PUBCOMP with `Client.ack`.

    Args:
        made: the client.
        arrived: told of each message with QoS 2.
        released: told of the packet identifier of each PUBREL.
    """
    from paho.mqtt.enums import MQTTErrorCode

    accepted, send_pubrec = made._handle_publish, made._send_pubrec  # noqa: SLF001 (there is no public way)

    def handle_publish() -> Any:
        code = accepted()
        while made._in_messages:  # noqa: SLF001 (as above)
            arrived(made._in_messages.popitem()[1])  # noqa: SLF001 (as above)
        return code

    def handle_pubrel() -> Any:
        packet = made._in_packet["packet"]  # noqa: SLF001 (as above)
        if len(packet) < _REASON:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        released(int.from_bytes(packet[:_REASON], "big"))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def not_yet(mid: int) -> Any:  # noqa: ARG001 (paho's own signature)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    made._send_pubrec = not_yet  # type: ignore[method-assign]  # noqa: SLF001 (as above)
    made._handle_publish = handle_publish  # type: ignore[method-assign]  # noqa: SLF001 (as above)
    made._handle_pubrel = handle_pubrel  # type: ignore[method-assign]  # noqa: SLF001 (as above)
    return send_pubrec


def connect(made: Client, options: SessionOptions) -> None:
    """Send CONNECT."""
    from paho.mqtt.packettypes import PacketTypes

    host, port = options.endpoint
    if options.version != "5":
        made.connect(host, port, keepalive=options.keepalive)
        return
    properties = _properties(
        PacketTypes.CONNECT,
        SessionExpiryInterval=options.session_expiry,
        ReceiveMaximum=options.receive_maximum,
        MaximumPacketSize=_LARGEST_PACKET,
    )
    made.connect(
        host,
        port,
        keepalive=options.keepalive,
        clean_start=options.clean_start,
        properties=properties,
    )


def disconnect(made: Client, options: SessionOptions, *, forget: bool) -> None:
    """Send DISCONNECT; with `forget` the broker need not keep the session (MQTT 5)."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    reason = properties = None
    if options.version == "5" and forget:
        properties = _properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0)
    if options.version == "5" and options.will_at_goodbye:
        reason = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
    made.disconnect(reason, properties)


def subscribe(
    made: Client, options: SessionOptions, filters: Sequence[str], qos: int
) -> tuple[int, int | None]:
    """Send SUBSCRIBE; the result code and the packet identifier.

    The broker sends what it keeps each time, so that after an outage the last values are known
    again. The retain flag is left to mean 'kept by the broker': it marks values that may be old.
    """
    if options.version != "5":
        return made.subscribe([(pattern, qos) for pattern in filters])
    from paho.mqtt.subscribeoptions import SubscribeOptions

    how = SubscribeOptions(qos=qos, retainAsPublished=False)
    return made.subscribe([(pattern, how) for pattern in filters])


def limits(properties: Any) -> Mapping[str, int]:
    """What the broker has said it does not take (MQTT 5.0, section 3.2.2.3)."""
    return {name: getattr(properties, name) for name in _LIMITS if hasattr(properties, name)}


def plain(properties: Any) -> Mapping[str, Any]:
    """Properties of a message as a mapping: 'content_type', 'user_property' and so on."""
    if properties is None:
        return {}
    return {
        _OF_MESSAGES[name]: value
        for name, value in vars(properties).items()
        if name in _OF_MESSAGES
    }


def _properties(packet: int, **values: int) -> Any:
    from paho.mqtt.properties import Properties

    properties: Any = Properties(packet)  # type: ignore[no-untyped-call]  # paho's is untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
