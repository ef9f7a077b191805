"""Fusion as a program: python -m peers.fusion FOLDER PORT."""

from __future__ import annotations

import asyncio
import base64
import re
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
from aiohttp import web

from peers.fusion import schema

USER, PASSWORD, TOKEN = "GL002_INTEGRATION", "password-0815", "token-0815-canary"
ROOT = "/fscmRestApi/resources/11.13.18.05"
_ASSETS, _ORGANIZATIONS = {"BOILER-001": 1, "BOILER-002": 2}, {"M1"}
_METERS = {"EFFICIENCY": False, "RUNTIME_HOURS": True, "FUEL_CONSUMPTION": True}  # ascending
_TYPES, _PRIORITIES = {"CORRECTIVE", "PREVENTIVE"}, {1, 2, 3, 4, 5}
_STATUSES = {"ORA_UNRELEASED": "Unreleased", "ORA_RELEASED": "Released", "ORA_ON_HOLD": "On hold"}
_MOST = 499  # items of a page
SCHEMA = """
CREATE TABLE orders (WorkOrderId INTEGER PRIMARY KEY, WorkOrderNumber TEXT, OrganizationCode TEXT,
  AssetNumber TEXT, WorkOrderDescription TEXT, WorkOrderTypeCode TEXT, WorkOrderStatusCode TEXT,
  WorkOrderPriority INTEGER, PlannedStartDate TEXT, PlannedCompletionDate TEXT,
  UNIQUE (OrganizationCode, WorkOrderNumber));
CREATE TABLE readings (MeterReadingId INTEGER PRIMARY KEY, AssetNumber TEXT, MeterCode TEXT,
  ReadingValue REAL, ReadingDate TEXT, Comments TEXT);
"""


class Refused(Exception):
    """400 with the resource's own words."""


