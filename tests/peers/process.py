"""Servers that tests talk to: other people's programs, started on loopback and free ports."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LISTENING = range(12_000, 32_000)  # below those that systems give to outgoing connections


def free_port() -> int:
    """A TCP and UDP port that nobody uses now, and that no outgoing connection will be given.

    A server may be killed and started again on it. Chance keeps test processes side by side apart.
    """
    for _ in range(1_000):
        port = random.SystemRandom().choice(_LISTENING)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                for probe in (tcp, udp):
                    probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {_LISTENING.start} and {_LISTENING.stop}")


def program(name: str, package: str, *places: str) -> str:
    """Path of an installed program.

    Raises:
        RuntimeError: it is not installed; names the Debian package that brings it. Never skipped:
            a test that could not run is a failed test.
    """
    for place in ("", "/usr/sbin", "/usr/local/sbin", *places):
        found = shutil.which(name, path=place or None)
        if found:
            return found
    raise RuntimeError(f"'{name}' is not installed: make peers (apt-get install {package})")


class Process:
    """A server as a child process: start, wait until it answers, stop, kill, freeze, thaw.

    Subclasses give `command()`; `ready()` may be overridden, the default waits for `port`.

    Attributes:
        port: the TCP port it listens on, kept over restarts.
        folder: its own scratch folder, removed by `stop`.
    """

    start_timeout = 30.0

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gl002-peer-"))
        self._child: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5):
            return True
        return False

    @property
    def output(self) -> str:
        """What it has printed so far."""
        log = self.folder / "output.txt"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "output.txt").open("ab") as log:
            self._child = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(self.environment()), start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + self.start_timeout
        while not self.ready():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command()[0]} did not start:\n{self.output[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a goodbye."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its folder; safe to call twice."""
        self._signal(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it from running; its connections stay open."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def _signal(self, number: int) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGCONT)
            os.killpg(child.pid, number)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(10)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
