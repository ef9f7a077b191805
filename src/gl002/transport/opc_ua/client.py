"""What one may ask of an OPC UA server, whatever the tags are called: read, write, browse, follow.

`gl002.integrations.industrial.opc_ua` calls them by node; a system that is reached over its own
OPC UA server calls them its way, by overriding `_point`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from gl002.config.flow import InputSettings
from gl002.connector import Capability, Found, check_several
from gl002.errors import ConfigError, GL002Error, RequestFailed, TagNotFound
from gl002.model import Batch, Quality, Sample, Value, is_bad, now_ns
from gl002.session import before_sending
from gl002.source import Source
from gl002.transport.opc_ua.browsing import OBJECTS, Met, as_node, described, walk
from gl002.transport.opc_ua.connection import Connection
from gl002.transport.opc_ua.events import SERVER, EventSource
from gl002.transport.opc_ua.failures import of_status
from gl002.transport.opc_ua.history import recorded
from gl002.transport.opc_ua.identity import prints_of, refusal
from gl002.transport.opc_ua.nodes import Missing, Point, declare
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import OpcUaInput
from gl002.transport.opc_ua.source import OpcUaSource, Sessions
from gl002.transport.opc_ua.values import Reading, single
from gl002.transport.opc_ua.writing import variant_for

_DESCRIBED_AT_ONCE = 200  # nodes of a browse
_MOST_FOUND = 100_000


class OpcUaClient(Connection):
    """A session with one OPC UA server, and the verbs that every connector has."""

    can = (
        Capability.READ
        | Capability.WRITE
        | Capability.STREAM
        | Capability.BROWSE
        | Capability.HISTORY
    )
    Input = OpcUaInput

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; one that cannot be read is a bad sample."""
        now = now_ns()
        samples = []
        for tag, reading in zip(tags, await self._readings(tags, declaring=True), strict=True):
            value, status = single(reading.value, reading.status)
            samples.append(Sample(tag, value, reading.time or now, status))
        return samples

    async def _readings(self, texts: Sequence[str], *, declaring: bool = False) -> list[Reading]:
        check_several(texts)
        asked = [self._asked(text) for text in texts]
        points = [one for one in asked if isinstance(one, Point)]
        read = partial(self._read_now, points, declaring=declaring)
        answers = iter(await self._call(read, what=f"read {len(points)} nodes"))
        return [next(answers) if isinstance(one, Point) else one for one in asked]

    def _asked(self, text: str) -> Point | Reading:
        """What is meant, or that nothing can be: one that is misspelt harms no other."""
        try:
            return self._point(text)
        except ValueError as error:
            self._say_once(str(error))
            return Reading(None, int(Quality.BAD_NODE_ID_UNKNOWN), 0, str(error))

    async def _read_now(self, points: Sequence[Point], *, declaring: bool) -> list[Reading]:
        session = await self._current()
        nodes = await self._directory.resolve(session, points)
        if declaring:
            await declare(session, self.context.tags, self.name, points, nodes)
        answers = iter(await session.read_values([n for n in nodes if not isinstance(n, Missing)]))
        readings = [
            Reading(None, node.status, 0, node.reason)
            if isinstance(node, Missing)
            else Reading.of(next(answers), point.scaled, point.text)
            for point, node in zip(points, nodes, strict=True)
        ]
        for reading in readings:
            if reading.missing:
                self._say_once(reading.missing)
        return readings

    async def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """What the server has recorded, start <= time < end (ns UTC), oldest first of each tag.

        In batches of one tag, a thousand samples or fewer each; the batches of different tags take
        turns. Values are as in `read`.

        Raises:
            TagNotFound: there is no such node; after the others have been delivered.
            Unsupported: the server keeps no history of one; after the others, too.
        """
        points = [self._point(tag) for tag in dict.fromkeys(tags)]
        session, what = await self._current(), f"history of {len(points)} nodes"
        resolve = partial(self._directory.resolve, session, points)
        nodes = dict(enumerate(await self._ask(session, resolve, what)))
        missing = [node.reason for node in nodes.values() if isinstance(node, Missing)]
        failed: list[GL002Error] = [TagNotFound(f"{self.name}: {reason}") for reason in missing]
        there = {at: node for at, node in nodes.items() if not isinstance(node, Missing)}
        async with aclosing(recorded(session, there, start, end)) as pages:
            while page := await self._ask(session, partial(anext, pages, None), what):
                if page.status:
                    where = f"{self.name}: history of {points[page.handle].text}"
                    failed.append(of_status(page.status, where))
                elif page.values:
                    yield points[page.handle].samples(page.values)
        if failed:
            raise failed[0]

    async def write(self, tag: str, value: Value) -> None:
        """Write one value, in the node's own data type; audited, and never repeated by itself.

        Args:
            tag: node id, name of `data_mapping` (its scaling is undone), or browse name.
            value: must fit the type exactly; 485.0 fits an Int16, 485.5 does not.

        Raises:
            DataError: the value does not fit the node's type; nothing was sent.
            TagNotFound: there is no such node.
            RequestFailed: the server refused, and why.
        """
        request = partial(self._write_now, self._point(tag), value)
        await self._write_to_plant(request, address=tag, value=value)

    async def _write_now(self, point: Point, value: Value) -> None:
        with before_sending():
            session = await self._current()
            node_id = await self._node(session, point)
            await self._confirm(session, point, node_id)
            what = point.node or as_node(node_id)
            variant = await variant_for(session, node_id, point.unscaled(value), what)
        status = await session.write(node_id, variant)
        if is_bad(status):
            raise of_status(status, f"{self.name}: write {point.text}")

    async def _confirm(self, session: Session, point: Point, node_id: Any) -> None:
        """Refuse a node that is another one than it has to be; looked at once a session."""
        if (point.text, node_id) in session.confirmed:
            return
        (now,) = await prints_of(session, [node_id])
        if reason := refusal(point, now, self._prints):
            raise RequestFailed(f"{self.name}: write {point.text}: {reason}")
        session.confirmed.add((point.text, node_id))

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """Objects and variables below a node, level by level, each once.

        Raises:
            TagNotFound: there is no such node.
            RequestFailed: more than 100,000 nodes lie below it; behind those.
        """
        session, what = await self._current(), f"browse {address or OBJECTS}"
        point = self._point(address) if address else Point(tag="", text="", node=OBJECTS)
        start = await self._ask(session, partial(self._node, session, point), what)
        nodes = walk(session, start, depth=depth, at_most=_MOST_FOUND)
        while met := await self._ask(session, partial(_some, nodes), what):
            for found in await self._ask(session, partial(described, session, met), what):
                yield found

    def source(self, spec: InputSettings) -> Source:
        """One entry of `data_flow.input` as a stream."""
        if isinstance(spec, OpcUaInput) and spec.events is not None:
            return self._events(spec.events, spec.prefix)
        wanted = spec.tags if isinstance(spec, OpcUaInput) else None
        names = list(self.config.data_mapping) if wanted is None else wanted
        if not names:
            raise ConfigError(
                f"{self.name}: nothing to subscribe to",
                hint="list 'tags' in the input, or nodes in data_mapping",
            )
        return self._source([self._point(name, spec.prefix) for name in dict.fromkeys(names)])

    def _source(self, points: Sequence[Point]) -> OpcUaSource:
        return OpcUaSource(self._sessions(), points, self.config.subscription)

    def _events(self, nodes: Sequence[str], prefix: str = "") -> EventSource:
        meant = {node: SERVER if node == "server" else self._point(node).node for node in nodes}
        points = [Point(tag=prefix, text=text, node=node) for text, node in meant.items()]
        return EventSource(self._sessions(), points, self.config.subscription)

    def _sessions(self) -> Sessions:
        return Sessions(
            name=self.name,
            directory=self._directory,
            tags=self.context.tags,
            prints=self._prints,
            current=self._current,
            ask=self._ask,
        )


async def _some(nodes: AsyncIterator[Met]) -> list[Met]:
    """The next nodes of a walk, none at its end."""
    met: list[Met] = []
    while len(met) < _DESCRIBED_AT_ONCE and (one := await anext(nodes, None)) is not None:
        met.append(one)
    return met
