"""One connection to an MQTT broker, on the event loop: no thread, no queue, no reconnect.

    session = await MQTTSession.open(options, network, inbox, timeout=10)
    await session.publish("boiler/001", b"85.4", qos=1)

paho-mqtt packs and unpacks the packets, `pump` moves the bytes. A session ends when its connection
does: `until_lost` raises why, everything under way fails, and whoever wants another connection
opens another session.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, Self

from gl002.errors import ConnectFailed, DataError, GL002Error, RequestFailed, require
from gl002.model import now_ns
from gl002.security.network import Network
from gl002.security.tls import explained
from gl002.transport.mqtt import paho, reasons
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.limits import Limits
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.pump import Pump
from gl002.transport.mqtt.stream import Stream, secured
from gl002.transport.mqtt.websocket import upgraded

log = logging.getLogger("gl002.mqtt")

_GOODBYE = 1.0  # seconds to send what is waiting and say goodbye
_EXACTLY_ONCE = 2
_PING = "gl002/ping"  # a filter nobody subscribes to: unsubscribing it is answered


class Addressed(Protocol):
    """A message to publish."""

    @property
    def topic(self) -> str:
        """Where to."""

    @property
    def payload(self) -> bytes:
        """What."""


class MQTTSession:
    """One connection. Made by `open`; ends once and for all with `close` or when it is lost.

    Attributes:
        options: it was opened with.
        session_present: the broker still had our session.
        certificate: the broker's, in DER form; None without TLS.
        in_doubt: it ended while messages with QoS 2 were under way. The broker may hold on to
            their packet identifiers, so this session must not be resumed.
    """

    def __init__(self, options: SessionOptions, inbox: Inbox, stream: Stream) -> None:
        self.options = options
        self.session_present = self.in_doubt = False
        self.certificate: bytes | None = None
        self._inbox = inbox
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._client = paho.client(options, stream)
        self._ask = paho.watch_pings(self._client, asked=inbox.asked, answered=inbox.answered)
        self._receive = paho.receive_exactly_once(
            self._client, arrived=self._arrived, released=inbox.released
        )
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._error: GL002Error | None = None
        self._slots = asyncio.Semaphore(options.in_flight)
        self._published: dict[int, asyncio.Future[None]] = {}
        self._exactly_once: set[int] = set()
        self._answers: dict[int, asyncio.Future[Sequence[Any]]] = {}
        self._limits = Limits(options.endpoint, {})
        self._closing = False
        self._received = 0  # messages
        self._pump = Pump(self._client, stream, full=lambda: inbox.full, failed=self._failed)

    @classmethod
    async def open(
        cls,
        options: SessionOptions,
        network: Network,
        inbox: Inbox,
        *,
        timeout: float,  # noqa: ASYNC109 (passed on to the dialler)
    ) -> Self:
        """Connect, and return when the broker has accepted us. The caller limits the time.

        Raises:
            AuthFailed, ConnectFailed: refused or unreachable; VersionRefused is one of them.
            MissingDependency: paho-mqtt is not installed.
        """
        require("paho.mqtt", extra="mqtt")
        sock, shown = await network.dial(options.endpoint, timeout=timeout), None
        if options.tls is not None:
            sock = await secured(sock, options.tls, options.server_name, options.endpoint)
            shown = sock.getpeercert(binary_form=True)
        stream = Stream(sock)
        if options.path:
            stream = await upgraded(sock, options.endpoint, options.server_name, options.path)
        try:
            session = cls(options, inbox, stream)
        except BaseException:  # the will cannot be made: its number is kept on disk
            stream.close()
            raise
        session.certificate = shown
        try:
            session._start()
            await session._connected
        except BaseException:
            session._end(ConnectFailed(f"{options.endpoint}: closed meanwhile"))
            raise
        return session

    def _start(self) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._arrived(message)
        client.on_publish = self._on_publish
        client.on_subscribe = client.on_unsubscribe = self._on_answer
        self._pump.start()
        paho.connect(client, self.options)

    def drop(self) -> None:
        """End the connection without a goodbye; safe to call twice."""
        self._end(self._closed())

    async def close(self, *, forget: bool = False) -> None:
        """Say goodbye and close; safe to call twice, also after the connection was lost.

        Args:
            forget: the broker need not keep the session (MQTT 5).
        """
        if self._error is None:
            self._closing = True
            paho.disconnect(self._client, self.options, forget=forget)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await self._ended.wait()
        self._end(self._closed())

    def _closed(self) -> GL002Error:
        return ConnectFailed(f"{self.options.endpoint}: closed")

    def _failed(self, error: Exception) -> None:
        """Paho or the stream broke down while bytes were moved."""
        if isinstance(error, OSError):
            self._end(explained(error, self.options.endpoint))
        else:
            log.debug("%s: while reading", self.options.endpoint, exc_info=error)
            self._end(ConnectFailed(f"{self.options.endpoint}: {error!r}"))

    def _end(self, error: GL002Error) -> None:
        """The connection is over: free it, and tell everyone who waits. Safe to call twice."""
        if self._error is not None:
            return
        self._error, self.in_doubt = error, bool(self._exactly_once)
        self._pump.stop()
        self._stream.close()
        waits: list[asyncio.Future[Any]] = [self._connected]
        for waiting in (*waits, *self._published.values(), *self._answers.values()):
            if not waiting.done():
                waiting.set_exception(copy.copy(error))
                waiting.exception()  # whoever waited may have gone
        for _ in range(self.options.in_flight):
            self._slots.release()
        self._inbox.end(error)
        self._ended.set()

    async def until_lost(self) -> NoReturn:
        """Never return; raise what ended the session."""
        await self._ended.wait()
        assert self._error is not None
        raise copy.copy(self._error)

    def check(self) -> None:
        """Raise what ended the session, if it has ended."""
        if self._error is not None:
            raise copy.copy(self._error)

    # ---- requests ---------------------------------------------------------------------------

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and return when the broker has taken over (QoS 0: when it is on its way).

        Raises:
            DataError: the broker cannot take this message, whoever sends it.
            RequestFailed: the broker refuses it: no right to publish there, quota used up.
            ConnectFailed: the connection was lost; whether it arrived is unknown.
        """
        await (await self.send(topic, payload, qos=qos, retain=retain))

    async def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> asyncio.Future[None]:
        """Hand a message over as soon as few enough are under way; the future is its outcome.

        Raises:
            DataError, Unsupported, ConnectFailed: as `publish`.
        """
        self._limits.check(topic, payload, qos, retain=retain)
        await self._slots.acquire()
        try:
            return self._hand_over(topic, payload, qos, retain=retain)
        except BaseException:
            self._slots.release()
            raise

    def _hand_over(
        self, topic: str, payload: bytes, qos: int, *, retain: bool
    ) -> asyncio.Future[None]:
        self.check()
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc:
            raise self._not_sent(info.rc)
        outcome: asyncio.Future[None] = self._loop.create_future()
        self._published[info.mid] = outcome
        if qos > 1:
            self._exactly_once.add(info.mid)
        return outcome

    async def publish_all(
        self, messages: Sequence[Addressed], *, qos: int, retain: bool
    ) -> list[DataError | None]:
        """Publish several, many of them under way at once; return when all are confirmed.

        Returns:
            For each message None, or why the broker will never take it.

        Raises:
            GL002Error: as `publish`; some may have arrived.
        """
        outcomes: list[asyncio.Future[None] | DataError] = []
        for message in messages:
            try:
                outcomes.append(
                    await self.send(message.topic, message.payload, qos=qos, retain=retain)
                )
            except DataError as error:
                outcomes.append(error)
        waiting = [outcome for outcome in outcomes if isinstance(outcome, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting)
        return [_refusal(outcome) for outcome in outcomes]

    async def subscribe(
        self, filters: Sequence[str], *, qos: int = 1, patience: float | None = None
    ) -> list[int]:
        """Subscribe, and return when the broker has agreed to every filter.

        A broker that has kept our session may send all its backlog before it answers.

        Args:
            filters: topic filters.
            patience: seconds without an answer and without a message after which to give up.
            qos: 0, 1 or 2, at most.

        Returns:
            The quality of service that the broker grants, for each filter.

        Raises:
            RequestFailed: it refuses one; names it.
            TimeoutError: patience has ended.
        """
        self.check()
        sent = paho.subscribe(self._client, self.options, filters, qos)
        codes = await self._answer(*sent, patience=patience)
        for pattern, code in zip(filters, codes, strict=False):
            if code.is_failure:
                raise RequestFailed(f"{self.options.endpoint}: subscribe to '{pattern}': {code}")
        return [code.value for code in codes]

    async def unsubscribe(self, filters: Sequence[str], *, patience: float | None = None) -> None:
        """As `subscribe`: return when the broker has answered; unknown filters do no harm."""
        self.check()
        await self._answer(*self._client.unsubscribe(list(filters)), patience=patience)

    async def round_trip(self) -> None:
        """Return when the broker has worked through all that was sent before, and answered."""
        await self.unsubscribe([_PING])

    async def _answer(
        self, code: int, mid: int | None, *, patience: float | None = None
    ) -> Sequence[Any]:
        if code or mid is None:
            raise self._not_sent(code)
        answer: asyncio.Future[Sequence[Any]] = self._loop.create_future()
        self._answers[mid] = answer
        try:
            while not answer.done():
                before = self._received
                await asyncio.wait({answer}, timeout=patience)
                if self._received == before and not self._pump.paused and not answer.done():
                    raise TimeoutError
            return answer.result()
        finally:
            self._answers.pop(mid, None)

    def _not_sent(self, code: int) -> ConnectFailed:
        return ConnectFailed(f"{self.options.endpoint}: not sent (paho code {int(code)})")

    # ---- paho's callbacks -------------------------------------------------------------------

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, found: Any) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(reasons.refused(self.options, reason))
            return
        self.session_present = flags.session_present
        self._limits = Limits(self.options.endpoint, paho.limits(found))
        self._slots = asyncio.Semaphore(self._limits.in_flight(self.options.in_flight))
        self._inbox.begin(
            broker=self.options.broker,
            acknowledge=self._acknowledge,
            complete=self._complete,
            resume=self._pump.resume,
            ask=self._ask,
            session_present=self.session_present,
        )
        self._connected.set_result(None)

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _more: Any) -> None:
        if self._closing:
            self._end(self._closed())
        elif flags.is_disconnect_packet_from_server:
            self._end(reasons.ended(self.options, reason))
        else:
            connected = self._connected.done()
            self._end(reasons.broken(self.options, reason, self._stream, connected=connected))

    def _arrived(self, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode(errors="backslashreplace")
        self._received += 1
        self._inbox.arrived(
            Message(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=message.retain,
                duplicate=message.dup,
                properties=paho.plain(message.properties),
                received=now_ns(),
                packet_id=message.mid,
            )
        )

    def _acknowledge(self, message: Message) -> None:
        if message.qos > 1:
            self._receive(message.packet_id)
        else:
            self._client.ack(message.packet_id, message.qos)

    def _complete(self, packet_id: int) -> None:
        self._client.ack(packet_id, _EXACTLY_ONCE)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _more: Any) -> None:
        outcome = self._published.pop(mid, None)
        if outcome is None:
            return
        self._exactly_once.discard(mid)
        self._slots.release()
        if outcome.done():
            return
        if reason.is_failure:
            outcome.set_exception(reasons.not_taken(self.options, reason))
        else:
            outcome.set_result(None)

    def _on_answer(self, _client: Any, _data: Any, mid: int, codes: Any, _more: Any) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(codes)


def _refusal(outcome: asyncio.Future[None] | DataError) -> DataError | None:
    """Why a message will never be taken; raises any other failure."""
    if isinstance(outcome, DataError):
        return outcome
    error = outcome.exception()
    if error is None or isinstance(error, DataError):
        return error
    raise error
