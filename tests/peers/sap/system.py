"""The application: measuring points, documents, notifications, materials; units of work.

What is written waits in the unit of work until it is committed, and is gone with its session.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS IMPTT (POINT TEXT PRIMARY KEY, PSORT TEXT, MSEHI TEXT, LOCKED TEXT);
CREATE TABLE IF NOT EXISTS IMRG (MDOCM TEXT PRIMARY KEY, POINT TEXT, IDATE TEXT, ITIME TEXT,
  MDTXT TEXT, READR TEXT, GENER TEXT, RECDV TEXT, RECDU TEXT);
CREATE TABLE IF NOT EXISTS QMEL (QMNUM TEXT PRIMARY KEY, QMART TEXT, QMTXT TEXT, EQUNR TEXT,
  TPLNR TEXT, PRIOK TEXT, MSAUS TEXT, AUSVN TEXT, AUZTV TEXT, REFNUM TEXT, QMNAM TEXT, LTXT TEXT,
  CHANGED INTEGER DEFAULT 1);
CREATE TABLE IF NOT EXISTS AUFK (AUFNR TEXT PRIMARY KEY, AUART TEXT, KTEXT TEXT, EQUNR TEXT,
  TPLNR TEXT, IWERK TEXT, ARBPL TEXT, ILART TEXT, PRIOK TEXT, GSTRP TEXT);
CREATE TABLE IF NOT EXISTS MARA (MATNR TEXT PRIMARY KEY, MTART TEXT, MEINS TEXT, MATKL TEXT,
  BRGEW TEXT, NTGEW TEXT, GEWEI TEXT, MAKTX TEXT);
CREATE TABLE IF NOT EXISTS ZBOILER (BOILER TEXT, EFFICIENCY TEXT, FUEL INTEGER);
CREATE TABLE IF NOT EXISTS EDIDC (MESTYP TEXT, IDOCTP TEXT, REFMES TEXT, BODY TEXT);
"""
EQUIPMENT = {"000000000010000045", "10000045"}
LOCATIONS = {"BOILERHOUSE-1"}
UNITS = {"PCT", "BAR", "KG", "T", "KWH"}
TYPES = {"M1", "M2", "M3"}
ORDER_TYPES = {"PM01", "PM02"}


class Refused(Exception):
    """An error of the application: class, number and text of its message."""

    def __init__(self, code: str, number: str, text: str, exception: str = "") -> None:
        super().__init__(text)
        self.code, self.number, self.text, self.exception = code, number, text, exception


@dataclass
class Unit:
    """One logical unit of work: what a session has written and not committed."""

    pending: list[Callable[[], None]] = field(default_factory=list)
    buffered: dict[str, dict[str, Any]] = field(default_factory=dict)


