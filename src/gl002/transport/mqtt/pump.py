"""Moves bytes between the event loop and paho: reads, writes, and looks at the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gl002.transport.mqtt.stream import Stream

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_TICK = 1.0  # seconds between looks at the keep-alive


class Pump:
    """Drives one paho client on the running loop, from `start` to `stop`.

    Args:
        client: reads and writes `stream`.
        stream: connected.
        full: whether reading must pause; after that, `resume` starts it again.
        failed: told of an error that paho or the stream raised; must lead to `stop`.
    """

    def __init__(
        self,
        client: Client,
        stream: Stream,
        *,
        full: Callable[[], bool],
        failed: Callable[[Exception], None],
    ) -> None:
        self._client = client
        self._stream = stream
        self._full = full
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._tick: asyncio.TimerHandle | None = None
        self._running = self._paused = self._scheduled = self._writer = False

    @property
    def paused(self) -> bool:
        """Whether reading pauses, so that nothing can arrive."""
        return self._paused

    def start(self) -> None:
        """Begin to read, and to write whatever paho has to send."""
        self._running = True
        self._client.on_socket_register_write = self._on_more_to_write
        self._client.on_socket_close = lambda *_: self.stop()
        self._loop.add_reader(self._stream.fileno(), self._read)
        self._keep_alive()

    def stop(self) -> None:
        """Leave the stream alone, before it is closed. Safe to call twice."""
        if not self._running:
            return  # its descriptor may be another one's by now
        self._running = False
        self._loop.remove_reader(self._stream.fileno())
        self._loop.remove_writer(self._stream.fileno())
        if self._tick is not None:
            self._tick.cancel()

    def resume(self) -> None:
        """There is room again."""
        if self._paused and self._running:
            self._paused = False
            self._loop.add_reader(self._stream.fileno(), self._read)
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Work through what has arrived, as long as there is room."""
        try:
            while self._running and not self._paused:
                code = self._client.loop_read()
                if code and self._running:
                    raise ConnectionError(f"paho code {int(code)}")  # noqa: TRY301 (handled here)
                if self._full():
                    self._pause()
                if not self._stream.pending:
                    return
        except Exception as error:  # noqa: BLE001 (paho raises anything on a malformed packet)
            self._failed(error)

    def _pause(self) -> None:
        if self._running:
            self._paused = True
            self._loop.remove_reader(self._stream.fileno())

    def _on_more_to_write(self, *_: object) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Pack everything that waits into the stream, and write what the network takes."""
        self._scheduled = False
        try:
            while self._running:
                self._client.loop_write()
                if self._running:
                    self._stream.flush()
                if self._stream.unsent or not self._client.want_write():
                    break
        except Exception as error:  # noqa: BLE001 (as above)
            self._failed(error)
        self._watch_for_room()

    def _watch_for_room(self) -> None:
        """Let the loop call `_write` again while the network takes no more."""
        wanted = self._running and self._stream.unsent
        if wanted and not self._writer:
            self._loop.add_writer(self._stream.fileno(), self._write)
        elif self._writer and not wanted and self._running:
            self._loop.remove_writer(self._stream.fileno())
        self._writer = wanted

    def _keep_alive(self) -> None:
        """Let paho ask after a silence and give up after another; not while we do not read."""
        self._tick = self._loop.call_later(_TICK, self._keep_alive)
        if not self._paused:
            self._client.loop_misc()
