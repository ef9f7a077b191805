"""What a broker has sent, until somebody has dealt with it.

The inbox outlives connections. Each reader has a route: the messages of its topics, in order. A
message is acknowledged when every route that got it is done with it, in the order of arrival
(MQTT 5.0, section 4.6). When a connection ends, the messages not acknowledged are forgotten: the
broker sends them again on the next one.

A broker also repeats messages whose acknowledgement was lost on the way. A route knows the last
ones it was done with by packet identifier and content (`window`), and takes none of them twice.
With QoS 1, when many acknowledgements are under way the broker is asked for a sign of life behind
them: its answer says that it has worked through them. With QoS 2 it says so of each message, by
releasing it, and is answered when every route has forgotten it (MQTT 5.0, section 4.3.3).
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from gl002.errors import ConnectFailed, GL002Error
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route

_MOST_HELD = 10_000  # messages, and
_MOST_BYTES = 64 * 1024 * 1024  # bytes of payload, before no more is read from the network
_GRACE = 10.0  # seconds that a message without a reader waits for one after connecting
_ASK_AFTER = 100  # acknowledgements under way, before the broker is asked whether it has them


def _nothing(*_: object) -> None:
    """Stands in for a connection that is not there."""


class _Open:
    """A message that is not acknowledged yet, who got it, and how many of them still have it."""

    __slots__ = ("given", "message", "routes")

    def __init__(self, message: Message, given: Sequence[Route]) -> None:
        self.message = message
        self.given = given
        self.routes = len(given) or 1


class Inbox:
    """All that has arrived for one connector.

    Args:
        log: where messages that nobody wants are told of, once.

    Attributes:
        unwanted: messages that no route wanted, since start.
        session_present: the broker of the last connection still had our session.
        renewing: the connection ends because the same session is about to have a new one: readers
            wait for that.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.unwanted = 0
        self.renewing = self.session_present = False
        self._log = log
        self._routes: list[Route] = []
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._held = self._bytes = 0
        self._unclaimed: list[Message] = []
        self._grace: asyncio.TimerHandle | None = None
        self._ended: GL002Error | None = ConnectFailed("not connected")
        self._broker = ""
        self._acknowledge: Callable[[Message], None] = _nothing
        self._complete: Callable[[int], None] = _nothing
        self._resume: Callable[[], None] = _nothing
        self._ask: Callable[[], None] = _nothing
        self._asked = self._answered = 0
        self._under_way: dict[int, int] = {}  # acknowledged identifier -> question behind it
        self._releasing: dict[int, set[Route]] = {}  # identifier -> who has still to forget it

    # ---- connections ------------------------------------------------------------------------

    def begin(
        self,
        *,
        broker: str = "",
        acknowledge: Callable[[Message], None],
        complete: Callable[[int], None] = _nothing,
        resume: Callable[[], None],
        ask: Callable[[], None],
        session_present: bool,
    ) -> None:
        """A connection is up.

        Args:
            broker: which of several, '' for the only one; packet identifiers are its own.
            acknowledge: sends the acknowledgement of a message; PUBREC with QoS 2.
            complete: says of a released message with QoS 2 that it is forgotten: PUBCOMP.
            resume: called when there is room again after `full`.
            ask: sends what the broker answers in turn, and calls `asked`.
            session_present: the broker still has our session, with its packet identifiers.
        """
        self._ended, self._acknowledge, self._resume, self._ask = None, acknowledge, resume, ask
        self._broker, self._complete, self.session_present = broker, complete, session_present
        for route in self._routes:
            self.meet(route)
        if self._under_way:
            self._ask()
        self._grace = asyncio.get_running_loop().call_later(_GRACE, self._give_up_unclaimed)

    def meet(self, route: Route) -> None:
        """Let a route remember what it was done with at this broker.

        What does not come again before the broker answers will not come again.
        """
        known = self.session_present or route.inherited
        route.memory.begin(self._broker, session_present=known)
        for packet_id in route.memory.window.completed:
            self._under_way[packet_id] = self._asked + 1

    def end(self, error: GL002Error) -> None:
        """The connection has ended; the broker will repeat what is not acknowledged."""
        self._ended, self._acknowledge, self._resume = error, _nothing, _nothing
        self._complete = _nothing
        self._ask, self._asked, self._answered = _nothing, 0, 0
        self._under_way.clear()
        self._releasing.clear()
        if self._grace is not None:
            self._grace.cancel()
        self._open.clear()
        self._unclaimed.clear()
        for route in self._routes:
            self._let_go(route.ended())

    def check(self) -> None:
        """Raise what ended the connection, if none is up or about to be."""
        if self._ended is not None and not self.renewing:
            raise copy.copy(self._ended)

    @property
    def wanted(self) -> bool:
        """Whether there is a reader."""
        return bool(self._routes)

    @property
    def filters(self) -> set[str]:
        """The topic filters of all readers."""
        return {pattern for route in self._routes for pattern in route.filters}

    @property
    def connected(self) -> bool:
        """Whether a connection is up."""
        return self._ended is None

    @property
    def full(self) -> bool:
        """Whether so much is waiting that no more should be read from the network."""
        return self._held >= _MOST_HELD or self._bytes >= _MOST_BYTES

    # ---- messages ---------------------------------------------------------------------------

    def arrived(self, message: Message) -> None:
        """Pass a message to every route that wants it."""
        if message.qos:
            if self._is_being_dealt_with(message):
                return  # repeated on the same connection
            for route in self._routes if message.duplicate and message.qos > 1 else ():
                route.memory.window.repeated(message)
            if not message.duplicate:
                self._open.pop(message.packet_id, None)
                self._under_way.pop(message.packet_id, None)
                for route in self._routes:
                    route.memory.window.replaced(message)
        routes = [route for route in self._routes if route.wants(message.topic)]
        if message.qos:
            self._open[message.packet_id] = _Open(message, routes)
        for route in routes:
            self._hold(message)
            route.put(message)
        if not routes:
            self._unclaimed_arrived(message)

    def _is_being_dealt_with(self, message: Message) -> bool:
        entry = self._open.get(message.packet_id)
        if entry is None or entry.message.qos != message.qos:
            return False
        if message.qos > 1:  # the identifier tells; the flag may be missing
            return entry.message.digest() == message.digest()
        return message.duplicate

    def released(self, packet_id: int) -> None:
        """The broker will not send a message with QoS 2 again: forget it, then say so."""
        slow = {route for route in self._routes if route.release(packet_id)}
        if slow:
            self._releasing[packet_id] = slow
        else:
            self._completed(packet_id)

    def forgotten(self, route: Route, packet_ids: Iterable[int]) -> None:
        """One route has forgotten these for good."""
        for packet_id in packet_ids:
            waiting = self._releasing.get(packet_id, set())
            if route in waiting:
                waiting.discard(route)
                if not waiting:
                    del self._releasing[packet_id]
                    self._completed(packet_id)
        self._ask_if_due()

    def _completed(self, packet_id: int) -> None:
        self._complete(packet_id)
        self._under_way.pop(packet_id, None)
        self._under_way[packet_id] = self._asked + 1

    def still_releasing(self, route: Route, packet_ids: set[int]) -> set[int]:
        """Those that this connection still waits for the route to forget."""
        return {i for i in packet_ids if route in self._releasing.get(i, ())}

    def done(self, messages: Sequence[Message]) -> None:
        """One route is done with these."""
        self._let_go(messages)
        self._count_down(messages)

    def still_open(self, messages: Sequence[Message]) -> list[Message]:
        """Those that this connection still waits for; the others are let go of."""
        still = [m for m in messages if not m.qos or self._is_open(m)]
        self._let_go([m for m in messages if m.qos and not self._is_open(m)])
        return still

    def _is_open(self, message: Message) -> bool:
        entry = self._open.get(message.packet_id)
        return entry is not None and entry.message is message

    def _count_down(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.qos and self._is_open(message):
                self._open[message.packet_id].routes -= 1
        while self._open and (first := next(iter(self._open.values()))).routes <= 0:
            packet_id = first.message.packet_id
            del self._open[packet_id]
            self._acknowledge(first.message)
            self._under_way.pop(packet_id, None)
            if first.message.qos == 1:
                self._under_way[packet_id] = self._asked + 1
        self._ask_if_due()

    def _ask_if_due(self) -> None:
        if len(self._under_way) >= _ASK_AFTER and self._asked == self._answered:
            self._ask()

    def asked(self) -> None:
        """A question has gone to the broker, behind all acknowledgements so far."""
        self._asked += 1

    def answered(self) -> None:
        """The broker has answered a question: it has worked through what was sent before it."""
        self._answered += 1
        while self._under_way:
            packet_id, question = next(iter(self._under_way.items()))
            if question > self._answered:
                break
            del self._under_way[packet_id]
            for route in self._routes:
                route.memory.window.settle(packet_id)
        self._ask_if_due()

    def _hold(self, message: Message) -> None:
        self._held += 1
        self._bytes += len(message.payload)

    def _let_go(self, messages: Sequence[Message]) -> None:
        was_full = self.full
        self._held -= len(messages)
        self._bytes -= sum(len(message.payload) for message in messages)
        if was_full and not self.full:
            self._resume()

    # ---- routes -----------------------------------------------------------------------------

    def add(self, route: Route) -> None:
        """A new reader; gets what has arrived for it since the connection came up."""
        self._routes.append(route)
        if self.connected:
            self.meet(route)
        unclaimed, self._unclaimed = self._unclaimed, []
        for message in unclaimed:
            if route.wants(message.topic):
                self._hold(message)
                route.put(message)
            else:
                self._unclaimed.append(message)

    def remove(self, route: Route) -> None:
        """A reader goes; what it has not dealt with counts as dealt with. Safe to call twice."""
        if route in self._routes:
            self._routes.remove(route)
            self.done(route.left())
            self.forgotten(route, list(self._releasing))

    def retire(self, route: Route) -> None:
        """A reader goes for good; what it was not done with is left to others, or to nobody.

        One that has come in its place and not begun yet may have the same memory: whatever both
        got, and what it now gets, may be known to it.
        """
        if route not in self._routes:
            return
        self._routes.remove(route)
        left = route.left()
        heirs = [heir for heir in self._routes if not heir.began]
        for heir in heirs:
            mine = [m for m in left if self._is_to_be_left_to(heir, m)]
            for message in mine:
                entry = self._open[message.packet_id]
                entry.given, entry.routes = [*entry.given, heir], entry.routes + 1
                self._hold(message)
            both = [i for i, e in self._open.items() if route in e.given and heir in e.given]
            heir.inherit(mine, both)
        self.done(left)
        self.forgotten(route, list(self._releasing))

    def _is_to_be_left_to(self, heir: Route, message: Message) -> bool:
        if not message.qos or not self._is_open(message) or not heir.wants(message.topic):
            return False
        return heir not in self._open[message.packet_id].given

    def _unclaimed_arrived(self, message: Message) -> None:
        """Keep a message that nobody wants for a moment: its reader may be about to come."""
        now = asyncio.get_running_loop().time()
        if message.qos and self._grace is not None and now < self._grace.when():
            self._unclaimed.append(message)
        else:
            self._unwanted([message])

    def _give_up_unclaimed(self) -> None:
        given_up, self._unclaimed = self._unclaimed, []
        self._unwanted(given_up)

    def _unwanted(self, messages: Sequence[Message]) -> None:
        """Acknowledge what an earlier subscription of this session still brings."""
        if messages and not self.unwanted:
            self._log.warning(
                "'%s' arrives, but nothing here subscribes to it: the broker keeps a subscription "
                "from earlier; further ones are counted only",
                messages[0].topic,
            )
        self.unwanted += len(messages)
        self._count_down(messages)
