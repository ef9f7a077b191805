"""A Workday tenant on loopback: HTTP, who may come in, and the description of its services.

    python tests/peers/workday <folder> <port>

Runs in the environment of the vendors' clients, for the sake of libxml2, which checks every request
and every answer against `workday.xsd`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from peers.workday.services import OPERATIONS, VERSION, XSD, Fault, Tenant, envelope, opened
from peers.workday_tenant import CLIENT, PASSWORD, REFRESH, SECRET, TENANT, USER

_SOAP = re.compile(rf"/ccx/service/{TENANT}/(\w+)/{re.escape(VERSION)}")
_REPORT = re.compile(rf"/ccx/service/customreport2/{TENANT}/ISU_GL002/(\w+)")
_REST = re.compile(rf"/ccx/api/staffing/v6/{TENANT}/workers")

tokens: set[str] = set()


def description(service: str, base: str) -> str:
    """WSDL 1.1 of a service, document literal."""
    names = OPERATIONS[service]
    messages = "".join(
        f'<message name="{e}"><part name="body" element="wd:{e}"/></message>'
        for pair in names.values()
        for e in pair
    )
    ports = "".join(
        f'<operation name="{o}"><input message="wd:{i}"/><output message="wd:{r}"/></operation>'
        for o, (i, r) in names.items()
    )
    use = '<soap:body use="literal"/>'
    bound = "".join(
        f'<operation name="{o}"><soap:operation soapAction=""/>'
        f"<input>{use}</input><output>{use}</output></operation>"
        for o in names
    )
    return f"""<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:wd="urn:com.workday/bsvc"
  xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="urn:com.workday/bsvc">
<types>{XSD.read_text().partition("?>")[2]}</types>{messages}
<portType name="{service}Port">{ports}</portType>
<binding name="{service}Binding" type="wd:{service}Port">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</binding>
<service name="{service}Service"><port name="{service}" binding="wd:{service}Binding">
<soap:address location="{base}/ccx/service/{TENANT}/{service}/{VERSION}"/></port></service>
</definitions>"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    tenant: Tenant

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: str, kind: str = "application/json") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind};charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # ---- who comes in -----------------------------------------------------------------------

    @property
    def _has_token(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and token in tokens

    def _is(self, user: str, password: str) -> bool:
        wanted = base64.b64encode(f"{user}:{password}".encode()).decode()
        return bool(self.headers.get("Authorization") == f"Basic {wanted}")

    # ---- requests ---------------------------------------------------------------------------

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        service = _SOAP.fullmatch(url.path)
        if service and url.query == "wsdl":
            base = f"http://{self.headers['Host']}"
            self._answer(200, description(service[1], base), "text/xml")
        elif report := _REPORT.fullmatch(url.path):
            if not (self._has_token or self._is(f"{USER}@{TENANT}", PASSWORD)):
                self._answer(401, '{"error": "not authorized"}')
            elif query.get("format") != "json":
                self._answer(406, "{}")
            else:
                self._answer(*self.tenant.report(report[1], query))
        elif _REST.fullmatch(url.path):
            if not self._has_token:
                self._answer(401, '{"error": "invalid_token"}')
            else:
                self._answer(*self.tenant.workers_as_json(query))
        else:
            self._answer(404, '{"error": "not found"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        service = _SOAP.fullmatch(path)
        if path == f"/ccx/oauth2/{TENANT}/token":
            self._token(parse_qs(body.decode()))
        elif service and service[1] in OPERATIONS:
            status, answer = self._soap(service[1], body)
            self._answer(status, answer, "text/xml")
        else:
            self._answer(404, "not found", "text/plain")

    def _token(self, form: dict[str, list[str]]) -> None:
        if not self._is(CLIENT, SECRET):
            self._answer(401, '{"error": "invalid_client"}')
        elif form.get("grant_type") != ["refresh_token"]:
            self._answer(400, '{"error": "unsupported_grant_type"}')
        elif form.get("refresh_token") != [REFRESH]:
            self._answer(400, '{"error": "invalid_grant"}')
        else:
            token = secrets.token_urlsafe(24)
            tokens.add(token)
            self._answer(200, json.dumps({"access_token": token, "token_type": "Bearer"}))

    def _soap(self, service: str, body: bytes) -> tuple[int, str]:
        try:
            return 200, envelope(self.tenant.answer(service, self._admitted(body)))
        except Fault as fault:
            return 500, envelope(fault.element())

    def _admitted(self, body: bytes) -> Any:
        """The request of somebody we know."""
        if not self.headers.get("Content-Type", "").startswith("text/xml"):
            raise Fault("Client.invalidContentType", "text/xml is expected")
        user, request = opened(body)
        if not self._has_token and user != (f"{USER}@{TENANT}", PASSWORD):
            raise Fault("Client.authenticationError", "invalid username or password")
        return request


def main() -> None:
    Handler.tenant = Tenant(Path(sys.argv[1]) / "workday.db")
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
