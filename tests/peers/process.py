"""Servers that tests talk to: other people's programs, started on loopback and free ports."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
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
_SHARE = 500  # ports of one process
_GOODBYE = 20.0  # seconds a server may take to end


class _Ports:
    """A share of the ports that no other process of tests has while this one lives.

    A port that was given is not in use at once, and a server that is killed leaves its own for a
    moment: looking whether it is free does not keep test processes side by side apart.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()  # a fork needs a share of its own
        folder = Path(tempfile.gettempdir()) / f"gl002-ports-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for first in _LISTENING[::_SHARE]:
            lock = os.open(folder / str(first), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the process ends
            except BlockingIOError:
                os.close(lock)
                continue
            share = range(first, first + _SHARE)
            begin = random.SystemRandom().randrange(_SHARE)  # others' servers may linger
            self.next = itertools.cycle([*share[begin:], *share[:begin]])
            return
        raise RuntimeError(f"more than {len(_LISTENING) // _SHARE} test processes want ports")


_ports: _Ports | None = None


def free_port() -> int:
    """A TCP and UDP port that nobody uses now, and that nobody else will be given.

    Neither an outgoing connection nor another process of tests; in this process the next
    hundreds of calls give others. So a server may be killed and started again on it.
    """
    global _ports  # noqa: PLW0603 (one per process is the point)
    if _ports is None or _ports.pid != os.getpid():
        _ports = _Ports()
    for port in itertools.islice(_ports.next, _SHARE):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                for probe in (tcp, udp):
                    probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"none of {_SHARE} ports is free")


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

    start_timeout = 60.0

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
            if number != signal.SIGKILL:  # which also ends what is frozen, and it does nothing more
                os.killpg(child.pid, signal.SIGCONT)
            os.killpg(child.pid, number)
        try:
            child.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(_GOODBYE)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
