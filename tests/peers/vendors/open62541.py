"""An OPC UA server in C: open62541 1.5 through the package o6, told what to be by the environment.

PORT      OPC UA on 127.0.0.1, without security
CONTROL   HTTP on 127.0.0.1 to see and set values by other means, as the one of node-opcua

The package ends the process after ten minutes; tests are done long before.
"""

from __future__ import annotations

import asyncio
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import o6

_START = {
    "SteamFlow": (o6.Double(50000.0), False), "Limit": (o6.Int16(700), True),
    "Running": (o6.Boolean(True), True), "Name": (o6.String("Kessel 1"), True),
    "Grade": (o6.Float(1.5), True), "Recorded": (o6.Double(0.0), True),
}  # fmt: skip


class Control(BaseHTTPRequestHandler):
    """GET gives a value, POST sets it."""

    nodes: dict[str, object]

    def do_GET(self) -> None:
        self._answer(self.nodes[unquote(self.path[1:])])

    def do_POST(self) -> None:
        node = self.nodes[unquote(self.path[1:])]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        node(type(node())(body["value"]))
        self._answer(node)

    def _answer(self, node) -> None:
        value = node()
        plain = value.item() if hasattr(value, "item") else value
        plain = plain if isinstance(plain, bool | int | float) else str(plain)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"value": plain, "type": type(value).__name__}).encode())

    def log_message(self, *_) -> None:
        """Say nothing."""


class OnLoopback(asyncio.DefaultEventLoopPolicy):
    """o6 would listen on every address of the machine, and has no setting for it."""

    def new_event_loop(self):
        loop = super().new_event_loop()
        create_server = loop.create_server

        def on_loopback(factory, host=None, port=None, **options):
            return create_server(factory, "127.0.0.1", port, **options)

        loop.create_server = on_loopback
        return loop


def main() -> None:
    asyncio.set_event_loop_policy(OnLoopback())
    server = o6.Server(port=int(os.environ["PORT"]))
    server.config.setHistoryDatabase(capacity=20_000)
    boiler = server.addObject("Boiler1", server.objectsNode, nodeId="ns=1;s=Boiler1")
    Control.nodes = {
        f"Boiler1.{name}": server.addVariable(
            name, boiler, value, nodeId=f"ns=1;s=Boiler1.{name}", writable=writable,
            historizing=name == "Recorded",
        )
        for name, (value, writable) in _START.items()
    }  # fmt: skip
    control = ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTROL"])), Control)
    server.start()  # behind it: whoever is let in here finds the other door open, too
    control.serve_forever()


if __name__ == "__main__":
    main()
