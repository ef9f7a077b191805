"""What is asked of PI Web API: objects, changes, batches, and the names of its servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

import msgspec

from gl002.errors import Busy, ConfigError, ConnectFailed, RequestFailed, TagNotFound
from gl002.model import TagTable
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import Request
from gl002.transport.pi_web_api.settings import PIConfig
from gl002.wire import pi_path, pi_web_id
from gl002.wire.pi_batch import Sub, SubAnswer, encode, in_order, items_of, web_exception

T = TypeVar("T")

_NAMES = "Items.Name;Items.IsConnected"
_KINDS = {"data_server": "Data Archive", "asset_server": "AF server"}


class Ask(Protocol):
    """One request on the session of a connector: connected, limited, retried."""

    async def __call__(self, request: Request, *, what: str, repeatable: bool = True) -> Answer:
        """Make it; `what` names it in messages."""
        ...


class PIWebAPI:
    """One PI Web API behind a session. Which servers it has is asked when it is first needed.

    Attributes:
        name: connector instance.
        config: its settings.
        tags: table to declare tags in.
        connect: opens the session.
    """

    def __init__(
        self,
        config: PIConfig,
        *,
        name: str,
        tags: TagTable,
        connect: Callable[[], Awaitable[None]],
        ask: Ask,
    ) -> None:
        self.config = config
        self.name = name
        self.tags = tags
        self.connect = connect
        self._ask = ask
        self._data_server = ""
        self._asset_server = ""

    # ---- servers ----------------------------------------------------------------------------

    async def greet(self, send: Callable[[Request], Awaitable[Answer]]) -> None:
        """Ask for the Data Archives: that takes a log-in, and tells which one is meant."""
        answer = await send(Request("GET", "dataservers", [("selectedFields", _NAMES)]))
        self._data_server = self._chosen(answer, self.config.data_server, "data_server")

    @property
    def data_server(self) -> str:
        """The name of the Data Archive, '' before the first connection."""
        return self._data_server

    async def asset_server(self) -> str:
        """The name of the AF server, asked for once."""
        if not self._asset_server:
            request = Request("GET", "assetservers", [("selectedFields", _NAMES)])
            answer = await self._ask(request, what="list the AF servers")
            self._asset_server = self._chosen(answer, self.config.asset_server, "asset_server")
        return self._asset_server

    def _chosen(self, answer: Answer, wanted: str, key: str) -> str:
        """The server that is meant."""
        servers = {
            str(item.get("Name")): bool(item.get("IsConnected", True))
            for item in items_of(self.content(answer))
            if isinstance(item, dict)
        }
        if wanted:
            known = next((name for name in servers if name.lower() == wanted.lower()), None)
            if known is None:
                raise ConfigError(
                    f"{self.name}: PI Web API knows no server '{wanted}'",
                    hint=f"{key}: {', '.join(servers) or 'it knows none'}",
                )
            return known
        connected = [name for name, is_connected in servers.items() if is_connected]
        if not connected:
            raise ConnectFailed(f"{self.name}: PI Web API is connected to no {_KINDS[key]}")
        if len(connected) > 1:
            raise ConfigError(
                f"{self.name}: PI Web API is connected to more than one {_KINDS[key]}",
                hint=f"say which: {key}: {', '.join(connected)}",
            )
        return connected[0]

    # ---- requests ---------------------------------------------------------------------------

    def content(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer, which is an object and did not break off.

        Raises:
            RequestFailed: it is none. Busy: the server failed while it answered.
        """
        content: dict[str, Any] = answer.json(dict[str, Any])
        exception = web_exception(content)
        if exception is not None:
            raise Busy(f"{self.name}: PI Web API failed while it answered: {exception}")
        return content

    async def get(self, path: str, query: Sequence[tuple[str, str]], what: str) -> dict[str, Any]:
        """One object; may be asked again."""
        return self.content(await self._ask(Request("GET", path, query), what=what))

    async def post(
        self,
        path: str,
        query: Sequence[tuple[str, str]],
        body: object,
        *,
        what: str,
        repeatable: bool,
    ) -> Answer:
        """One change; `repeatable` as in `Session._call`."""
        request = Request("POST", path, query, body=msgspec.json.encode(body))
        return await self._ask(request, what=what, repeatable=repeatable)

    async def send_omf(self, headers: Mapping[str, str], body: bytes, what: str) -> Answer:
        """OMF messages; PI Web API answers for each, whatever the status of the whole.

        Raises:
            GL002Error: there is no answer that speaks of messages.
        """
        request = Request("POST", "omf", headers=headers, body=body, compress=True)
        return await self._ask(request, what=what, repeatable=False)  # the flow repeats it

    async def batch(self, requests: Sequence[Sub], what: str) -> list[SubAnswer]:
        """Many requests in as few as `batch_size` allows; an answer to each, in order.

        Raises:
            Busy: none was done, and all may go well later.
        """
        await self.connect()
        answers: list[SubAnswer] = []
        for some in chunks(requests, self.config.batch_size):
            request = Request("POST", "batch", body=encode(some, self.config.base_url))
            answer = await self._ask(request, what=what)
            found = answer.json(dict[str, SubAnswer])
            answers += in_order(found, len(some))
        if answers and all(answer.passing for answer in answers):
            raise Busy(f"{self.name}: {what}: {answers[0].words}")
        return answers

    # ---- names ------------------------------------------------------------------------------

    async def path_of(self, address: str) -> str:
        """The whole path that an address names."""
        if pi_path.is_attribute(address):
            return await self.asset_path(address)
        return await self.point_path(address)

    async def point_path(self, name: str) -> str:
        """The whole path of a point."""
        await self.connect()
        return pi_path.point_path(name, self._data_server)

    async def asset_path(self, address: str) -> str:
        """The whole path of something in AF.

        Raises:
            ConfigError: it is short, and no database is configured.
        """
        if address.startswith("\\\\"):
            return address
        if not self.config.database:
            raise ConfigError(
                f"{self.name}: '{address}' is in AF, and no database is configured",
                hint="set 'database', or write the whole path: \\\\server\\database\\element",
            )
        return pi_path.asset_path(address, await self.asset_server(), self.config.database)

    async def data_server_web_id(self) -> str:
        """WebID of the Data Archive."""
        await self.connect()
        if self.config.web_ids == "client":
            return pi_web_id.of_data_server(self._data_server)
        path = f"\\\\{self._data_server}"
        found = await self.get("dataservers", [("path", path)], f"find {path}")
        return web_id_in(found)

    async def asset_web_id(self, path: str) -> str:
        """WebID of an AF database or element.

        Raises:
            TagNotFound: the path names an attribute, or nothing.
        """
        if "|" in path:
            raise TagNotFound(f"{self.name}: {path} is an attribute: nothing lies below it")
        if self.config.web_ids == "client":
            try:
                return pi_web_id.of_database(path) if is_database(path) else pi_web_id.of_path(path)
            except ValueError as error:
                raise TagNotFound(f"{self.name}: {error}") from None
        collection = "assetdatabases" if is_database(path) else "elements"
        return web_id_in(await self.get(collection, [("path", path)], f"find {path}"))


def is_database(path: str) -> bool:
    r"""Whether a path has the form of an AF database, '\\server\database'."""
    return path.removeprefix("\\\\").count("\\") == 1


def chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items, `size` at a time."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def web_id_in(content: object) -> str:
    """The WebID of an object.

    Raises:
        RequestFailed: it has none.
    """
    found = content.get("WebId") if isinstance(content, dict) else None
    if not isinstance(found, str) or not found:
        raise RequestFailed("an answer of PI Web API has no WebId")
    return found
