"""The simplest server there is: a line in, a line out. For tests of what all connectors share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine
from typing import Any, Self


class LineServer:
    """A line in, a line out: 'hello PASSWORD', 'echo X', 'get NAME', 'set NAME JSON', 'silence'.

    Attributes:
        values: what 'get' gives and 'set' changes.
        port: where it listens.
        password: what 'hello' must be followed by; anything else is answered with 'go away'.
        lines: everything received.
        open: connections open now.
    """

    def __init__(self) -> None:
        self.port = 0
        self.password = "open sesame"
        self.values: dict[str, Any] = {}
        self.lines: list[str] = []
        self.open = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line-server")
        self._server: asyncio.Server | None = None

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError):
                while line := (await reader.readline()).decode().strip():
                    self.lines.append(line)
                    answer = self._answer(line)
                    if answer:
                        writer.write(f"{answer}\n".encode())
                        await writer.drain()
        finally:
            self.open -= 1
            writer.close()

    def _answer(self, line: str) -> str:
        verb, _, rest = line.partition(" ")
        if verb == "hello":
            return "welcome" if rest == self.password else "go away"
        if verb == "get":
            return json.dumps(self.values[rest]) if rest in self.values else "unknown"
        if verb == "set":
            return self._set(*rest.split(" ", 1))
        return {"echo": rest, "silence": ""}.get(verb, "unknown")

    def _set(self, name: str, text: str) -> str:
        value = json.loads(text)
        if name not in self.values or type(value) is not type(self.values[name]):
            return "refused"
        self.values[name] = value
        return "done"