class Fusion:
    def __init__(self, file: Path) -> None:
        new = not file.exists()
        self._base = sqlite3.connect(file, timeout=30, isolation_level=None)
        self._base.row_factory = sqlite3.Row
        if new:
            self._base.executescript(SCHEMA)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = request.headers.get("Authorization") in {f"Basic {basic}", f"Bearer {TOKEN}"}
        resources = {f"{ROOT}/maintenanceWorkOrders": (self._orders, self._new_order),
                     f"{ROOT}/meterReadings": (self._readings, self._new_reading)}  # fmt: skip
        if not known or request.path not in resources:
            return web.Response(status=404 if known else 401)
        look, make = resources[request.path]
        try:
            if request.method == "GET":
                return web.json_response(look(dict(request.query)))
            if request.method != "POST" or not request.content_type.endswith("json"):
                return web.Response(status=405 if request.method != "POST" else 415)
            return web.json_response(make(await request.json()), status=201)
        except (Refused, ValueError) as refused:
            return web.json_response(
                {"title": "Bad Request", "status": "400",
                 "o:errorDetails": [{"detail": str(refused), "o:errorCode": "27024"}]},
                status=400, content_type="application/vnd.oracle.adf.error+json",
            )  # fmt: skip

    # ---- work orders ------------------------------------------------------------------------

    def _orders(self, query: dict[str, str]) -> dict[str, Any]:
        where, values = "1", []
        if "q" in query:
            match = re.fullmatch(r"(WorkOrderNumber|WorkOrderId)='?([^'\"]*)'?", query["q"])
            if match is None:
                raise Refused("URL request parameter q cannot be parsed.")
            where, values = f"{match[1]} = ?", [match[2]]
        return self._page("orders", where, values, query, self._shown)

    def _shown(self, row: sqlite3.Row) -> dict[str, Any]:
        item = {k: row[k] for k in row.keys() if row[k] is not None}  # noqa: SIM118 (a Row)
        return {**item, "WorkOrderStatus": _STATUSES[row["WorkOrderStatusCode"]]}

    def _new_order(self, body: Any) -> dict[str, Any]:
        _valid(body, schema.NEW_ORDER)
        body.setdefault("WorkOrderStatusCode", "ORA_UNRELEASED")
        checks = {
            "The asset number is not valid.": body["AssetNumber"] in _ASSETS,
            "The organization code is not valid.": body["OrganizationCode"] in _ORGANIZATIONS,
            "The work order type is not valid.": body["WorkOrderTypeCode"] in _TYPES,
            "The status is not valid.": body["WorkOrderStatusCode"] in _STATUSES,
            "The priority is not valid.": body.get("WorkOrderPriority", 1) in _PRIORITIES,
        }
        for text, holds in checks.items():
            if not holds:
                raise Refused(text)
        if "WorkOrderNumber" not in body:
            (last,) = self._base.execute("SELECT MAX(WorkOrderId) FROM orders").fetchone()
            body["WorkOrderNumber"] = f"M1-{(last or 0) + 1001}"
        names = ", ".join(body)
        try:
            made = self._base.execute(
                f"INSERT INTO orders ({names}) VALUES ({', '.join('?' * len(body))})",
                list(body.values()),
            )
        except sqlite3.IntegrityError:
            raise Refused("A work order with this number exists in the organization.") from None
        row = self._base.execute("SELECT * FROM orders WHERE WorkOrderId = ?", (made.lastrowid,))
        return self._shown(row.fetchone())

    # ---- readings ---------------------------------------------------------------------------

    def _readings(self, query: dict[str, str]) -> dict[str, Any]:
        finder = re.fullmatch(
            r"MetersByAssetMeterUserKey;AssetNumber=([^,]*),MeterCode=([^,]*)",
            query.get("finder", ""),
        )
        if finder is None:
            raise Refused("URL request parameter finder cannot be parsed.")
        where = "AssetNumber = ? AND MeterCode = ?"
        return self._page(
            "readings", where, list(finder.groups()), query,
            lambda row: {k: row[k] for k in row.keys() if row[k] is not None},  # noqa: SIM118
        )  # fmt: skip

    def _new_reading(self, body: Any) -> dict[str, Any]:
        _valid(body, schema.NEW_READING)
        meter, value = body["MeterCode"], body.get("ReadingValue")
        if body["AssetNumber"] not in _ASSETS or meter not in _METERS:
            raise Refused("The asset has no such meter.")
        if datetime.fromisoformat(body["ReadingDate"]) > datetime.now(UTC) + timedelta(minutes=1):
            raise Refused("The reading date is in the future.")
        (last,) = self._base.execute(
            "SELECT MAX(ReadingValue) FROM readings WHERE AssetNumber = ? AND MeterCode = ?",
            (body["AssetNumber"], meter),
        ).fetchone()
        if _METERS[meter] and last is not None and value < last:
            raise Refused(f"The reading of an ascending meter is below {last}.")
        made = self._base.execute(
            f"INSERT INTO readings ({', '.join(body)}) VALUES ({', '.join('?' * len(body))})",
            list(body.values()),
        )
        return {**body, "MeterReadingId": made.lastrowid}

    # ---- both -------------------------------------------------------------------------------

    def _page(self, table: str, where: str, values: list[Any], query: Any, shown: Any) -> Any:
        limit, offset = min(int(query.get("limit", 25)), _MOST), int(query.get("offset", 0))
        order = {"ReadingDate:desc": "ORDER BY ReadingDate DESC, MeterReadingId DESC", None: ""}
        rows = self._base.execute(
            f"SELECT * FROM {table} WHERE {where} {order[query.get('orderBy')]} LIMIT ? OFFSET ?",
            [*values, limit + 1, offset],
        ).fetchall()
        items = [shown(row) for row in rows[:limit]]
        return {"items": items, "count": len(items), "hasMore": len(rows) > limit,
                "limit": limit, "offset": offset, "links": []}  # fmt: skip


def _valid(body: Any, form: dict[str, Any]) -> None:
    try:
        jsonschema.validate(body, form)
    except jsonschema.ValidationError as error:
        raise Refused(f"{'.'.join(map(str, error.path)) or 'body'}: {error.message}") from None


async def main() -> None:
    fusion = Fusion(Path(sys.argv[1]) / "fusion.db")
    runner = web.ServerRunner(web.Server(fusion))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[2])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
