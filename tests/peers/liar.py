"""A TCP server that answers each request with whatever bytes a test tells it to send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Self

_LONGEST = 300  # bytes of a request


class Liar:
    """Listens on 127.0.0.1; every request that arrives is answered with `answer(request)`.

    Attributes:
        port: where it listens.
        answer: from a request to the pieces to send, each in a segment of its own.
        delay: seconds before it answers, as a device that thinks.
    """

    def __init__(self, answer: Callable[[bytes], Sequence[bytes]] = lambda _: ()) -> None:
        self.answer = answer
        self.delay = 0.0
        self.port = 0
        self._noise = b""
        self._noisy = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def noise(self) -> bytes:
        """Bytes it sends every millisecond, asked or not; b'' for none."""
        return self._noise

    @noise.setter
    def noise(self, noise: bytes) -> None:
        self._noise = noise
        if noise:
            self._noisy.set()
        else:
            self._noisy.clear()

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._writers)

    def say(self, something: bytes) -> None:
        """Send it on every connection, asked or not."""
        for writer in self._writers:
            writer.write(something)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._writers.add(writer)
        babble = asyncio.create_task(self._babble(writer))
        try:
            while request := await reader.read(_LONGEST):
                if self.delay:
                    await asyncio.sleep(self.delay)
                for piece in self.answer(request):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the streams of asyncio report a handler that was cancelled as a mistake
        finally:
            self._open.discard(task)
            self._writers.discard(writer)
            babble.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await babble
            writer.transport.abort()

    async def _babble(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._noisy.wait()
            await asyncio.sleep(0.001)
            writer.write(self.noise)
            await writer.drain()
