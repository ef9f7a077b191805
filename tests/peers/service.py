"""Base of broker-side services: what a cloud does behind its broker, on a client of its own."""

from __future__ import annotations

import secrets
import threading
from typing import Any


class BrokerService:
    """Answers messages of some topics, on paho's own thread, connected again after a restart.

    Subclasses give `topics` and `answer`; what `answer` raises is kept in `errors`. What they do
    at a test's command ends with `settle`, so that it holds when the command returns.
    """

    topics: tuple[str, ...] = ()

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.errors: list[Exception] = []
        self.lock = threading.RLock()
        self._port = port
        self._echo = f"echo/{secrets.token_hex(8)}"
        self._echoes: dict[bytes, threading.Event] = {}
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, type(self).__name__)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(topic, 1) for topic in (*self.topics, self._echo)]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message
        self._client.max_inflight_messages = 0
        self._client.reconnect_delay_set(1, 1)

    def start(self) -> None:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self.wait()

    def forget(self) -> None:
        """The broker is about to go: `wait` is for the next one."""
        self._subscribed.clear()

    def wait(self) -> None:
        """Until it is subscribed, also after a restart of the broker."""
        assert self._subscribed.wait(60), "the service did not come up"

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes | str) -> None:
        self._client.publish(topic, payload, 1)

    def settle(self) -> None:
        """Until the broker has passed on what was published so far, and what it had for us before
        is answered. Not for `answer`, nor with the lock held: both would wait for themselves.
        """
        self.wait()
        token = secrets.token_hex(8).encode()
        came = self._echoes[token] = threading.Event()
        self.publish(self._echo, token)
        assert came.wait(60), "the broker does not pass messages on"
        del self._echoes[token]

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic == self._echo:
            self._echoes[message.payload].set()
            return
        try:
            with self.lock:
                self.answer(message.topic, message.payload)
        except Exception as error:  # noqa: BLE001 (of paho's thread: a test looks at it)
            self.errors.append(error)

    def answer(self, topic: str, payload: bytes) -> None:
        raise NotImplementedError
