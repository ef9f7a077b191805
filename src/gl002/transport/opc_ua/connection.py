"""A connector's session with an OPC UA server, and which node a user means.

What one may ask of the server is `client`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from gl002.connector import Connector, Drift, Found, Health, State
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestTimeout, TagNotFound
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.security.pki import Pki
from gl002.transport.opc_ua.browsing import Met, as_node, described
from gl002.transport.opc_ua.failures import translate
from gl002.transport.opc_ua.identity import Print
from gl002.transport.opc_ua.mapping import drift_of, entry_of
from gl002.transport.opc_ua.nodes import Deadband, Directory, Missing, Point
from gl002.transport.opc_ua.security import Target
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import MappingSettings, OpcUaConfig
from gl002.wire.opc_ua import looks_like_node, parse_node

R = TypeVar("R")

_PORT = 4840


class Connection(Connector[OpcUaConfig]):
    """Opens a session, gives it up when it fails, and finds nodes on it."""

    kind = "opc_ua"
    Config = OpcUaConfig
    entries_key = "data_mapping"
    environment: ClassVar = {"GL002_OPC_SERVER": "url"}

    def __init__(
        self,
        config: OpcUaConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._session: Session | None = None
        self._directory = Directory()
        self._prints: dict[str, Print] = {}  # what nodes were when they were first met

    # ---- life -------------------------------------------------------------------------------

    def endpoints(self) -> Sequence[Endpoint]:
        """The server's host and port."""
        return [Endpoint.of(self.config.server.url, _PORT)]

    @property
    def idle(self) -> bool:
        """Whether closing the session now would disturb nobody, subscriptions included."""
        streaming = self._session is not None and self._session.publisher.active
        return super().idle and not streaming

    async def connect(self) -> None:
        """Open the session; returns at once where it is open.

        Raises:
            ConnectFailed: nothing there (retryable), or one of its kinds: AuthFailed, NotAllowed.
            MissingDependency: the driver is not installed.
        """
        if "asyncua" not in sys.modules:  # takes seconds: in a thread, and not on the time-out
            with suppress(Exception):  # the attempt to open tells what is wrong with it
                await asyncio.to_thread(import_module, "asyncua")
        await super().connect()

    async def _open(self) -> None:
        (endpoint,) = self.endpoints()
        site = self.config.security.trust_store
        target = Target(
            name=self.name,
            settings=self.config,
            endpoint=endpoint,
            network=self.context.network,
            pki=Pki(self.context.state_dir / "pki", also_trusted=Path(site) if site else None),
            timeout=self._timeout,
            extra=self.kind,
        )
        self._session = await Session.open(target, self._broke)

    async def _shut(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close(politely=self._state is State.CLOSED)

    async def _broke(self, session: Session) -> None:
        """The session has ended by itself."""
        if session is self._session and session.failure is not None:
            await self._lost(session.failure)

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        return translate(error, f"{self.name}: {what}: {self.endpoints()[0]}")

    async def _current(self) -> Session:
        """The open session, opened if need be."""
        await self.connect()
        if self._session is None:
            raise ConnectFailed(f"{self.name}: {self.endpoints()[0]}: the session has just ended")
        return self._session

    async def _ask(self, session: Session, request: Callable[[], Awaitable[R]], what: str) -> R:
        """One request on that very session; its own steps have time-outs, their sum has none."""
        try:
            with self._in_use():
                return await request()
        except Exception as error:
            failure = session.failure or self._explain(error, what)
            if isinstance(failure, ConnectFailed | RequestTimeout) and session is self._session:
                await self._lost(failure)
            raise failure from error

    async def check(self) -> Health:
        """One cheap round trip; notes on certificates that end soon, and on missing security."""
        health = await super().check()
        notes = self._session.notes() if self._session is not None else ()
        return msgspec.structs.replace(health, notes=notes)

    async def _ping(self) -> str:
        return await (await self._current()).ping()

    # ---- which node -------------------------------------------------------------------------

    def _point(self, text: str, prefix: str = "") -> Point:
        """What a user means by a name or node id."""
        mapped = self.config.data_mapping.get(text)
        if mapped is not None:
            return Point(
                tag=prefix + text,
                text=text,
                node=parse_node(mapped.node_id),
                scaling=mapped.scaling,
                offset=mapped.offset,
                unit=mapped.unit,
                type=mapped.type,
                description=mapped.description,
                deadband=_deadband(mapped),
            )
        return Point(
            tag=prefix + text, text=text, node=parse_node(text) if looks_like_node(text) else None
        )

    # ---- what was found, and the configuration ----------------------------------------------

    def entry_of(self, found: Found) -> Mapping[str, str]:
        """The entry of `data_mapping` that reads a variable: node by URI, type, unit."""
        return entry_of(found, self._namespaces())

    async def drift(self, found: Sequence[Found]) -> Sequence[Drift]:
        """New variables, mapped nodes that are gone, other types and units.

        Mapped nodes that were not met, by the choice of where to browse, are looked up.
        """
        session, mapping = await self._current(), self.config.data_mapping
        points, what = [self._point(name) for name in mapping], "compare with data_mapping"
        resolve = partial(self._directory.resolve, session, points)
        nodes = dict(zip(mapping, await self._ask(session, resolve, what), strict=True))
        met = {thing.address: thing for thing in found}
        now: dict[str, Found | None] = {
            name: None if isinstance(node, Missing) else met.get(str(as_node(node)))
            for name, node in nodes.items()
        }
        unmet = {
            name: Met(node, name, name, is_variable=True)
            for name, node in nodes.items()
            if now[name] is None and not isinstance(node, Missing)
        }
        looked_up = partial(described, session, list(unmet.values()))
        for name, thing in zip(unmet, await self._ask(session, looked_up, what), strict=True):
            now[name] = thing if thing.type else None
        return list(drift_of(found, {name: (mapping[name], now[name]) for name in mapping}))

    def _namespaces(self) -> Sequence[str]:
        if self._session is None:
            raise ConnectFailed(f"{self.name}: {self.endpoints()[0]}: there is no session now")
        return self._session.namespaces

    async def _node(self, session: Session, point: Point) -> Any:
        (node,) = await self._directory.resolve(session, [point])
        if isinstance(node, Missing):
            raise TagNotFound(f"{self.name}: {node.reason}")
        return node


def _deadband(mapped: MappingSettings) -> Deadband | None:
    """The deadband for the server, which knows the node's unit only."""
    if mapped.deadband_percent is not None:
        return Deadband(mapped.deadband_percent, percent=True)
    if mapped.deadband is not None:
        return Deadband(mapped.deadband / abs(mapped.scaling))
    return None
