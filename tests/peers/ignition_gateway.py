"""The HTTP API of an Ignition gateway 8.3: a server of ours, from what a gateway documents itself.

`ignition_openapi.json` is cut down from the description that a gateway 8.3.8 generates at
`/openapi.json`; each request is checked against it, each answer by its JSON schema. An API key goes
in `X-Ignition-API-Token`; a gateway answers 401 without one, and 403 where it may not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from peers.web_server import Reply, Seen, WebServer

OPENAPI = json.loads(Path(__file__).with_name("ignition_openapi.json").read_text())
KEY, FOREIGN = "gl002:canary-of-the-api-key", "other:canary-of-another-key"
INFO = {
    "name": "plant-gw", "redundancyRole": "Independent", "edition": "standard",
    "hostname": "plant-gw.example", "port": "8088", "ignitionVersion": "8.3.8 (b2026071409)",
    "deploymentMode": "Production", "timeZone": "Europe/Berlin", "timeZoneId": "Europe/Berlin",
    "jvmVersion": "17.0.11", "allowUnsignedModules": False,
    "license": {"mode": "Activated", "validForVersion": 8.3, "licenseRestrictions": []},
}  # fmt: skip
LICENSED = {"licenseMode": "Activated", "trialState": "NoneInDemo", "trialSecondsLeft": 7200,
            "expired": False}  # fmt: skip


def atomic(name: str, type_: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "tagType": "AtomicTag", "dataType": type_, **properties}


def bound(text: str) -> dict[str, str]:
    return {"bindType": "parameter", "binding": text}


PUMP = {
    "name": "Pump", "tagType": "UdtType",
    "parameters": {"Unit": {"dataType": "String", "value": "bar"},
                   "Name": {"dataType": "String", "value": "?"}},
    "tags": [
        atomic("Pressure", "Float4", engUnit=bound("{Unit}"), engHigh=bound("1{Digits}"),
               documentation=bound("Pressure of {Name}")),
        atomic("Running", "Boolean"),
    ],
}  # fmt: skip
BIG_PUMP = {
    "name": "BigPump", "tagType": "UdtType", "typeId": "Pumps/Pump",
    "parameters": {"Digits": {"dataType": "Integer", "value": 60}},
    "tags": [atomic("Temperature", "Float4", engUnit="°C")],
}  # fmt: skip
TAGS = {
    "name": "", "tagType": "Provider",
    "tags": [
        {"name": "_types_", "tagType": "Folder", "tags": [
            {"name": "Pumps", "tagType": "Folder", "tags": [PUMP, BIG_PUMP]}]},
        {"name": "Boiler1", "tagType": "Folder", "tags": [
            atomic("SteamFlow", "Float8", engUnit="kg/h", engLow=0.0, engHigh=60000.0,
                   documentation="Steam to the header", historyEnabled=True,
                   historyProvider="plant-history", valueSource="opc"),
            atomic("SetPoint", "Float4", engUnit="Furlong", tooltip="Pressure wanted"),
            atomic("Starts", "Int4", historyEnabled=False, historyProvider="plant-history"),
            {"name": "FeedPump", "tagType": "UdtInstance", "typeId": "Pumps/BigPump",
             "parameters": {"Name": {"dataType": "String", "value": "feed pump 1"}},
             "tags": [atomic("Running", "Boolean", documentation="of this one")]},
        ]},
        {"name": "Boiler10", "tagType": "Folder", "tags": [atomic("SteamFlow", "Float8")]},
    ],
}  # fmt: skip


class IgnitionGateway(WebServer):
    """Answers as documented, and nothing else; `tags`, `trial`, `info` may be changed."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.info: dict[str, Any] = dict(INFO)
        self.trial: dict[str, Any] = dict(LICENSED)
        self.tags: dict[str, Any] = {"default": TAGS}

    @property
    def config(self) -> dict[str, Any]:
        """The block `api`."""
        return {"url": self.url, "key": KEY}

    def _serve(self, seen: Seen) -> Reply:
        route = OPENAPI["paths"].get(seen.path, {}).get(seen.method.lower())
        if route is None:
            return _json(404, {"message": f"No route match for path: {seen.path}"})
        key = seen.headers.get("x-ignition-api-token")
        if key not in {KEY, FOREIGN}:
            return Reply(401, b"<html>Error 401</html>", {"Content-Type": "text/html"})
        if key == FOREIGN:
            return _json(403, {"message": "Forbidden", "url": seen.path, "status": "403"})
        if problem := _problem(route, seen.query):
            return _json(400, {"message": problem})
        if seen.path.endswith("/export"):
            return self._export(seen.query["provider"][0])
        answer = self.trial if seen.path.endswith("/trial") else self.info
        schema = route["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer, schema)
        return _json(200, answer)

    def _export(self, provider: str) -> Reply:
        if provider not in self.tags:
            return _json(400, {"message": f"Tag provider '{provider}' not found"})
        body = json.dumps(self.tags[provider]).encode()
        return Reply(200, body, {"Content-Type": "application/octet-stream"})


def _problem(route: dict[str, Any], query: dict[str, list[str]]) -> str:
    """What is wrong with a request, by its description; '' where nothing is."""
    known = {p["name"]: p for p in route["parameters"]}
    for name, values in query.items():
        if name not in known:
            return f"unknown parameter {name}"
        if len(values) > 1:
            return f"{name} more than once"
        jsonschema.validate(values[0], known[name]["schema"])
    missing = [n for n, p in known.items() if p["required"] and n not in query]
    return f"missing parameter {missing[0]}" if missing else ""


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
