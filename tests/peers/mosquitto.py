"""Eclipse mosquitto: a real broker, plain and with TLS, with users, rights and a disk."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import trustme

from peers.process import Process, free_port, program

USER, PASSWORD = "gl002", "correct horse battery"
_WEBSOCKET = ("protocol websockets", "socket_domain ipv4")
LARGEST = 12 * 1024 * 1024  # bytes
_STATES = re.compile(r"mosquitto version \S+ (starting|running)$", re.MULTILINE)


class Mosquitto(Process):
    """A broker with a plain and, if wanted, two TLS listeners.

    Args:
        users: ask for a user name and password, and grant topics below `boiler/`, `plant/` and
            `spBv1.0/` only.
        tls: also listen with TLS (`tls_port`) and with TLS that asks for a certificate
            (`mutual_port`), both with a certificate for 'localhost' from `authority`.
        websocket: also listen for WebSockets (`websocket_port`, with `tls` also
            `secure_websocket_port`).
        persistent: keep sessions and messages over a restart.
        largest: bytes the broker takes in one packet.
        options: further lines of mosquitto.conf.
        most: quality of service that the plain listener grants at most.
    """

    def __init__(
        self,
        *,
        users: bool = False,
        tls: bool = False,
        websocket: bool = False,
        persistent: bool = False,
        largest: int = LARGEST,
        options: Sequence[str] = (),
        most: int = 2,
    ) -> None:
        super().__init__()
        self._most = most
        self.authority = trustme.CA()
        self.tls_port, self.mutual_port = free_port(), free_port()
        self.websocket_port, self.secure_websocket_port = free_port(), free_port()
        self._tls, self._websocket = tls, websocket
        self._options = [
            "allow_anonymous " + ("false" if users else "true"),
            "max_queued_messages 1000000",  # 0 makes 2.0.11 hang up after a refused publish
            f"max_packet_size {largest}",
            *options,
        ]
        if users:
            self._options += [f"password_file {self._passwords()}", f"acl_file {self._rights()}"]
        if persistent:
            # Written after every change, so that a kill loses nothing it had confirmed.
            self._options += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        if tls:
            self._write_certificates()

    def _passwords(self) -> Path:
        path = self.folder / "passwords"
        tool = program("mosquitto_passwd", "mosquitto")
        subprocess.run([tool, "-b", "-c", str(path), USER, PASSWORD], check=True)
        return path

    def _rights(self) -> Path:
        path = self.folder / "rights"
        allowed = ("boiler/#", "plant/#", "spBv1.0/#", "$SYS/#")
        lines = [f"user {USER}", *(f"topic readwrite {topic}" for topic in allowed)]
        path.write_text("\n".join(lines) + "\n")
        return path

    def _write_certificates(self) -> None:
        server = self.authority.issue_cert("localhost")
        self.authority.cert_pem.write_to_path(self.ca)
        server.private_key_pem.write_to_path(self.folder / "server.key")
        with (self.folder / "server.pem").open("wb") as file:
            for part in server.cert_chain_pems:
                file.write(part.bytes())

    @property
    def access(self) -> list[str]:
        """Arguments for the command line tools of the broker."""
        return ["-h", "127.0.0.1", "-p", str(self.port), "-u", USER, "-P", PASSWORD]

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def client_certificate(self, name: str = "gl002") -> tuple[Path, Path]:
        """Certificate and key files of a client that the broker trusts."""
        return issue(self.authority, self.folder, name)

    def command(self) -> Sequence[str]:
        (self.folder / "mosquitto.conf").write_text("\n".join(self._lines()) + "\n")
        broker = program("mosquitto", "mosquitto")
        return [broker, "-v", "-c", str(self.folder / "mosquitto.conf")]

    def ready(self) -> bool:
        """Whether all its listeners are open: that on `port` is the first of them."""
        if not super().ready():
            return False
        said = _STATES.findall(self.output)  # looked at afterwards: now it has said "starting"
        return said.count("running") == said.count("starting") > 0

    def takes(self, client: str, topic: str) -> int:
        """How often a client has subscribed to a topic filter, and was answered."""
        told, subscribed, answered = self.output, 0, 0
        for line in told.splitlines():
            words = line.partition(": ")[2].split(" ")
            if len(words) == 3 and words[0] == client and words[2] == topic:
                subscribed += 1
            elif words == ["Sending", "SUBACK", "to", client]:
                answered = subscribed
        return answered

    def forget(self, client: str) -> None:
        """Let the session of a client go, with all that waits in it (MQTT 3.1.1, 3.1.2.4)."""
        name = client.encode()
        rest = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(name).to_bytes(2, "big") + name
        with socket.create_connection(("127.0.0.1", self.port), 30) as sock:
            sock.sendall(bytes([0x10, len(rest)]) + rest)
            with sock.makefile("rb") as answer:
                assert answer.read(4) == b"\x20\x02\x00\x00"
            sock.sendall(b"\xe0\x00")

    def _lines(self) -> list[str]:
        lines = ["user root", *self._options, f"listener {self.port} 127.0.0.1"]
        lines += [f"max_qos {self._most}"]
        if self._tls:
            server = [
                f"cafile {self.ca}",
                f"certfile {self.folder}/server.pem",
                f"keyfile {self.folder}/server.key",
            ]
            lines += [f"listener {self.tls_port} 127.0.0.1", *server]
            lines += [f"listener {self.mutual_port} 127.0.0.1", *server, "require_certificate true"]
            if self._websocket:
                lines += [f"listener {self.secure_websocket_port} 127.0.0.1", *_WEBSOCKET, *server]
        if self._websocket:
            lines += [f"listener {self.websocket_port} 127.0.0.1", *_WEBSOCKET]
        return lines


def issue(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    """Certificate and key files for `name`, signed by `authority`."""
    issued = authority.issue_cert(f"{name}@example.org", common_name=name)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


class Subscriber(Process):
    """`mosquitto_sub` as a process of its own: keeps every payload of some topics.

    The broker keeps its session, so it misses nothing while one of both is away.
    """

    def __init__(self, broker: Mosquitto, topic: str) -> None:
        super().__init__()
        self._broker = broker
        self._topic = topic
        self._name = f"subscriber-{self.port}"
        self._marks = 0

    def command(self) -> Sequence[str]:
        lines = [program("stdbuf", "coreutils"), "-oL"]
        tool = program("mosquitto_sub", "mosquitto-clients")
        return [*lines, tool, *self._broker.access, "-i", self._name, "-c", "-q", "1",
                "-t", self._topic, "-t", self._aside, "-F", "%p"]  # fmt: skip

    def ready(self) -> bool:
        return f"Sending SUBACK to {self._name}" in self._broker.output

    @property
    def _aside(self) -> str:
        return f"plant/marks/{self._name}"

    @property
    def payloads(self) -> list[str]:
        """Every payload so far, also one that came again."""
        lines = self.output.split("\n")[:-1]  # what is not whole yet is behind the last
        return [line for line in lines if not line.startswith(f"{self._name} ")]

    def catch_up(self) -> None:
        """Return when it has all that the broker has confirmed so far.

        What a broker hands to a client keeps its order, so this waits for a message sent now; and
        the broker has written to its disk what it confirmed before it took that one.
        """
        self._marks += 1
        mark = f"{self._name} {self._marks}"
        tool = program("mosquitto_pub", "mosquitto-clients")
        arguments = ["-q", "1", "-t", self._aside, "-m", mark]
        subprocess.run([tool, *self._broker.access, *arguments], check=True, timeout=60)
        wait_for(lambda: f"{mark}\n" in self.output, 60)


class Watcher:
    """A second client, paho's own with its own thread: publishes, and keeps what it receives.

    The broker keeps its session, so it misses nothing while one of both is away.
    """

    def __init__(self, port: int, *topics: str, user: bool = False) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self.messages: list[Any] = []
        self.subscribed = threading.Event()
        self._topics = topics
        self._client = Client(
            CallbackAPIVersion.VERSION2, f"watcher-{secrets.token_hex(6)}", protocol=MQTTv5
        )
        if user:
            self._client.username, self._client.password = USER, PASSWORD
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.max_inflight_messages = 0
        self._client.reconnect_delay_set(1, 1)
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=kept)
        self._client.loop_start()
        assert self.subscribed.wait(60), "the second client did not connect"

    def _on_connect(self, client: Any, *_: object) -> None:
        if self._topics:
            client.subscribe([(topic, 1) for topic in self._topics])
        else:
            self.subscribed.set()

    def publish(
        self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False
    ) -> None:
        info = self._client.publish(topic, payload, qos, retain)
        info.wait_for_publish(60)
        assert info.is_published(), "the second client could not publish"

    def publish_all(self, topic: str, payloads: Iterable[bytes | str], *, qos: int = 1) -> None:
        infos = [self._client.publish(topic, payload, qos) for payload in payloads]
        for info in infos:
            info.wait_for_publish(60)

    def received(self, count: int, timeout: float = 60.0) -> list[Any]:
        """The messages so far, at least `count`."""
        wait_for(lambda: len(self.messages) >= count, timeout)
        return list(self.messages)

    def json(self, count: int, timeout: float = 60.0) -> list[Any]:
        return [json.loads(message.payload) for message in self.received(count, timeout)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_for(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
