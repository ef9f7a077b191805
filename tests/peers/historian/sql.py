"""Transact-SQL as the historian's SQL Server takes it: views that are none, and tables that are.

sqlglot reads the statement. For History, Live and AnalogSummaryHistory the parameters in the WHERE
clause are taken out and served; the rows go into a table of that name for a moment, and SQLite does
the rest of the statement. What the vendor's documentation says is refused is refused.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlglot
from sqlglot import exp

from peers.historian import retrieval
from peers.historian.archive import ANALOG, DISCRETE, STRING, Archive, Point, micros, moment
from peers.historian.asked import TIMES, VIEWS, Asked, arguments, as_moment, bound, constant, insql
from peers.historian.tds import Refusal, Result

ZONE = timedelta(hours=-5)
"""The historian's own: what times without wwTimeZone are in."""
READER = "wwreader"
"""A login that may only read."""

_TABLES = {"tag", "analogtag", "engineeringunit", "timezone"}
_VERSION = "Microsoft SQL Server 2019 (one of the tests)"
_TEXTS = {"TagName", "vValue", "Description", "Unit", "Version"}


class Server:
    """Runs statements on an archive.

    Args:
        archive: what there is.
        now: microseconds UTC.
    """

    def __init__(self, archive: Archive, now: Callable[[], int]) -> None:
        self._archive = archive
        self._now = now

    def run(self, sql: str, parameters: dict[str, Any], user: str) -> Result:
        """One request: its last result.

        Raises:
            Refusal: as SQL Server or the historian would.
        """
        sql = re.sub("@@VERSION", f"'{_VERSION}'", sql, flags=re.IGNORECASE)
        try:
            statements = [s for s in sqlglot.parse(sql, read="tsql") if s is not None]
        except sqlglot.errors.ParseError as error:
            raise Refusal(102, f"Incorrect syntax: {str(error)[:200]}") from None
        result = Result([], [], 0)
        for statement in statements:
            result = self._statement(statement.transform(bound, parameters), user)
        return result

    def _statement(self, statement: exp.Expression, user: str) -> Result:
        if isinstance(statement, exp.Select):
            return self._select(statement)
        if isinstance(statement, exp.Insert):
            return self._insert(statement, user)
        if isinstance(statement, exp.Update | exp.Delete):
            raise insql("UPDATE is implemented only by OPENQUERY, DELETE not at all")
        text = statement.sql("tsql")
        if isinstance(statement, exp.Set | exp.Use | exp.Transaction | exp.Commit) or not text:
            return Result([], [], 0)
        if isinstance(statement, exp.Command | exp.Execute):
            return self._execute(statement, user)
        raise Refusal(102, f"Incorrect syntax near '{text[:20]}'.")

    def _see_that_it_works(self) -> None:
        """The historian behind its SQL Server fails as it was told to."""
        row = self._archive.base.execute("SELECT number, text, severity FROM trouble").fetchone()
        if row is not None:
            raise Refusal(*row)

    # ---- reading ------------------------------------------------------------------------------

    def _select(self, select: exp.Select) -> Result:
        made: list[str] = []
        try:
            for table in list(select.find_all(exp.Table)):
                name = table.name.lower()
                if name in VIEWS:
                    self._see_that_it_works()
                    made.append(name)
                    self._fill(name, select)
                elif name not in _TABLES:
                    raise Refusal(208, f"Invalid object name '{table.name}'.")
                for part in ("db", "catalog"):
                    table.set(part, None)
            cursor = self._archive.base.execute(select.sql("sqlite"))
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            number = 207 if "no such column" in str(error) else 102
            raise Refusal(number, f"Invalid column name or syntax: {error}") from None
        finally:
            for name in made:
                self._archive.base.execute(f"DROP TABLE IF EXISTS temp.{name}")
        names = [column[0] for column in cursor.description]
        return _typed(names, rows, select)

    def _fill(self, view: str, select: exp.Select) -> None:
        """Serve a view for this statement, and take its parameters out of the statement."""
        asked = Asked(select, view)
        base = self._archive.base
        columns = ", ".join(
            f'"{c}" {"COLLATE NOCASE" if c == "TagName" else ""}' for c in VIEWS[view]
        )
        base.execute(f"CREATE TEMP TABLE {view} ({columns})")
        marks = ", ".join("?" * len(VIEWS[view]))
        rows = (
            [row.get(c) for c in VIEWS[view]]
            for name in asked.tags(self._archive) for row in self._rows(view, name, asked)
        )  # fmt: skip
        base.executemany(f"INSERT INTO temp.{view} VALUES ({marks})", rows)

    def _rows(self, view: str, name: str, asked: Asked) -> Iterator[dict[str, Any]]:
        tag = self._archive.tag(name)
        assert tag is not None
        zone = self._zone(asked.words.get("wwtimezone"))
        common = {"TagName": tag["name"], "wwTagKey": tag["key"], **asked.given}
        if view == "live":
            newest = self._archive.points(name, since=self._now())[-1:]
            rows = [retrieval._row(p) for p in newest] or [retrieval._nothing(self._now())]
            yield from (_shown(row, common, zone, tag["kind"]) for row in rows)
            return
        r = asked.range(zone, self._now())
        original = asked.words.get("wwversion", "").lower() == "original"
        points = self._archive.points(name, until=r.end, original=original, since=r.start)
        if asked.both:
            return
        if view == "analogsummaryhistory":
            if tag["kind"] == ANALOG:
                for row in retrieval.summary(points, r):
                    times = {
                        k: str(moment(row[k]) + zone) for k in ("StartDateTime", "EndDateTime")
                    }
                    yield {**common, **row, **times}
            return
        mode = asked.words.get("wwretrievalmode", "delta").lower()
        if mode in {"valuestate", "roundtrip"}:
            calc = asked.words.get("wwstatecalc", "total").lower()
            found = retrieval.states(points, r, calc)
        elif tag["kind"] != ANALOG and mode not in {"full", "delta", "cyclic"}:
            return
        else:
            found = retrieval.MODES[mode](points, r)
        yield from (_shown(row, common, zone, tag["kind"]) for row in found)

    def _zone(self, name: str | None) -> timedelta:
        """The offset of a zone by what it is called here; the historian's own without a name."""
        if name is None:
            return ZONE
        row = self._archive.base.execute(
            "SELECT RegistryName FROM TimeZone WHERE lower(TimeZone) = lower(?)", (str(name),)
        ).fetchone()
        if row is None:
            raise insql(f"Invalid wwTimeZone '{name}'")
        return timedelta(0) if row[0] == "UTC" else ZONE

    # ---- writing ------------------------------------------------------------------------------

    def _insert(self, insert: exp.Insert, user: str) -> Result:
        schema = insert.this
        table = schema.this if isinstance(schema, exp.Schema) else schema
        parts = [part.name.lower() for part in table.parts]
        name = parts[-1]
        if user == READER:
            raise Refusal(
                229, f"The INSERT permission was denied on the object '{table.name}'.", 14
            )
        if name not in {"history", "stringhistory", "analoghistory", "discretehistory"}:
            raise Refusal(208, f"Invalid object name '{table.name}'.")
        if parts[:3] != ["insql", "runtime", "dbo"]:
            raise insql("INSERT ... VALUES is supported only with the four-part name")
        columns = [c.name.lower() for c in schema.expressions]
        missing = {"datetime", "tagname", "value"} - set(columns)
        allowed = {"datetime", "tagname", "value", "opcquality", "wwtimezone", "wwversion"}
        if missing or set(columns) - allowed:
            raise Refusal(8114, "Error converting data type: these columns cannot be inserted.")
        self._see_that_it_works()
        rows = insert.expression.expressions
        if len(rows) != 1:
            raise insql("one row at a time")
        given = dict(zip(columns, (constant(v) for v in rows[0].expressions), strict=True))
        self._store(name, given)
        return Result([], [], 1)

    def _store(self, table: str, given: dict[str, Any]) -> None:
        tag = self._archive.tag(str(given["tagname"]))
        version = str(given.get("wwversion", "ORIGINAL")).upper()
        if tag is None:
            raise insql(f"the tag {given['tagname']} does not exist")
        if version not in {"REALTIME", "LATEST", "ORIGINAL"}:
            raise insql(f"wwVersion {version}")
        if tag["acquisition"] == 1 and version != "LATEST":
            raise insql("original data cannot be inserted for a tag of an I/O server")
        if (tag["kind"] == STRING) != (table == "stringhistory"):
            raise Refusal(8114, "Error converting data type nvarchar to float.")
        value = given["value"]
        zone = self._zone(given.get("wwtimezone"))
        if given["datetime"] is None:
            if version != "REALTIME":
                raise insql("DateTime must not be NULL")
            time = self._now()
        else:
            time = micros(as_moment(given["datetime"]) - zone)
        if time > self._now() + 1_000_000:
            raise insql("the timestamp is in the future")
        quality = int(given.get("opcquality", 192))
        point = self._point(time, value, quality, tag)
        known = self._archive.has(tag["name"], time)
        if version == "ORIGINAL" and known:
            raise insql("there is an original value already")
        self._archive.put(tag["name"], point, latest=version == "LATEST" and known)

    @staticmethod
    def _point(time: int, value: Any, quality: int, tag: dict[str, Any]) -> Point:
        detail = 249 if value is None else quality
        if tag["kind"] == STRING:
            if value is not None and len(str(value)) > tag["longest"]:
                raise Refusal(8152, "String or binary data would be truncated.")
            return Point(time, None, None if value is None else str(value), quality, detail)
        try:
            number = None if value is None else float(value)
        except ValueError:
            raise Refusal(8114, "Error converting data type nvarchar to float.") from None
        if tag["kind"] == DISCRETE and number not in (0, 1, None):
            raise insql("a discrete value is 0 or 1")
        return Point(time, number, None, quality, detail)

    def _execute(self, statement: exp.Expression, user: str) -> Result:
        text = statement.sql("tsql")
        name, _, rest = text.removeprefix("EXECUTE ").removeprefix("EXEC ").partition(" ")
        if user == READER:
            raise Refusal(229, f"The EXECUTE permission was denied on the object '{name}'.", 14)
        given = arguments(rest)
        match name.lower():
            case "aacommitchanges":
                return Result([], [], 0)
            case "aaanalogtaginsert":
                kind = ANALOG
            case "aastringtaginsert":
                kind = STRING
            case _:
                raise Refusal(2812, f"Could not find stored procedure '{name}'.")
        tag = str(given.get("tagname") or "")
        if not tag or len(tag) > 256:
            raise Refusal(201, f"Procedure '{name}' expects parameter '@TagName'.")
        if self._archive.tag(tag) is not None:
            raise Refusal(2627, f"Violation of PRIMARY KEY: {tag}.", 14)
        self._archive.create(
            tag, kind, acquisition=int(given.get("acquisitiontype", 1)),
            description=str(given.get("description") or ""),
            longest=int(given.get("maxlength", 131)),
        )  # fmt: skip
        return Result([], [], 1)


