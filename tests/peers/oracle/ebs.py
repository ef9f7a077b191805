"""The public packages and tables of E-Business Suite 12 that an integration meets, on SQLite.

Names, parameters, types and defaults are those of Oracle's Integration Repository (eTRM):
FND_GLOBAL, MO_GLOBAL, FND_API, FND_MSG_PUB, EAM_PROCESS_WO_PUB (PROCESS_WO, the form without work
completion), EAM_METERREADING_PUB. What a package checks is a part of what the real one checks; its
messages are ours. Columns are those of the tables that matter here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot.errors import ParseError

from peers.oracle.catalogue import Argument, Package, Procedure, Record, Table
from peers.oracle.imports import import_readings, problem_of_reading
from peers.oracle.plsql import Block
from peers.oracle.records import READING_FIELDS, WO_FIELDS, WO_TABLES
from peers.oracle.server import OraError, Result
from peers.oracle.wire import NUMBER, VARCHAR

_OPEN_INTERFACES = {"csi_ctr_readings_interface"}
_NEXT = re.compile(r"SELECT ([\w.]+)\.NEXTVAL FROM dual", re.IGNORECASE)
_STATE_DISCARDED = 4068
_NAMELESS = Decimal("1.25")  # a reading of this value is recorded, and its id is not told
_WO, _MR = "EAM_PROCESS_WO_PUB", "EAM_METERREADING_PUB"
_NEEDED_OF_AN_ORDER = ("ORGANIZATION_ID", "MAINTENANCE_OBJECT_ID", "MAINTENANCE_OBJECT_TYPE",
                       "MAINTENANCE_OBJECT_SOURCE", "SCHEDULED_START_DATE",
                       "STATUS_TYPE")  # fmt: skip


class EBusinessSuite:
    """One session of the database."""

    def __init__(self, file: Path) -> None:
        self._folder = file.parent
        self._base = sqlite3.connect(
            file, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._user = -1
        self._messages: list[str] = []
        self._packages = self._catalogue()

    # ---- what the listener asks -------------------------------------------------------------

    @property
    def in_transaction(self) -> bool:
        return self._base.in_transaction

    def commit(self) -> None:
        self._fail("commit")
        if not self.in_transaction:
            return
        self._base.execute("COMMIT")
        scheduled = self._base.execute(
            "SELECT DISTINCT batch_name FROM scheduled_imports JOIN csi_ctr_readings_interface"
            " USING (batch_name) WHERE process_status = 'R'"
        ).fetchall()
        for (batch,) in scheduled:
            self._base.execute("BEGIN IMMEDIATE")
            import_readings(self._base, batch)
            self._base.execute("COMMIT")

    def rollback(self) -> None:
        self._fail("rollback")
        if self.in_transaction:
            self._base.execute("ROLLBACK")

    def end(self) -> None:
        self._base.close()

    def _fail(self, where: str) -> None:
        """Raise what a test has put there, once."""
        fault = self._folder / f"fault.{where}"
        try:
            number = int(fault.read_text())
            fault.unlink()
        except FileNotFoundError:
            return
        if number == _STATE_DISCARDED:
            self._user = -1  # the packages' variables are gone, and with them who we are
        raise OraError(number, f"a fault of the test at {where}")

    def execute(self, statement: str, binds: list[Any]) -> Result:
        word = statement.split(None, 1)[0].upper()
        if word in {"BEGIN", "DECLARE"}:
            self._fail("block")
            return Result([], [], Block(statement, self._packages).run(binds))
        if word == "INSERT":
            return self._insert(statement, binds)
        if word != "SELECT":
            raise OraError(900, "invalid SQL statement")
        sequence = _NEXT.fullmatch(statement)
        if sequence is not None:
            return Result([("NEXTVAL", NUMBER)], [(self._next(sequence[1]),)], {})
        cursor = self._sql(statement, binds)
        rows = cursor.fetchall()
        kinds = [
            NUMBER if any(isinstance(v, int | float) for v in column) else VARCHAR
            for column in zip(*rows, strict=True)
        ] or [VARCHAR] * len(cursor.description)
        return Result(
            [(d[0].upper(), kind) for d, kind in zip(cursor.description, kinds, strict=True)],
            rows,
            {},
        )

    def _sql(self, statement: str, binds: list[Any]) -> sqlite3.Cursor:
        names = re.findall(r":(\w+)", statement)
        try:
            (text,) = sqlglot.transpile(statement, read="oracle", write="sqlite")
            values = {n: _plain(v) for n, v in zip(names, binds, strict=True)}
            return self._base.execute(text, values)
        except ParseError as error:
            raise OraError(933, f"SQL command not properly ended: {error}") from None
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                raise OraError(942, "table or view does not exist") from None
            raise OraError(904, f"{error}: invalid identifier") from None

    def _insert(self, statement: str, binds: list[Any]) -> Result:
        """Into an interface table; the others are Oracle's own."""
        table = statement.split(None, 3)[2].lower()
        if table not in _OPEN_INTERFACES:
            raise OraError(1031, "insufficient privileges")
        if not self.in_transaction:
            self._base.execute("BEGIN IMMEDIATE")
        try:
            self._sql(statement, binds)
        except sqlite3.IntegrityError as error:
            text = str(error)
            if "NOT NULL" in text:
                raise OraError(1400, f"cannot insert NULL into ({text[-40:]})") from None
            if "UNIQUE" in text:
                raise OraError(1, f"unique constraint violated ({text[-40:]})") from None
            raise OraError(12899, f"value too large for column ({text[-60:]})") from None
        return Result([], [], None)

    def _next(self, name: str) -> int:
        row = self._base.execute(
            "UPDATE sequences SET last = last + 1 WHERE name = ? RETURNING last", (name.upper(),)
        ).fetchone()
        if row is None:
            raise OraError(2289, "sequence does not exist")
        return int(row[0])

    # ---- packages ---------------------------------------------------------------------------

    def _catalogue(self) -> dict[str, Package]:
        number, text, date = Argument("IN", "NUMBER"), "VARCHAR2", "DATE"
        wo_record, reading = f"{_WO}.EAM_WO_REC_TYPE", f"{_MR}.METER_READING_REC_TYPE"
        properties = f"{_MR}.CTR_PROPERTY_READINGS_TBL"
        tables = {n: f"{_WO}.EAM_{n}_TBL_TYPE" for n in WO_TABLES}
        del date
        process_wo = {
            "p_bo_identifier": Argument("IN", text, optional=True),
            "p_api_version_number": number._replace(optional=True),
            "p_init_msg_list": Argument("IN", "BOOLEAN", optional=True),
            "p_commit": Argument("IN", text, optional=True),
            "p_eam_wo_rec": Argument("IN", wo_record),
            **{f"p_eam_{n.lower()}_tbl": Argument("IN", t) for n, t in tables.items()},
            "x_eam_wo_rec": Argument("OUT", wo_record),
            **{f"x_eam_{n.lower()}_tbl": Argument("OUT", t) for n, t in tables.items()},
            "x_return_status": Argument("OUT", text), "x_msg_count": Argument("OUT", "NUMBER"),
            **{f"p_{n}": Argument("IN", text, optional=True)
               for n in ("debug", "output_dir", "debug_filename", "debug_file_mode")},
        }  # fmt: skip
        create_reading = {
            "p_api_version": number,
            "p_init_msg_list": Argument("IN", text, optional=True),
            "p_commit": Argument("IN", text, optional=True),
            "x_msg_count": Argument("OUT", "NUMBER"), "x_msg_data": Argument("OUT", text),
            "x_return_status": Argument("OUT", text),
            "p_meter_reading_rec": Argument("IN", reading),
            "p_ctr_property_readings_tbl": Argument("IN", properties),
            "p_value_before_reset": number._replace(optional=True),
            "p_ignore_warnings": Argument("IN", text, optional=True),
            "x_meter_reading_id": Argument("OUT", "NUMBER"),
        }  # fmt: skip
        without = {k: v for k, v in create_reading.items() if k != "p_ctr_property_readings_tbl"}
        initialise = {
            "user_id": number, "resp_id": number, "resp_appl_id": number,
            "security_group_id": number._replace(optional=True),
            "server_id": number._replace(optional=True),
        }  # fmt: skip
        policy = {"p_access_mode": Argument("IN", text), "p_org_id": number}
        message = {"p_msg_index": number._replace(optional=True),
                   "p_encoded": Argument("IN", text, optional=True)}  # fmt: skip
        return {
            "FND_API": Package(constants={"G_TRUE": "T", "G_FALSE": "F", "G_RET_STS_SUCCESS": "S",
                                          "G_RET_STS_ERROR": "E", "G_RET_STS_UNEXP_ERROR": "U"}),
            "FND_GLOBAL": Package(
                procedures={"APPS_INITIALIZE": [Procedure(initialise, self._initialise)]}
            ),
            "MO_GLOBAL": Package(procedures={"SET_POLICY_CONTEXT": [Procedure(policy, _nothing)]}),
            "FND_MSG_PUB": Package(
                procedures={
                    "COUNT_MSG": [Procedure({}, lambda _: len(self._messages))],
                    "GET": [Procedure(message, self._message)],
                    "INITIALIZE": [Procedure({}, self._forget)],
                }
            ),
            _WO: Package(
                records={"EAM_WO_REC_TYPE": WO_FIELDS},
                tables=[t.partition(".")[2] for t in tables.values()],
                constants={"G_OPR_CREATE": 1, "G_OPR_UPDATE": 2},
                procedures={"PROCESS_WO": [Procedure(process_wo, self._process_wo)]},
            ),
            _MR: Package(
                records={"METER_READING_REC_TYPE": READING_FIELDS},
                tables=["CTR_PROPERTY_READINGS_TBL"],
                procedures={
                    "CREATE_METER_READING": [
                        Procedure(create_reading, self._create_reading),
                        Procedure(without, self._create_reading),
                    ]
                },
            ),
        }  # fmt: skip

    def _initialise(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self._base.execute(
            "SELECT 1 FROM fnd_user_resp_groups WHERE user_id = ? AND responsibility_id = ? "
            "AND responsibility_application_id = ?",
            (given["user_id"], given["resp_id"], given["resp_appl_id"]),
        ).fetchone()
        self._user = given["user_id"] if known else -1
        return {}

    def _message(self, given: dict[str, Any]) -> str | None:
        place = int(given.get("p_msg_index") or 1)
        return self._messages[place - 1] if place <= len(self._messages) else None

    def _forget(self, _: dict[str, Any]) -> dict[str, Any]:
        self._messages.clear()
        return {}

    def _one(self, query: str, *values: Any) -> Any:
        row = self._base.execute(query, [_plain(v) for v in values]).fetchone()
        return row[0] if row else None

    def _write(self, statement: str, *values: Any) -> int:
        if not self.in_transaction:
            self._base.execute("BEGIN IMMEDIATE")
        return int(self._base.execute(statement, [_plain(v) for v in values]).lastrowid or 0)

    def _checked(self, *, init: bool, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What an API does around its body: messages, a context, a status."""
        if init:
            self._messages.clear()
        try:
            self._check_context()
            return {**run(), "x_return_status": "S", "x_msg_count": len(self._messages)}
        except _Refused as refused:
            self._messages.append(refused.text)
            return {"x_return_status": refused.status, "x_msg_count": len(self._messages)}

    def _check_context(self) -> None:
        if self._user == -1:
            raise _Refused("the applications context is not initialised", "U")

    def _process_wo(self, given: dict[str, Any]) -> dict[str, Any]:
        asked: Record = given["p_eam_wo_rec"]

        def run() -> dict[str, Any]:
            wo = Record(asked.name, asked.fields)
            wo.update(asked)
            self._check_order(wo)
            org = wo["ORGANIZATION_ID"]
            name = wo["WIP_ENTITY_NAME"]
            if name is None:
                name = f"WO{(self._one('SELECT MAX(wip_entity_id) FROM wip_entities') or 0) + 1001}"
            if self._one(
                "SELECT 1 FROM wip_entities WHERE organization_id = ? AND wip_entity_name = ?",
                org,
                name,
            ):
                raise _Refused(f"The work order {name} already exists in this organization.")
            if wo["DESCRIPTION"] == "with a warning":
                self._messages.append("Material is short for this work order.")
            if wo["DESCRIPTION"] == "with many warnings":
                self._messages.extend([f"{n}: {'ü' * 95}" for n in range(60)])
            if wo["DESCRIPTION"] == "fails inside":
                raise _Refused("ORA-01653: unable to extend table", "U")
            number = self._write(
                "INSERT INTO wip_entities (organization_id, wip_entity_name, description) "
                "VALUES (?, ?, ?)", org, name, wo["DESCRIPTION"],
            )  # fmt: skip
            self._write(
                "INSERT INTO wip_discrete_jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                number, org, wo["STATUS_TYPE"], wo["PRIORITY"], wo["WORK_ORDER_TYPE"],
                wo["ASSET_NUMBER"], wo["MAINTENANCE_OBJECT_ID"], wo["SCHEDULED_START_DATE"],
                wo["SCHEDULED_COMPLETION_DATE"], wo["CLASS_CODE"] or "EAM", self._user,
            )  # fmt: skip
            wo.update(WIP_ENTITY_ID=number, WIP_ENTITY_NAME=name)
            return {"x_eam_wo_rec": wo}

        outs = {f"x_eam_{n.lower()}_tbl": Table(f"{_WO}.EAM_{n}_TBL_TYPE") for n in WO_TABLES}
        outs["x_eam_wo_rec"] = Record(asked.name, asked.fields)
        return {**outs, **self._checked(init=bool(given.get("p_init_msg_list")), run=run)}

    def _check_order(self, wo: Record) -> None:
        for name in _NEEDED_OF_AN_ORDER:
            if wo[name] is None:
                raise _Refused(f"Please enter a value for {name}.")
        if wo["TRANSACTION_TYPE"] != 1:
            raise _Refused("The transaction type of the work order is invalid.")
        asset = self._base.execute(
            "SELECT i.serial_number, i.inventory_item_id, m.eam_item_type,"
            " i.last_vld_organization_id FROM csi_item_instances i"
            " JOIN mtl_system_items_b m USING (inventory_item_id)"
            " WHERE instance_id = ?", (wo["MAINTENANCE_OBJECT_ID"],),
        ).fetchone()  # fmt: skip
        if asset is None or asset[3] != wo["ORGANIZATION_ID"]:
            raise _Refused("The maintenance object is not valid in this organization.")
        names = ("ASSET_NUMBER", "ASSET_GROUP_ID") if asset[2] == 1 else (
            "REBUILD_SERIAL_NUMBER", "REBUILD_ITEM_ID")  # fmt: skip
        if (wo[names[0]], wo[names[1]]) != asset[:2]:
            raise _Refused("The asset number and the maintenance object differ.")
        for kind, column in (("WIP_EAM_WORK_ORDER_TYPE", "WORK_ORDER_TYPE"),
                             ("WIP_EAM_ACTIVITY_PRIORITY", "PRIORITY"),
                             ("WIP_JOB_STATUS", "STATUS_TYPE")):  # fmt: skip
            code = wo[column]
            if code is not None and not self._one(
                "SELECT 1 FROM mfg_lookups WHERE lookup_type = ? AND lookup_code = ? "
                "AND enabled_flag = 'Y'", kind, int(code),
            ):  # fmt: skip
                raise _Refused(f"{column} {code} is invalid.")
        end = wo["SCHEDULED_COMPLETION_DATE"]
        if end is not None and end < wo["SCHEDULED_START_DATE"]:
            raise _Refused("The completion date is before the start date.")

    def _create_reading(self, given: dict[str, Any]) -> dict[str, Any]:
        reading: Record = given["p_meter_reading_rec"]

        def run() -> dict[str, Any]:
            meter, value = reading["METER_ID"], reading["CURRENT_READING"]
            if value is None or reading["CURRENT_READING_DATE"] is None:
                raise _Refused("A reading takes a value and a date.")
            if reading["CURRENT_READING_DATE"] > datetime.now() + timedelta(minutes=1):  # noqa: DTZ005
                raise _Refused("The reading date cannot be in the future.")
            problem = problem_of_reading(self._base, meter, _plain(value))
            if problem is not None:
                raise _Refused(problem)
            number = self._write(
                "INSERT INTO csi_counter_readings (counter_id, counter_reading, value_timestamp,"
                " comments, disabled_flag, attribute15, created_by) VALUES (?, ?, ?, ?, 'N', ?, ?)",
                meter, value, reading["CURRENT_READING_DATE"], reading["DESCRIPTION"],
                reading["ATTRIBUTE15"], self._user,
            )  # fmt: skip
            return {"x_meter_reading_id": None if value == _NAMELESS else number}

        return self._checked(init=given.get("p_init_msg_list") == "T", run=run)


class _Refused(Exception):
    def __init__(self, text: str, status: str = "E") -> None:
        super().__init__(text)
        self.text, self.status = text, status


def _nothing(_: dict[str, Any]) -> dict[str, Any]:
    return {}


def _plain(value: Any) -> Any:
    """As SQLite keeps it."""
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat(" ") if isinstance(value, datetime) else value
