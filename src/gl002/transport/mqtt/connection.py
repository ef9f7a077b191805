"""What connectors that speak MQTT have in common: one session, subscriptions that come back."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from gl002.config.settings import Settings
from gl002.context import Context
from gl002.errors import DataError, GL002Error
from gl002.model import TagTable
from gl002.pool import ConnectionPool
from gl002.retry import FOREVER, RetryPolicy
from gl002.transport.mqtt.line import MQTTLine
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.replies import Replies
from gl002.transport.mqtt.route import Route
from gl002.transport.mqtt.sink import MQTTSink, Outgoing
from gl002.transport.mqtt.source import HoldsBack, MQTTSource, Reads
from gl002.transport.mqtt.subscription import Subscription
from gl002.transport.mqtt.wishes import Wishes
from gl002.transport.pace import Pace
from gl002.wire.mqtt_topic import Template, check_filter

C = TypeVar("C", bound=Settings)
R = TypeVar("R")

_STEADY = 10.0  # seconds a connection must have lasted before waits start small again


class MQTTConnection(MQTTLine[C]):
    """A connector over one MQTT session that publishes, asks and subscribes."""

    remembered = 500
    """Messages that are known again when the broker repeats them: its receive maximum."""

    def __init__(
        self,
        config: C | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._subscriptions: list[Subscription] = []
        self._supervisor: asyncio.Task[None] | None = None
        self._left: set[str] = set()  # filters that nobody wants now and the broker may still have
        self._granted: dict[str, tuple[int, int]] = {}  # filter -> QoS asked for, and less given

    async def close(self) -> None:
        """Close the session and end all subscriptions; safe at any time; never raises."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
        await super().close()
        for subscription in self._subscriptions:
            await subscription.end()
            self._inbox.remove(subscription.route)
        self._subscriptions.clear()

    # ---- publishing -------------------------------------------------------------------------

    async def _publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        await self._call(
            lambda: self._live().publish(topic, payload, qos=qos, retain=retain),
            what=f"publish to {topic}",
        )

    async def _publish_all(
        self, messages: Sequence[Outgoing], *, qos: int, retain: bool, pace: Pace | None = None
    ) -> list[DataError | None]:
        """Publish several; for each None, or why the broker will never take it."""
        outcomes: list[DataError | None] = []
        for part in pace.portions(messages) if pace is not None else [messages]:
            if pace is not None:
                await pace.take(len(part))
            outcomes += await self._call(
                functools.partial(self._publish_part, part, qos=qos, retain=retain),
                what=f"publish {len(part)} messages",
            )
        return outcomes

    async def _publish_part(
        self, messages: Sequence[Outgoing], *, qos: int, retain: bool
    ) -> list[DataError | None]:
        return await self._live().publish_all(messages, qos=qos, retain=retain)

    def _publisher(
        self,
        topic: Template,
        *,
        qos: int,
        retain: bool,
        largest: int,
        pace: Pace | None = None,
        addressed: Callable[[Outgoing], Outgoing] = lambda message: message,
    ) -> MQTTSink:
        """A sink that publishes samples.

        Args:
            topic: of the messages.
            qos: to publish with.
            retain: whether the broker keeps them.
            largest: bytes of a message.
            pace: how fast the other side takes them; None for as fast as it confirms.
            addressed: gives a message the topic it is sent to, where that tells of its content.
        """

        async def publish(messages: Sequence[Outgoing]) -> Sequence[DataError | None]:
            sent = [addressed(message) for message in messages]
            return await self._publish_all(sent, qos=qos, retain=retain, pace=pace)

        tags: TagTable = self.context.tags
        return MQTTSink(
            self.name, topic, publish, gateway=self.context.name, tags=tags, largest=largest
        )

    # ---- asking -----------------------------------------------------------------------------

    async def _ask(
        self,
        replies: Replies,
        token: str,
        topic: str,
        payload: bytes,
        understand: Callable[[Message], R],
        *,
        repeatable: bool = True,
    ) -> R:
        """Publish a request, and return what the message says that answers it on another topic.

        Args:
            replies: where its answer comes.
            token: in the request, and by which its answer is known.
            topic: of the request.
            payload: of the request.
            understand: reads the answer; raises what it refuses with.
            repeatable: whether asking twice does no harm.

        Raises:
            Busy: the broker has taken the request, and no answer came.
            ConnectFailed, RequestFailed, RequestTimeout: as for publishing.
        """

        async def exchange() -> R:
            session, loop = self._live(), asyncio.get_running_loop()
            end = loop.time() + self._timeout
            with replies.expected(token) as answer:
                async with asyncio.timeout_at(end):
                    await self._await_replies(replies)
                    await session.publish(topic, payload, qos=1)
                # From here on it is not the connection that is silent, however late it is.
                left = max(0.0, end - loop.time())
                return understand(await replies.received(answer, session, within=left))

        return await self._call(
            exchange, what=f"ask {topic}", repeatable=repeatable, own_limit=True
        )

    async def _await_replies(self, replies: Replies) -> None:
        """Subscribe to where the answers come, once on each connection."""
        subscription = replies.subscription
        if subscription is None or subscription not in self._subscriptions:
            route = Route(self._inbox, replies.filters, self.remembered)
            subscription = replies.subscription = Subscription(route, replies.arrived, 1)
            self._inbox.add(route)
            self._subscriptions.append(subscription)
            subscription.start()
        if subscription.session != self._opened:
            await self._subscribe(subscription)

    # ---- subscribing ------------------------------------------------------------------------

    def _stream(
        self,
        decoder: Reads,
        *,
        qos: int,
        max_tags: int,
        then: Callable[[], Awaitable[None]] | None = None,
        answer: Callable[[], Awaitable[None]] | None = None,
        wishes: Wishes | None = None,
        holds: HoldsBack | None = None,
    ) -> MQTTSource:
        """A source of what arrives; from now on the broker is to keep our session.

        Args:
            decoder: of its messages; names their topics.
            qos: to subscribe with.
            max_tags: tags it delivers.
            then: called each time it has subscribed, such as to ask for what is there already.
            answer: called after each take, to say what its messages have made necessary.
            wishes: offers as proposals what the messages desire.
            holds: the decoder, where it may hold messages back.
        """
        self._has_input = True

        async def subscribe() -> None:
            await self._call(
                lambda: self._ask_for(decoder.filters, qos),
                what=f"subscribe to {', '.join(decoder.filters)}",
                own_limit=True,
            )
            if then is not None:
                await then()

        return MQTTSource(
            self.name,
            self._inbox,
            decoder,
            subscribe=subscribe,
            leave=functools.partial(self._leave, decoder.filters),
            tags=self.context.tags,
            max_tags=max_tags,
            remembered=self.remembered,
            answer=answer,
            wishes=wishes,
            holds=holds,
        )

    async def _leave(self, filters: Sequence[str]) -> None:
        """An input is gone: unsubscribe from what nobody else here wants.

        Where the broker cannot be told now, it is when something is subscribed to next.
        """
        self._left.update(filters)
        if self._is_up():
            what = f"unsubscribe {', '.join(filters)}"
            with suppress(GL002Error):
                await self._request(self._unsubscribe_left, what, own_limit=True)

    async def _unsubscribe_left(self) -> None:
        self._left -= self._inbox.filters
        if gone := sorted(self._left):
            await self._live().unsubscribe(gone, patience=self._timeout)
            self._left.difference_update(gone)
            for pattern in gone:
                self._granted.pop(pattern, None)

    async def _call_back(
        self,
        filters: Sequence[str],
        callback: Callable[[Message], Any],
        qos: int,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Subscribe now and after each outage; hand the messages to `callback`.

        `then` is called each time it has subscribed: to ask for what was missed.
        """
        for pattern in filters:
            check_filter(pattern)
        route = Route(self._inbox, filters, self.remembered)
        subscription = Subscription(route, callback, qos, then)
        self._inbox.add(route)
        subscription.start()
        try:
            await self._call(
                lambda: self._subscribe(subscription),
                what=f"subscribe to {', '.join(filters)}",
                own_limit=True,
            )
        except BaseException:
            await subscription.end()
            self._inbox.remove(route)
            raise
        self._subscriptions.append(subscription)
        self._stay_connected()

    def _stay_connected(self) -> None:
        """From now on connect again after each outage, also while nobody asks for anything."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(
                self._stay_subscribed(), name=f"gl002-{self.name}-subscriptions"
            )

    async def _end_call_back(self, filters: Sequence[str]) -> None:
        """End the subscriptions made with these filters, here and at the broker."""
        for subscription in [s for s in self._subscriptions if s.route.filters == tuple(filters)]:
            self._subscriptions.remove(subscription)
            await subscription.end()
            self._inbox.remove(subscription.route)
        await self._call(
            lambda: self._live().unsubscribe(filters), what=f"unsubscribe {', '.join(filters)}"
        )

    async def _subscribe(self, subscription: Subscription) -> None:
        await self._ask_for(subscription.route.filters, subscription.qos)
        subscription.session = self._opened
        if subscription.then is not None:
            await subscription.then()

    async def _ask_for(self, filters: Sequence[str], qos: int) -> None:
        await self._unsubscribe_left()
        granted = await self._live().subscribe(filters, qos=qos, patience=self._timeout)
        for pattern, given in zip(filters, granted, strict=False):
            before = self._granted.pop(pattern, None)
            if given < qos:
                self._granted[pattern] = (qos, given)
                if before != (qos, given):
                    self.log.warning("%s: %s", self.name, _granted_less(pattern, qos, given))

    @property
    def _grants(self) -> tuple[str, ...]:
        """Where the broker grants less than was asked for, in words."""
        return tuple(_granted_less(pattern, *both) for pattern, both in self._granted.items())

    async def _stay_subscribed(self) -> None:
        """Connect again after an outage and subscribe to what is missing, for ever."""
        delays = FOREVER.delays()
        while True:
            started = time.monotonic()
            try:
                await self.connect()
                await self._subscribe_again()
                self._was_opened.clear()
                await self._live().until_lost()
            except GL002Error as error:
                if time.monotonic() - started > _STEADY:
                    delays = FOREVER.delays()
                again = RetryPolicy.worth_it(error)
                delay = next(delays, FOREVER.most) if again else FOREVER.most
                self.log.debug("%s: subscriptions wait %.1f s: %s", self.name, delay, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._was_opened.wait()

    async def _subscribe_again(self) -> None:
        """Subscribe to what this connection is not subscribed to."""
        for subscription in list(self._subscriptions):
            if subscription.session != self._opened:
                what = f"subscribe to {', '.join(subscription.route.filters)}"
                again = functools.partial(self._subscribe, subscription)
                await self._request(again, what, own_limit=True)


def _granted_less(pattern: str, asked: int, given: int) -> str:
    harm = "messages may be lost" if given == 0 else "repeats are known by their content"
    return f"the broker grants '{pattern}' QoS {given} instead of {asked}: {harm}"
