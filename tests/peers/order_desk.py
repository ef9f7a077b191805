"""A business system of one page: orders and readings over HTTP, made as often as asked for.

It has no idempotency of its own, so whoever asks twice has two documents: for tests of the outbox.

    POST /orders    {"reference", "asset", "text", "priority"}    201 {"number"}
    POST /readings  {"reference", "point", "value", "unit", "time"}
    GET  /documents?reference=KEY    [{"number", "reference", ...}]
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_ASSETS = {"BOILER-001", "BOILER-002"}
_FORMS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "/orders": {"reference": str, "asset": str, "text": str, "priority": int},
    "/readings": {
        "reference": str, "point": str, "value": (int, float), "unit": str, "time": str,
    },
}  # fmt: skip
_LONGEST = 40  # characters of a text, as old systems have it


class OrderDesk:
    """The server, on a thread of its own.

    Attributes:
        documents: everything made, in order.
        token: what a request must bring.
        at: called in the middle of making a document with 'received', 'stored' or 'answered', and
            its reference. Where it returns False, the connection ends there.
        busy: answers 503 to the next so many requests that would make something.
    """

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.token = "desk-token"
        self.at: Callable[[str, str], bool | None] = lambda *_: None
        self.busy = 0
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> Self:
        desk = self

        class Handler(_Handler):
            """Bound to this desk."""

            made_for = desk

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def with_key(self, key: str) -> list[str]:
        """Numbers of the documents with this reference."""
        return [d["number"] for d in self.documents if d["reference"] == key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    made_for: OrderDesk

    def do_GET(self) -> None:
        if not self._known():
            return
        asked = parse_qs(urlsplit(self.path).query).get("reference", [""])
        found = [d for d in self.made_for.documents if d["reference"] == asked[0]]
        self._answer(200, found)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        desk = self.made_for
        if not self._known():
            return
        if desk.busy:
            desk.busy -= 1
            self._answer(503, {"error": "come again"})
            return
        wrong = self._wrong(content)
        if wrong:
            self._answer(422, {"error": wrong})
            return
        document = json.loads(content)
        if self._ends("received", document):
            return
        with desk.lock:
            document = {"number": f"D-{len(desk.documents) + 1:05d}", **document}
            desk.documents.append(document)
        if self._ends("stored", document):
            return
        self._answer(201, {"number": document["number"]})
        self._ends("answered", document)

    def _ends(self, stage: str, document: dict[str, Any]) -> bool:
        ends = self.made_for.at(stage, document["reference"]) is False
        if ends:
            self.close_connection = True
            self.connection.close()
        return ends

    def _known(self) -> bool:
        known = self.headers.get("Authorization") == f"Bearer {self.made_for.token}"
        if not known:
            self._answer(401, {"error": "who are you?"})
        return known

    def _wrong(self, content: bytes) -> str:
        try:
            form, document = _FORMS[self.path], json.loads(content)
        except (KeyError, ValueError):
            return "no such form, or no JSON"
        for name, kind in form.items():
            value = document.get(name) if isinstance(document, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                return f"{name} is missing or wrong"
            if isinstance(value, str) and len(value) > _LONGEST:
                return f"{name} has more than {_LONGEST} characters"
        if document.keys() - form.keys():
            return f"unknown: {sorted(document.keys() - form.keys())}"
        if self.path == "/orders" and document["asset"] not in _ASSETS:
            return f"there is no asset {document['asset']}"
        return ""

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silent."""
