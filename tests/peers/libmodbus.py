"""A Modbus server on libmodbus, the C implementation: compiled for the run, steered by the test."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from peers.process import Process, free_port, program

_SOURCE = Path(__file__).with_name("libmodbus_server.c")
_REASONABLE = 30.0  # seconds for an answer of a program beside us on a busy machine


class Asked(NamedTuple):
    """A request as the server saw it."""

    unit: int
    function: int
    address: int
    count: int


class LibModbus(Process):
    """Units 1 to 32 on 127.0.0.1:port, each with 5000 of everything; beyond it answers 02."""

    def __init__(self) -> None:
        super().__init__()
        self.control = free_port()
        self._binary = self.folder / "libmodbus_server"

    def command(self) -> Sequence[str]:
        return [str(self._binary), "tcp", str(self.port), str(self.control)]

    def start(self) -> None:
        if not self._binary.exists():
            self._compile()
        super().start()

    def _compile(self) -> None:
        flags = subprocess.check_output(
            [program("pkg-config", "pkg-config"), "--cflags", "--libs", "libmodbus"], text=True
        )
        subprocess.run(
            [program("gcc", "gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(self._binary),
             str(_SOURCE), *shlex.split(flags)],
            check=True, timeout=60,
        )  # fmt: skip

    def tell(self, *words: object) -> list[str]:
        """Give a command and return the words of the answer."""
        line = " ".join(str(word) for word in words)
        with socket.create_connection(("127.0.0.1", self.control), _REASONABLE) as link:
            link.sendall(f"{line}\n".encode())
            with link.makefile() as answers:
                verdict, *rest = answers.readline().split()
        assert verdict == "ok", f"{line}: {verdict}"
        return rest

    def set(self, unit: int, table: str, address: int, *values: int) -> None:
        """Put raw values into a table."""
        self.tell("set", unit, table, address, *values)

    def get(self, unit: int, table: str, address: int, count: int = 1) -> list[int]:
        """Raw values of a table."""
        return [int(word) for word in self.tell("get", unit, table, address, count)]

    def set_bytes(self, unit: int, table: str, address: int, raw: bytes) -> None:
        """Put bytes into registers, two each, high byte first."""
        words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
        self.set(unit, table, address, *words)

    def asked(self) -> list[Asked]:
        """The requests since the last look, as they came."""
        return [Asked(*map(int, word.split(":"))) for word in self.tell("log")]

    def clear(self) -> None:
        """All values 0, no faults, nothing logged."""
        self.tell("clear")


class SerialLibModbus(LibModbus):
    """Unit 1 at the far end of a pair of pseudo-terminals; `device` is our end."""

    def __init__(self) -> None:
        super().__init__()
        self.device = self.folder / "near"
        self._far = self.folder / "far"
        self._wires: list[subprocess.Popen[bytes]] = []

    def command(self) -> Sequence[str]:
        return [str(self._binary), "rtu", str(self._far), str(self.control)]

    def start(self) -> None:
        if not self._wires:
            self._lay(
                f"pty,raw,echo=0,link={self.device}", f"pty,raw,echo=0,link={self._far}",
                until=self._far.exists,
            )  # fmt: skip
        super().start()

    def _lay(self, *words: str, until: Callable[[], bool]) -> None:
        """Start a socat and wait until what it makes is there."""
        self._wires.append(
            subprocess.Popen([program("socat", "socat"), *words], start_new_session=True)
        )
        deadline = time.monotonic() + _REASONABLE
        while not until():
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"socat {words} made no line")
            time.sleep(0.02)

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            self.tell("log")
            return True
        return False

    def stop(self) -> None:
        while self._wires:
            wire = self._wires.pop()
            wire.terminate()
            wire.wait(_REASONABLE)
        super().stop()


class SerialLibModbusPy(SerialLibModbus):
    """The same line with an ASCII device of libmodbuspy, another implementation, at its end."""

    def command(self) -> Sequence[str]:
        server = Path(__file__).with_name("modbus_ascii_server.py")
        return [sys.executable, str(server), str(self._far), str(self.control)]

    def _compile(self) -> None:
        pass


class RtuOverTcp(SerialLibModbus):
    """The same behind a serial device server: bytes of TCP `port` go to the line and back."""

    def start(self) -> None:
        super().start()
        if len(self._wires) == 1:
            self._lay(
                "-t", "0", f"tcp-listen:{self.port},bind=127.0.0.1,reuseaddr,fork,max-children=1",
                f"file:{self.device},raw,echo=0", until=self._answers,
            )  # fmt: skip

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class TlsLibModbus(LibModbus):
    """libmodbus over TCP behind socat, whose OpenSSL asks for a certificate that it trusts.

    Attributes:
        secure_port: where TLS is spoken.
    """

    def __init__(self, ca: Path, certificate: Path, key: Path) -> None:
        super().__init__()
        self.secure_port = free_port()
        self._files = f"cafile={ca},cert={certificate},key={key}"
        self._front: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        super().start()
        listen = f"openssl-listen:{self.secure_port},bind=127.0.0.1,reuseaddr,fork,verify=1"
        self._front = subprocess.Popen(
            [program("socat", "socat"), f"{listen},{self._files}", f"tcp:127.0.0.1:{self.port}"],
            start_new_session=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + _REASONABLE
        while not self._listens():
            assert time.monotonic() < deadline, "socat does not listen"
            time.sleep(0.02)

    def _listens(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.secure_port), 1),
        ):
            return True
        return False

    def stop(self) -> None:
        front, self._front = self._front, None
        if front is not None:
            front.terminate()
            front.wait(_REASONABLE)
        super().stop()
