"""The WebSocket of AWS IoT Core: TLS, an address signed with version 4, mosquitto behind it.

Source: AWS IoT Core Developer Guide, 'Device communication protocols'; IAM User Guide, 'Create a
signed AWS API request'. The SDK of AWS connects to it (`tests/integrations/test_aws_vendor.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from peers.front import Front
from peers.mosquitto import Mosquitto
from peers.process import free_port

KEY_ID, KEY, TOKEN, REGION = "AKIACANARY", "wJalr/canary+key", "temporary/canary==", "us-west-2"
_SERVICE = "iotdevicegateway"
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class WebSocketBroker(Mosquitto):
    """mosquitto with a WebSocket listener of its own, for what stands before it."""

    def __init__(self) -> None:
        super().__init__(tls=True)
        self.ws_port = free_port()

    def _lines(self) -> list[str]:
        return [*super()._lines(), f"listener {self.ws_port} 127.0.0.1", "protocol websockets"]


class SignedFront(Front):
    """Looks at the request that opens a WebSocket, and hands on what is signed.

    Attributes:
        wants_token: only temporary keys are taken.
        skew: seconds that its clock is ahead.
        refused: why, of each request that was.
    """

    def __init__(self, broker: WebSocketBroker) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(broker.folder / "server.pem", broker.folder / "server.key")
        super().__init__(context, broker.ws_port)
        self.wants_token, self.skew, self.refused = False, 0.0, list[str]()
        self.opened = 0

    async def _talk(self, reader: Any, writer: Any) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        why = self._why_not(request)
        if why:
            self.refused.append(why)
            writer.write(_FORBIDDEN)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        self.opened += 1
        line, _, rest = request.partition(b"\r\n")
        path = line.split(b" ")[1].partition(b"?")[0]
        await self._hand_on(b"GET " + path + b" HTTP/1.1\r\n" + rest, reader, writer)

    def _why_not(self, request: bytes) -> str:  # noqa: PLR0911 (a reason each)
        lines = request.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        parts = urlsplit(target)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        token = given.pop("X-Amz-Security-Token", None)  # added after signing, so not in it
        signature = given.pop("X-Amz-Signature", "")
        if method != "GET" or parts.path != "/mqtt":
            return "path"
        if token != (TOKEN if self.wants_token else None):
            return "token"
        try:
            moment = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            key_id, *scope = given["X-Amz-Credential"].split("/")
        except (KeyError, ValueError):
            return "no date or credential"
        if key_id != KEY_ID or scope[1:] != [REGION, _SERVICE, "aws4_request"]:
            return "key, region or service"
        age = time.time() + self.skew - moment.timestamp()
        if not -300 < age < min(300, int(given.get("X-Amz-Expires", "300"))):
            return "time"
        signed = given.get("X-Amz-SignedHeaders", "").split(";")
        if "host" not in signed or not set(signed) <= headers.keys():
            return "signed headers"
        wanted = _signature(given, {name: headers[name] for name in signed}, "/".join(scope))
        return "" if signature == wanted else "signature"


def _signature(query: dict[str, str], headers: dict[str, str], scope: str) -> str:
    def coded(text: str) -> str:
        return quote(text, safe="-_.~")

    canonical = "&".join(f"{coded(k)}={coded(v)}" for k, v in sorted(query.items()))
    empty = hashlib.sha256(b"").hexdigest()
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    names = ";".join(sorted(headers))
    request = f"GET\n/mqtt\n{canonical}\n{lines}\n{names}\n{empty}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = b"AWS4" + KEY.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class SignedWebSocket:
    """Broker and front together."""

    def __init__(self) -> None:
        self.broker = WebSocketBroker()
        self.front = SignedFront(self.broker)

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "endpoint": "localhost", "port": self.front.port, "protocol": "mqtt_ws",
            "access_key_id": KEY_ID, "secret_access_key": KEY, "region": REGION,
            "client_id": "gateway", "ca_path": str(self.broker.ca), **changes,
        }  # fmt: skip

    @property
    def ca(self) -> Path:
        return self.broker.ca

    def __enter__(self):
        self.broker.start()
        self.front.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.front.stop()
        self.broker.stop()