class System:
    """Args: the file that its tables are kept in."""

    def __init__(self, file: Path) -> None:
        self._base = sqlite3.connect(
            file, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._base.row_factory = sqlite3.Row
        self._base.executescript(SCHEMA)
        self._numbers = itertools.count(1)
        self._base.executemany(
            "INSERT OR IGNORE INTO IMPTT VALUES (?, ?, ?, '')",
            [("000000000012", "BOILER_001_EFF", "PCT"), ("000000000013", "BOILER_001_P", "BAR")],
        )
        self._base.executemany(
            "INSERT OR IGNORE INTO MARA VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                ("NATURAL_GAS", "ROH", "M3", "FUEL", "0.800", "0.800", "KG", "Natural gas"),
                ("000000000000004711", "ERSA", "ST", "SPARE", "1.500", "1.200", "KG", "Gasket"),
            ],
        )

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._base.execute(sql, values)]

    def execute(self, sql: str, *values: Any) -> None:
        self._base.execute(sql, values)

    def _next(self, table: str, column: str, first: int) -> str:
        (found,) = self.rows(f"SELECT max(CAST({column} AS INTEGER)) AS top FROM {table}")
        return str(max(int(found["top"] or 0) + 1, first + next(self._numbers)))

    # ---- measurement documents --------------------------------------------------------------

    def point(self, number: str, position: str) -> dict[str, Any]:
        found = (
            self.rows("SELECT * FROM IMPTT WHERE POINT = ?", number.zfill(12))
            if number
            else self.rows("SELECT * FROM IMPTT WHERE PSORT = ?", position)
        )
        if not found:
            raise Refused("IR", "110", f"Point {number or position} not found", "POINT_NOT_FOUND")
        if found[0]["LOCKED"]:
            raise Refused("IR", "111", "Measuring point is locked", "POINT_LOCKED")
        return found[0]

    def measure(
        self, point: Mapping[str, Any], reading: Mapping[str, str], *, duplicates: bool = False
    ) -> tuple[dict[str, Any], bool]:
        """Make a document; the one of the same second, and True, where that was asked for.

        Args:
            point: of IMPTT.
            reading: IDATE, ITIME, RECDV, RECDU, MDTXT, READR.
            duplicates: CHECK_CUSTOM_DUPREC.
        """
        try:
            float(reading["RECDV"])
        except ValueError:
            raise Refused("IR", "120", "The reading is no number", "VALUE_NOT_FLTP") from None
        if reading["RECDU"] and reading["RECDU"] not in UNITS:
            text = f"Unit {reading['RECDU']} does not fit"
            raise Refused("IR", "121", text, "UNIT_UNFIT")
        day, moment = reading["IDATE"], reading["ITIME"]
        when = datetime.strptime(day + moment, "%Y%m%d%H%M%S")  # noqa: DTZ007 (SAP's clock)
        if when > datetime.now() + timedelta(days=1):  # noqa: DTZ005
            raise Refused("IR", "122", "Time stamp in the future", "TIMESTAMP_IN_FUTURE")
        same = self.rows(
            "SELECT * FROM IMRG WHERE POINT = ? AND IDATE = ? AND ITIME = ?",
            point["POINT"], day, moment,
        )  # fmt: skip
        if same and duplicates:
            return same[0], True
        row = {
            "MDOCM": self._next("IMRG", "MDOCM", 1000).zfill(20), "POINT": point["POINT"],
            "IDATE": day, "ITIME": moment, "MDTXT": reading["MDTXT"], "READR": reading["READR"],
            "GENER": "A", "RECDV": reading["RECDV"], "RECDU": reading["RECDU"] or point["MSEHI"],
        }  # fmt: skip
        self.execute(f"INSERT INTO IMRG VALUES ({', '.join('?' * 9)})", *row.values())
        return row, False

    # ---- notifications ----------------------------------------------------------------------

    def notification(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Check what makes a notification."""
        if fields["QMART"] not in TYPES:
            raise Refused("IM", "108", f"Notification type {fields['QMART']} is not defined")
        if fields["EQUNR"] and fields["EQUNR"] not in EQUIPMENT:
            raise Refused("IM", "150", f"Equipment {fields['EQUNR']} does not exist")
        if fields["TPLNR"] and fields["TPLNR"] not in LOCATIONS:
            raise Refused("IL", "035", f"Functional location {fields['TPLNR']} does not exist")
        if not fields["QMTXT"]:
            raise Refused("IM", "151", "Enter a short text")
        return {name: fields.get(name, "") for name in (
            "QMART", "QMTXT", "EQUNR", "TPLNR", "PRIOK", "MSAUS", "AUSVN", "AUZTV", "REFNUM",
            "QMNAM", "LTXT",
        )}  # fmt: skip

    def new_notification_number(self) -> str:
        return self._next("QMEL", "QMNUM", 10_000_000).zfill(12)

    def insert_notification(self, number: str, fields: Mapping[str, str]) -> None:
        marks = ", ".join("?" * 12)
        self.execute(f"INSERT INTO QMEL VALUES ({marks}, 1)", number, *fields.values())

    # ---- orders -----------------------------------------------------------------------------

    def order(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Check what makes an order."""
        if fields["AUART"] not in ORDER_TYPES:
            raise Refused("IW", "021", f"Order type {fields['AUART']} is not defined")
        if fields["EQUNR"] and fields["EQUNR"] not in EQUIPMENT:
            raise Refused("IM", "150", f"Equipment {fields['EQUNR']} does not exist")
        if fields["TPLNR"] and fields["TPLNR"] not in LOCATIONS:
            raise Refused("IL", "035", f"Functional location {fields['TPLNR']} does not exist")
        names = ("AUART", "KTEXT", "EQUNR", "TPLNR", "IWERK", "ARBPL", "ILART", "PRIOK", "GSTRP")
        return {name: fields.get(name, "") for name in names}

    def new_order_number(self) -> str:
        return self._next("AUFK", "AUFNR", 4_000_000).zfill(12)

    def insert_order(self, number: str, fields: Mapping[str, str]) -> None:
        marks = ", ".join("?" * 10)
        self.execute(f"INSERT INTO AUFK VALUES ({marks})", number, *fields.values())

    # ---- units of work ----------------------------------------------------------------------

    def commit(self, unit: Unit) -> None:
        self.execute("BEGIN IMMEDIATE")
        for write in unit.pending:
            write()
        self.execute("COMMIT")
        unit.pending.clear()

    @staticmethod
    def rollback(unit: Unit) -> None:
        unit.pending.clear()
        unit.buffered.clear()
