"""The tables of Ignition's SQL historian in a real PostgreSQL, made as the manual describes them.

Source: Ignition User Manual, "Ignition Database Table Reference". Indexes as the gateway makes
them: the primary key of a data table is (tagid, t_stamp).
"""

from __future__ import annotations

from typing import Any

from peers.postgresql import PostgreSQL

_SCHEMA = (
    "CREATE TABLE sqlth_drv (id serial PRIMARY KEY, name varchar(255), provider varchar(255))",
    (
        "CREATE TABLE sqlth_scinfo (id serial PRIMARY KEY, scname varchar(255), "
        "drvid int REFERENCES sqlth_drv)"
    ),
    "CREATE TABLE sqlth_sce (scid int, start_time bigint, end_time bigint, rate int)",
    (
        "CREATE TABLE sqlth_te (id serial PRIMARY KEY, tagpath varchar(255), scid int, "
        "datatype int, querymode int, created bigint, retired bigint)"
    ),
    (
        "CREATE TABLE sqlth_partitions (pname varchar(255), drvid int, start_time bigint, "
        "end_time bigint, blocksize int, flags int)"
    ),
)
_DATA = (
    "tagid int, intvalue bigint, floatvalue double precision, stringvalue varchar(255), "
    "datevalue timestamp, dataintegrity int, t_stamp bigint, PRIMARY KEY (tagid, t_stamp)"
)
INT, FLOAT, STRING, DATE = 0, 1, 2, 3
_COLUMN = {INT: "intvalue", FLOAT: "floatvalue", STRING: "stringvalue", DATE: "datevalue"}


class IgnitionHistory(PostgreSQL):
    """A database with an empty tag history."""

    database = "ignition"

    def start(self) -> None:
        super().start()
        for statement in _SCHEMA:
            self.execute(statement)

    def _made(self, statement: str, *values: Any) -> int:
        ((number,),) = self.execute(statement, values)
        return int(number)

    def driver(self, gateway: str = "plant-gw", provider: str = "default") -> int:
        return self._made(
            "INSERT INTO sqlth_drv (name, provider) VALUES (%s, %s) RETURNING id", gateway, provider
        )

    def group(self, driver: int, name: str = "Default") -> int:
        return self._made(
            "INSERT INTO sqlth_scinfo (scname, drvid) VALUES (%s, %s) RETURNING id", name, driver
        )

    def executed(self, group: int, start: int, end: int, rate: int = 1000) -> None:
        self.execute("INSERT INTO sqlth_sce VALUES (%s, %s, %s, %s)", (group, start, end, rate))

    def tag(
        self, path: str, group: int, kind: int = FLOAT, *, created: int = 0,
        retired: int | None = None,
    ) -> int:  # fmt: skip
        return self._made(
            "INSERT INTO sqlth_te (tagpath, scid, datatype, querymode, created, retired) "
            "VALUES (%s, %s, %s, 3, %s, %s) RETURNING id", path, group, kind, created, retired,
        )  # fmt: skip

    def partition(self, name: str, driver: int, start: int, end: int, *, made: bool = True) -> None:
        self.execute(
            "INSERT INTO sqlth_partitions VALUES (%s, %s, %s, %s, 0, 0)", (name, driver, start, end)
        )
        if made:
            self.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({_DATA})')

    def put(
        self, table: str, tag: int, kind: int, *values: tuple[int, Any], integrity: int = 192
    ) -> None:
        for stamp, value in values:
            self.execute(
                f'INSERT INTO "{table}" (tagid, {_COLUMN[kind]}, dataintegrity, t_stamp) '
                "VALUES (%s, %s, %s, %s)", (tag, value, integrity, stamp),
            )  # fmt: skip
