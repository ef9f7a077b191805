"""One activated session with one OPC UA server, and the watch over it.

The driver's own reconnecting is not used: it takes a server that hangs for a healthy one. A
session here is used until it fails once; then it is dropped and the connector opens a new one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from gl002.errors import ConnectFailed, GL002Error, RequestFailed
from gl002.security.certificates import load_certificates, notes_on
from gl002.transport.opc_ua.publishing import Publisher
from gl002.transport.opc_ua.security import Target, drop, open_client
from gl002.transport.opc_ua.values import Readout, unpacked
from gl002.wire.opc_ua import decode_read

T = TypeVar("T")
R = TypeVar("R")

_BEAT = 2.0  # seconds between two signs of life
_PATIENCE = 4.0  # seconds without any after which an idle server counts as gone
_GOODBYE = 2.0  # seconds for a polite end
_USUAL_LIMIT = 1000  # items in one request where the server names no limit
_RENEW_AFTER = 0.75  # share of the channel's life (OPC 10000-4, 5.6.2)

# Numbers of nodes in namespace 0 (OPC 10000-6, annex A)
_NAMESPACES, _START, _STATE, _PRODUCT, _VERSION = 2255, 2257, 2259, 2261, 2264
_LIMITS = (11705, 11707, 11710, 11712, 11714, 12165)  # MaxNodesPerRead ... in the order of `Limits`


class Limits(NamedTuple):
    """Most items the server takes in one request (OPC 10000-5, 6.3.11)."""

    read: int
    write: int
    browse: int
    translate: int
    monitor: int
    history: int


class Session:
    """An activated session.

    Attributes:
        client: the driver's.
        namespaces: URIs by index, as of now: an index holds only within a session.
        limits: of the server.
        server: product name and version.
        types: data types of nodes met so far, for writing.
        confirmed: nodes that were seen to be what they were, for writing.
        publisher: hands notifications to subscriptions.
        failure: why the session ended; None while it stands.
    """

    def __init__(self, client: Any, target: Target) -> None:
        self.client = client
        self.namespaces: list[str] = []
        self.limits = Limits(*[_USUAL_LIMIT] * len(_LIMITS))
        self.server = ""
        self.types: dict[Any, Any] = {}
        self.confirmed: set[tuple[str, Any]] = set()
        self.publisher = Publisher(client)
        self.failure: GL002Error | None = None
        self._target = target
        self._asking = 0
        self._heard = time.monotonic()
        self._renew_at = self._next_renewal()
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, target: Target, on_loss: Callable[[Session], Awaitable[None]]) -> Self:
        """Connect, log in, and learn what the server is.

        Args:
            target: what to connect to.
            on_loss: told once when the session ends by itself; `failure` says why.
        """
        session = cls(await open_client(target), target)
        try:
            await session._learn()
        except BaseException:
            drop(session.client)
            raise
        session._watch = asyncio.create_task(
            session._keep_watch(on_loss), name=f"gl002-{target.name}-watch"
        )
        return session

    async def _learn(self) -> None:
        from asyncua import ua

        wanted = (_NAMESPACES, _PRODUCT, _VERSION, *_LIMITS)
        found = await self.ask(
            self.client.uaclient.session.read_attributes(
                [ua.NodeId(number) for number in wanted], ua.AttributeIds.Value
            )
        )
        namespaces, product, version, *limits = (_value(value) for value in found)
        self.namespaces = [str(uri) for uri in namespaces or ()]
        self.server = f"{product or 'OPC UA server'} {version or ''}".strip()
        self.limits = Limits(*map(_limit, limits))

    # ---- requests ---------------------------------------------------------------------------

    async def ask(self, request: Awaitable[R]) -> R:
        """Wait for an answer; whatever comes is a sign of life."""
        self._asking += 1
        try:
            answer = await request
        finally:
            self._asking -= 1
        self._heard = time.monotonic()
        return answer

    async def in_pieces(
        self, items: Sequence[T], limit: int, request: Callable[[Sequence[T]], Awaitable[list[R]]]
    ) -> list[R]:
        """Ask in as few requests as the server's limit allows; answers in the order of `items`.

        A server that finds a request too large although it named no limit gets smaller ones.
        """
        from asyncua.ua.uaerrors import (
            BadEncodingLimitsExceeded,
            BadRequestTooLarge,
            BadResponseTooLarge,
            BadTooManyOperations,
        )

        answers: list[R] = []
        while len(answers) < len(items):
            piece = items[len(answers) : len(answers) + limit]
            try:
                part = await self.ask(request(piece))
            except (
                BadEncodingLimitsExceeded,
                BadRequestTooLarge,
                BadResponseTooLarge,
                BadTooManyOperations,
            ):
                if len(piece) == 1:
                    raise
                limit = len(piece) // 2
                continue
            if len(part) != len(piece):
                raise RequestFailed(
                    f"{self._target.name}: asked about {len(piece)} nodes, answered {len(part)}"
                )
            answers += part
        return answers

    async def read(self, nodes: Sequence[Any], attribute: Any) -> list[Any]:
        """The driver's DataValue of one attribute of each node."""
        service = self.client.uaclient.session
        return await self.in_pieces(
            nodes, self.limits.read, lambda piece: service.read_attributes(list(piece), attribute)
        )

    async def read_values(self, nodes: Sequence[Any]) -> list[Readout]:
        """Value, status and times of each node; arrays as lists."""
        return await self.in_pieces(nodes, self.limits.read, self._read_values)

    async def _read_values(self, nodes: Sequence[Any]) -> list[Readout]:
        from asyncua import ua
        from asyncua.ua.ua_binary import struct_from_binary

        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes
        ]
        if self.client.uaclient.protocol is None:
            raise ConnectionError("the connection is closed")
        answer = await self.client.uaclient.protocol.send_request(request)
        decoded = decode_read(bytes(answer))
        if decoded is not None:
            return list(decoded)
        response = struct_from_binary(ua.ReadResponse, answer)
        response.ResponseHeader.ServiceResult.check()
        return [unpacked(data) for data in response.Results]

    async def write(self, node_id: Any, variant: Any) -> int:
        """Write one value; its status code. Without times and status, which many servers refuse."""
        from asyncua import ua

        data = ua.DataValue(variant, StatusCode=None)
        service = self.client.uaclient.session
        (status,) = await self.ask(service.write_attributes([node_id], [data]))
        return int(status.value)

    async def ping(self) -> str:
        """One round trip; what the server is."""
        from asyncua import ua

        service = self.client.uaclient.session
        nodes = [ua.NodeId(_STATE), ua.NodeId(_START)]
        state, start = await self.ask(service.read_attributes(nodes, ua.AttributeIds.Value))
        phrase = self.server
        if _value(state):
            phrase += f", {ua.ServerState(_value(state)).name}"
        return f"{phrase}, up since {_value(start):%Y-%m-%d %H:%M} UTC" if _value(start) else phrase

    def notes(self) -> tuple[str, ...]:
        """What a person should know about it: certificates that end soon, no security."""
        if not self._target.settings.security.secure:
            return ("messages are neither signed nor encrypted",)
        policy = self.client.security_policy
        shown = {"our": policy.host_certificate, "the server's": policy.peer_certificate}
        return notes_on({w: load_certificates(bytes(der))[0] for w, der in shown.items()})

    # ---- life -------------------------------------------------------------------------------

    async def close(self, *, politely: bool) -> None:
        """End the session; with a goodbye where the server can be expected to hear it."""
        watch, self._watch = self._watch, None
        try:
            if watch is not None and watch is not asyncio.current_task():
                watch.cancel()
                await asyncio.wait([watch])
            await self.publisher.close()
            if politely and self.failure is None:
                async with asyncio.timeout(_GOODBYE):
                    await self.client.uaclient.close_session(True)
                    await self.client.close_secure_channel()
        except Exception:  # noqa: BLE001, S110 (it was a courtesy)
            pass
        finally:
            self.failure = self.failure or ConnectFailed(f"{self.where}: the session was closed")
            drop(self.client)
        await asyncio.sleep(0)  # the socket closes in the loop's next round

    async def _keep_watch(self, on_loss: Callable[[Session], Awaitable[None]]) -> None:
        """Notice the end of the connection at once, and a server that hangs within seconds."""
        try:
            await self._until_it_breaks()
            self.failure = ConnectFailed(f"{self.where}: the connection broke")
        except asyncio.CancelledError:
            if self._watch is not None:  # not by `close`: the loop itself ends, nobody else will
                drop(self.client)
            raise
        except GL002Error as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 (whatever it is, the session is of no use)
            self.failure = ConnectFailed(f"{self.where}: {str(error) or type(error).__name__}")
        await on_loss(self)

    async def _until_it_breaks(self) -> None:
        from asyncua.client.ua_client import UaClientState

        client = self.client.uaclient
        async with client.subscribe_state() as changes:
            while client.state is UaClientState.CONNECTED:
                try:
                    await changes.next_change(_BEAT)
                except TimeoutError:
                    await self._beat()

    async def _beat(self) -> None:
        """Keep session and channel alive, and see whether the server is.

        A request under way has its own time-out, so a server that is merely slow is left alone.
        """
        if time.monotonic() > self._renew_at:
            async with asyncio.timeout(self._target.timeout):
                await self.client.open_secure_channel(renew=True)
            self.client.uaclient.revolve_security_token()
            self._renew_at = self._next_renewal()
        last = max(self._heard, self.publisher.heard)
        if self._asking or time.monotonic() - last < _BEAT / 2:
            return
        try:
            async with asyncio.timeout(min(_PATIENCE, self._target.timeout)):
                await self.ping()
        except TimeoutError:
            raise ConnectFailed(f"{self.where}: no sign of life for {_PATIENCE:g} s") from None

    @property
    def where(self) -> str:
        """For messages: connector and endpoint."""
        return f"{self._target.name}: {self._target.endpoint}"

    def _next_renewal(self) -> float:
        lifetime = float(self.client.secure_channel_timeout) / 1000
        return time.monotonic() + _RENEW_AFTER * lifetime


def _limit(named: Any) -> int:
    """What a server says, where that makes sense; it says 0 for none."""
    return named if isinstance(named, int) and 0 < named < _USUAL_LIMIT else _USUAL_LIMIT


def _value(data: Any) -> Any:
    return data.Value.Value if data.Value is not None else None
