"""Our side of QoS 2, without a broker."""

from __future__ import annotations

import asyncio
import logging

from gl002.errors import ConnectFailed
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route

LOST = ConnectFailed("the link is cut")


def message(number: int, topic: str = "a", *, dup: bool = False, text: str = "x") -> Message:
    return Message(topic=topic, payload=text.encode(), qos=2, duplicate=dup, packet_id=number)


class Side:
    """Our side of a connection: what it says to the broker."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.inbox = Inbox(logging.getLogger("gl002.mqtt"))

    @property
    def received(self) -> list[int]:
        return [number for packet, number in self.said if packet == "pubrec"]

    @property
    def completed(self) -> list[int]:
        return [number for packet, number in self.said if packet == "pubcomp"]

    def _ask(self) -> None:
        self.said.append(("ping", 0))
        self.inbox.asked()

    def connect(self, *, broker: str = "broker", session_present: bool = True) -> None:
        self.inbox.begin(
            broker=broker,
            acknowledge=lambda m: self.said.append(("pubrec", m.packet_id)),
            complete=lambda number: self.said.append(("pubcomp", number)),
            resume=lambda: None,
            ask=self._ask,
            session_present=session_present,
        )

    def route(self, *filters: str, lasting: bool = True) -> Route:
        made = Route(self.inbox, filters or ("a",), 10, lasting=lasting)
        self.inbox.add(made)
        return made


async def taken(route: Route) -> list[Message] | None:
    """What is taken at once; None where a reader would wait."""
    taking = asyncio.ensure_future(route.take(through_outages=True))
    await asyncio.sleep(0)
    if taking.done():
        return taking.result()
    taking.cancel()
    await asyncio.wait([taking])
    return None
