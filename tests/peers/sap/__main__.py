"""The server as a program: HTTP, log-in, clients, which services are active.

    python -m peers.sap FOLDER PORT OPTIONS

OPTIONS is a JSON object: 'odata', 'wsdl', 'stateful', 'strict' (bool), 'locked' (functions without
S_RFC), 'losing' (functions behind which a session ends).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from aiohttp import web

from peers.sap.odata import OData
from peers.sap.soap import Soap, wsdl
from peers.sap.system import System

USER, PASSWORD, CLIENT, TOKEN = "RFC_USER", "password", "100", "token-0815-canary"
SERVICE = "/sap/bc/srt/rfc/sap/zgl002/100/zgl002/zgl002"
_log = logging.getLogger("peers.sap")
_FORBIDDEN = "<html><head><title>Service cannot be reached</title></head></html>"


class Server:
    """The system behind HTTP."""

    def __init__(self, folder: Path, port: int, options: dict[str, object]) -> None:
        self._port = port
        self._options = options
        self._system = System(folder / "sap.db")
        self._odata = OData(self._system)
        locked, losing = options.get("locked", []), options.get("losing", [])
        assert isinstance(locked, list)
        assert isinstance(losing, list)
        self._soap = Soap(
            self._system, stateful=bool(options.get("stateful")), locked=frozenset(locked),
            losing=frozenset(losing), strict=bool(options.get("strict")),
        )  # fmt: skip

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        _log.info("%s %s", request.method, request.url.path)
        path = request.url.path
        if not self._active(path):
            return web.Response(status=403, text=_FORBIDDEN, content_type="text/html")
        if not self._logged_in(request):
            challenge = {"WWW-Authenticate": 'Basic realm="SAP NetWeaver Application Server"'}
            return web.Response(status=401, text="Logon failed", headers=challenge)
        body = await request.read()
        return self._served(request, path, body)

    def _served(self, request: web.BaseRequest, path: str, body: bytes) -> web.Response:
        if path == "/sap/bc/ping":
            return web.Response(text="<html>Server reached</html>", content_type="text/html")
        if path.startswith("/sap/opu/"):
            headers = {name.lower(): value for name, value in request.headers.items()}
            answer = self._odata.handle(
                request.method, request.raw_path, headers, body, inside=False
            )
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        if path == "/sap/bc/soap/wsdl11":
            return self._described(request.url.query.get("services", ""))
        if path == "/sap/bc/idoc_xml":
            return self._idoc(body)
        if path == "/sap/public/bc/icf/logoff":
            self._soap.end(request.cookies.get("sap-contextid", ""))
        return self._called(request, body)

    def _active(self, path: str) -> bool:
        if path.startswith("/sap/opu/"):
            return bool(self._options.get("odata", True))
        if path == "/sap/bc/soap/wsdl11":
            return bool(self._options.get("wsdl", True))
        return path in {
            "/sap/bc/ping", "/sap/bc/soap/rfc", SERVICE, "/sap/bc/idoc_xml",
            "/sap/public/bc/icf/logoff",
        }  # fmt: skip

    def _logged_in(self, request: web.BaseRequest) -> bool:
        if request.url.path.startswith("/sap/public/"):
            return True
        if request.url.query.get("sap-client", CLIENT) != CLIENT:
            return False
        good = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return request.headers.get("Authorization", "") in {f"Basic {good}", f"Bearer {TOKEN}"}

    def _called(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.method != "POST" or request.content_type != "text/xml":
            return web.Response(status=405)
        status, answer, cookie = self._soap.handle(
            body, service=request.url.path == SERVICE,
            cookie=request.cookies.get("sap-contextid", ""),
        )  # fmt: skip
        kind = "text/html" if answer.startswith(b"<html>") else "text/xml; charset=utf-8"
        headers = {"Content-Type": kind}
        if cookie:
            headers["Set-Cookie"] = f"sap-contextid={cookie}; path={SERVICE}"
        return web.Response(status=status, body=answer, headers=headers)

    def _described(self, name: str) -> web.Response:
        text = wsdl(name, f"http://127.0.0.1:{self._port}/sap/bc/soap/rfc?sap-client={CLIENT}")
        if text is None:
            return web.Response(status=500, text=f"Function {name} not found")
        return web.Response(body=text, content_type="text/xml")

    def _idoc(self, body: bytes) -> web.Response:
        try:
            head = ET.fromstring(body).find("IDOC/EDI_DC40")
            assert head is not None
            assert {"MESTYP", "IDOCTYP", "SNDPRN", "RCVPRN"} <= {e.tag for e in head if e.text}
        except (ET.ParseError, AssertionError):
            return web.Response(status=500, text="IDoc XML could not be read")
        if head.findtext("SNDPRN") != "GL002":
            return web.Response(status=500, text="EDI: Partner profile not available")
        fields = (head.findtext(n) or "" for n in ("MESTYP", "IDOCTYP", "REFMES"))
        self._system.execute("INSERT INTO EDIDC VALUES (?, ?, ?, ?)", *fields, body.decode())
        return web.Response(text="<html>IDoc received</html>", content_type="text/html")


async def _serve(server: Server, port: int) -> None:
    runner = web.ServerRunner(web.Server(server, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> None:
    folder, port, options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(_serve(Server(Path(folder), int(port), json.loads(options)), int(port)))


if __name__ == "__main__":
    main()
