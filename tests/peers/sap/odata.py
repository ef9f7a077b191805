"""OData services as SAP Gateway answers: version 2 and 4, CSRF tokens, ETags, $batch.

Entities and their fields (`edm`): API_PRODUCT_SRV and API_MAINTNOTIFICATION, version 2, as their
metadata on SAP's Business Accelerator Hub; API_MEASUREMENTDOCUMENT and API_MEASURINGPOINT, version
4. What may not be created or filtered there is refused here.
"""

from __future__ import annotations

import email
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from peers.sap.edm import (
    COLLECTIONS,
    Collection,
    Problem,
    column,
    columns,
    condition,
    metadata,
    shown,
)
from peers.sap.system import Refused, System, Unit


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class OData:
    """Args: the application."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.tokens: set[str] = set()

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, inside: bool
    ) -> Answer:
        """One request; `inside` a batch, whose token was looked at."""
        version = 4 if "/odata4/" in target else 2
        try:
            return self._served(method, target, headers, body, inside=inside)
        except Problem as problem:
            return _error(problem, version)

    def _served(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, inside: bool
    ) -> Answer:
        parts = urlsplit(target)
        own = [c for c in COLLECTIONS if parts.path.startswith(c.service)]
        if not own:
            raise Problem(403, "/IWFND/MED/170", f"No service found for {parts.path}")
        self._token(method, headers, inside=inside)
        service = own[0].service
        path = unquote(parts.path[len(service) :].strip("/"))
        if path == "$batch":
            return self._batch(service, headers, body)
        if path in {"", "$metadata"}:
            listed = json.dumps({"d": {"EntitySets": [c.name for c in own]}}).encode()
            kind = {"Content-Type": "application/xml" if path else "application/json"}
            content = metadata(own) if path else listed
            return Answer(200, content, self._with_token(headers, kind))
        match = re.fullmatch(r"(\w+)(?:\('(.*)'\))?", path)
        collection = next((c for c in own if match and c.name == match[1]), None)
        if collection is None or match is None:
            raise Problem(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for '{path}'")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if match[2] is not None:
            row = self._row(collection, match[2].replace("''", "'"))
            if method == "GET":
                return self._one(collection, row, query, 200)
            return self._change(collection, row, _json(body), headers)
        read = method == "GET"
        return self._list(collection, query) if read else self._create(collection, _json(body))

    def _with_token(self, headers: Mapping[str, str], more: dict[str, str]) -> dict[str, str]:
        if headers.get("x-csrf-token", "").lower() != "fetch":
            return more
        cookies = headers.get("cookie", "")
        known = (t for t in self.tokens if f"SAP_SESSIONID_GL2_100={t}" in cookies)
        token = next(known, "") or secrets.token_urlsafe(12)  # one for each session
        self.tokens.add(token)
        cookie = f"SAP_SESSIONID_GL2_100={token}; path=/; HttpOnly"
        return {**more, "x-csrf-token": token, "Set-Cookie": cookie}

    def _token(self, method: str, headers: Mapping[str, str], *, inside: bool) -> None:
        """A token is good only within the session that it was given to."""
        if method == "GET" or inside:
            return
        token = headers.get("x-csrf-token", "")
        cookies = headers.get("cookie", "")
        if token not in self.tokens or f"SAP_SESSIONID_GL2_100={token}" not in cookies:
            raise Problem(403, "CSRF", "CSRF token validation failed")

    # ---- entities ---------------------------------------------------------------------------

    def _row(self, collection: Collection, number: str) -> dict[str, Any]:
        sql = f"SELECT * FROM {collection.table} WHERE {column(collection)} = ?"
        found = self._system.rows(sql, number)
        if not found:
            text = f"{collection.name} '{number}' does not exist"
            raise Problem(404, "/IWBEP/CM_MGW_RT/020", text)
        return found[0]

    def _list(self, collection: Collection, query: Mapping[str, str]) -> Answer:
        where, values = condition(collection, query.get("$filter", ""))
        rows = self._system.rows(
            f"SELECT * FROM {collection.table} WHERE {where} LIMIT ?",
            *values, int(query.get("$top", "100")),
        )  # fmt: skip
        listed = [self._fields(collection, row, query) for row in rows]
        content: dict[str, Any] = (
            {"d": {"results": listed}} if collection.version == 2 else {"value": listed}
        )
        return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _one(
        self, collection: Collection, row: Mapping[str, Any], query: Mapping[str, str], status: int
    ) -> Answer:
        fields = self._fields(collection, row, query)
        content = {"d": fields} if collection.version == 2 else fields
        headers = {"Content-Type": "application/json"}
        return Answer(status, json.dumps(content).encode(), headers)

    def _fields(
        self, collection: Collection, row: Mapping[str, Any], query: Mapping[str, str]
    ) -> dict[str, Any]:
        wanted = query.get("$select", "").split(",") if query.get("$select") else collection.fields
        unknown = [name for name in wanted if name not in collection.fields]
        if unknown:
            raise Problem(400, "/IWBEP/CM_MGW_RT/176", f"Property {unknown[0]} not found")
        found = {name: shown(row, collection, name) for name in wanted}
        if collection.version == 2:
            uri = f"{collection.service}/{collection.name}('{row[column(collection)]}')"
            found["__metadata"] = {"uri": uri, "type": f"{collection.name}Type"}
            if "CHANGED" in row:
                found["__metadata"]["etag"] = f"W/\"'{row['CHANGED']}'\""
        if collection.table == "MARA":
            texts = [{"Language": "EN", "ProductDescription": row["MAKTX"]}]
            wide = query.get("$expand") == "to_Description"
            found["to_Description"] = {"results": texts} if wide else {"__deferred": {"uri": "x"}}
        return found

    def _create(self, collection: Collection, given: Mapping[str, Any]) -> Answer:
        fields = columns(collection, given)
        try:
            if collection.table == "IMRG":
                point = self._system.point(fields.get("POINT", ""), "")
                reading = {"MDTXT": "", "READR": "", "RECDU": "", **fields}
                row, _ = self._system.measure(point, reading)
            elif collection.table == "QMEL":
                row = self._notification(fields)
            elif collection.table == "AUFK":
                row = self._order(fields)
            else:
                raise Problem(405, "/IWBEP/CM_MGW_RT/021", "Method not allowed")
        except Refused as error:
            raise Problem(400, f"{error.code}/{error.number}", error.text) from None
        return self._one(collection, row, {}, 201)

    def _notification(self, columns: dict[str, str]) -> dict[str, Any]:
        thing, kind = columns.pop("EQUNR", ""), columns.pop("TPLNR", "")
        if kind not in {"EAMS_EQUI", "EAMS_FL"}:
            raise Refused("EAM", "010", f"Technical object type {kind} is not known")
        place = "EQUNR" if kind == "EAMS_EQUI" else "TPLNR"
        reference = columns.get("REFNUM", "").upper()
        fields = {"EQUNR": "", "TPLNR": "", "QMTXT": "", "QMART": "", **columns, place: thing}
        checked = self._system.notification({**fields, "REFNUM": reference})
        number, unit = self._system.new_notification_number(), Unit()
        unit.pending.append(lambda: self._system.insert_notification(number, checked))
        self._system.commit(unit)
        return self._system.rows("SELECT * FROM QMEL WHERE QMNUM = ?", number)[0]

    def _order(self, fields: dict[str, str]) -> dict[str, Any]:
        checked = self._system.order({"EQUNR": "", "TPLNR": "", "AUART": "", **fields})
        number = self._system.new_order_number()
        self._system.insert_order(number, checked)
        return self._system.rows("SELECT * FROM AUFK WHERE AUFNR = ?", number)[0]

    def _change(
        self, collection: Collection, row: Mapping[str, Any], given: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> Answer:  # fmt: skip
        if collection.table != "QMEL":
            raise Problem(405, "/IWBEP/CM_MGW_RT/021", "Method not allowed")
        etag = headers.get("if-match", "")
        if not etag:
            raise Problem(428, "/IWFND/CM_MGW/412", "Precondition required: send If-Match")
        if etag not in {"*", f"W/\"'{row['CHANGED']}'\""}:
            raise Problem(412, "/IWFND/CM_MGW/412", "Precondition failed")
        for name, value in columns(collection, given).items():
            self._system.execute(
                f"UPDATE QMEL SET {name} = ?, CHANGED = CHANGED + 1 WHERE QMNUM = ?",
                value, row["QMNUM"],
            )  # fmt: skip
        return Answer(204)

    # ---- many at once -----------------------------------------------------------------------

    def _batch(self, service: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = _parsed(headers.get("content-type", ""), body)
        boundary = f"ejjeeffe{len(parts)}"
        pieces = []
        for part in parts:
            inner = part.get_payload()
            if isinstance(inner, list):
                answers = "".join(self._part(service, one, "changeset") for one in inner)
                kind = "Content-Type: multipart/mixed; boundary=changeset\r\n\r\n"
                pieces.append(f"--{boundary}\r\n{kind}{answers}--changeset--\r\n\r\n")
            else:
                pieces.append(self._part(service, part, boundary))
        kind = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        return Answer(202, f"{''.join(pieces)}--{boundary}--\r\n".encode(), kind)

    def _part(self, service: str, part: Any, boundary: str) -> str:
        request = part.get_payload(decode=True).lstrip()
        line, _, rest = request.partition(b"\r\n")
        head, _, body = rest.partition(b"\r\n\r\n")
        method, path, _ = line.decode().split(" ")
        fields = {n.lower(): v for n, v in email.message_from_bytes(head, policy=HTTP).items()}
        length = int(fields.get("content-length", "0"))
        answer = self.handle(method, f"{service}/{path}", fields, body[:length], inside=True)
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{n}: {v}" for n, v in answer.headers.items())]
        text = answer.body.decode()
        lines.append(f"Content-Length: {len(answer.body)}")
        own = "Content-Type: application/http\r\ncontent-transfer-encoding: binary\r\n\r\n"
        return f"--{boundary}\r\n{own}" + "\r\n".join(lines) + f"\r\n\r\n{text}\r\n"


def _parsed(kind: str, body: bytes) -> list[Any]:
    whole = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=HTTP)
    parts = whole.get_payload()
    if not isinstance(parts, list) or whole.defects:
        raise Problem(400, "/IWBEP/CM_MGW_RT/100", "Malformed batch")
    return parts


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Problem(400, "/IWBEP/CM_MGW_RT/100", "Malformed entity")
    return content


def _error(problem: Problem, version: int) -> Answer:
    message: Any = {"lang": "en", "value": problem.text} if version == 2 else problem.text
    content = {"error": {"code": problem.code, "message": message}}
    headers = {"Content-Type": "application/json"}
    if problem.code == "CSRF":
        headers["x-csrf-token"] = "Required"
    return Answer(problem.status, json.dumps(content).encode(), headers)