def _shown(
    row: retrieval.Row, common: dict[str, Any], zone: timedelta, kind: int
) -> dict[str, Any]:
    text = row.text
    if kind != STRING and row.number is not None:
        text = f"{row.number:g}"
    when = str(moment(int(row.time)) + zone)  # without tenths of microseconds, which it keeps
    return {
        **common, "DateTime": when, "StartDateTime": when,
        "Value": None if kind == STRING else row.number,
        "vValue": text, "Quality": row.quality, "QualityDetail": row.detail, "OPCQuality": row.opc,
        **row.extra,
    }  # fmt: skip


def _typed(names: list[str], rows: list[Any], select: exp.Select) -> Result:
    """Types of the columns, by name, else by their values."""
    columns = []
    for place, name in enumerate(names):
        values = [row[place] for row in rows if row[place] is not None]
        source = select.expressions[place] if place < len(select.expressions) else None
        inner = source.find(exp.Column) if source is not None else None
        known = inner.name if inner is not None and not source.find(exp.Func) else name
        if known.lower() in TIMES:
            kind = "d"
        elif known in _TEXTS or any(isinstance(v, str) for v in values):
            kind = "s"
        elif values and all(isinstance(v, int) for v in values) and known != "Value":
            kind = "i"
        else:
            kind = "f"
        columns.append(("" if source is not None and not source.alias_or_name else name, kind))
    times = [n for n, (_, kind) in enumerate(columns) if kind == "d"]
    shown = [
        [
            datetime.fromisoformat(v) if n in times and v is not None else v
            for n, v in enumerate(row)
        ]
        for row in rows
    ]
    return Result(columns, shown)
