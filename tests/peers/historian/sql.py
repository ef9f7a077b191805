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
from peers.historian.tds import Refusal, Result

ZONE = timedelta(hours=-5)
"""The historian's own: what times without wwTimeZone are in."""
READER = "wwreader"
"""A login that may only read."""

_HISTORY = (
    "DateTime", "TagName", "Value", "vValue", "Quality", "QualityDetail", "OPCQuality", "wwTagKey",
    "wwRetrievalMode", "wwCycleCount", "wwResolution", "wwTimeZone", "wwVersion", "wwQualityRule",
    "wwTimeStampRule", "wwInterpolationType", "wwStateCalc", "StateTime", "PercentGood",
    "StartDateTime",
)  # fmt: skip
_SUMMARY = (
    "TagName", "StartDateTime", "EndDateTime", "OPCQuality", "PercentGood", "First", "Last",
    "Minimum", "Maximum", "Average", "StdDev", "Integral", "ValueCount", "wwCycleCount",
    "wwResolution", "wwRetrievalMode", "wwTimeZone", "wwVersion",
)  # fmt: skip
_VIEWS = {"history": _HISTORY, "live": _HISTORY, "analogsummaryhistory": _SUMMARY}
_TABLES = {"tag", "analogtag", "engineeringunit"}
_WORDS = {
    "wwversion": {"latest", "original"}, "wwtimezone": {"utc", "eastern standard time"},
    "wwqualityrule": {"good", "extended", "optimistic"}, "wwtimestamprule": {"start", "end"},
    "wwinterpolationtype": {"stairstep", "linear"},
    "wwstatecalc": {"total", "minimum", "maximum", "average", "percent"},
    "wwretrievalmode": {*retrieval.MODES, "valuestate", "roundtrip"},
}  # fmt: skip
_TIMES = {"datetime", "startdatetime", "enddatetime"}
_VERSION = "Microsoft SQL Server 2019 (one of the tests)"
_TEXTS = {"TagName", "vValue", "Description", "Unit", "Version"}


def _insql(text: str) -> Refusal:
    return Refusal(7320, f'Cannot execute the query against OLE DB provider "INSQL": {text}')


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
            result = self._statement(statement.transform(_bound, parameters), user, bool(parameters))
        return result

    def _statement(self, statement: exp.Expression, user: str, variables: bool) -> Result:
        if isinstance(statement, exp.Select):
            return self._select(statement)
        if isinstance(statement, exp.Insert):
            return self._insert(statement, user, variables)
        if isinstance(statement, exp.Update | exp.Delete):
            raise _insql("UPDATE is implemented only by OPENQUERY, DELETE not at all")
        text = statement.sql("tsql")
        if isinstance(statement, exp.Set | exp.Use | exp.Transaction | exp.Commit) or not text:
            return Result([], [], 0)
        if isinstance(statement, exp.Command | exp.Execute):
            return self._execute(statement, user)
        raise Refusal(102, f"Incorrect syntax near '{text[:20]}'.")

    # ---- reading ------------------------------------------------------------------------------

    def _select(self, select: exp.Select) -> Result:
        made: list[str] = []
        try:
            for table in list(select.find_all(exp.Table)):
                name = table.name.lower()
                if name in _VIEWS:
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
        asked = _Asked(select, view)
        base = self._archive.base
        columns = ", ".join(f'"{c}" {"COLLATE NOCASE" if c == "TagName" else ""}' for c in _VIEWS[view])
        base.execute(f"CREATE TEMP TABLE {view} ({columns})")
        marks = ", ".join("?" * len(_VIEWS[view]))
        rows = (
            [row.get(c) for c in _VIEWS[view]]
            for name in asked.tags(self._archive) for row in self._rows(view, name, asked)
        )  # fmt: skip
        base.executemany(f"INSERT INTO temp.{view} VALUES ({marks})", rows)

    def _rows(self, view: str, name: str, asked: _Asked) -> Iterator[dict[str, Any]]:
        tag = self._archive.tag(name)
        assert tag is not None
        zone = timedelta(0) if asked.words.get("wwtimezone", "").lower() == "utc" else ZONE
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
                    times = {k: str(moment(row[k]) + zone) for k in ("StartDateTime", "EndDateTime")}
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

    # ---- writing ------------------------------------------------------------------------------

    def _insert(self, insert: exp.Insert, user: str, variables: bool) -> Result:
        schema = insert.this
        table = schema.this if isinstance(schema, exp.Schema) else schema
        parts = [part.name.lower() for part in table.parts]
        name = parts[-1]
        if user == READER:
            raise Refusal(229, f"The INSERT permission was denied on the object '{table.name}'.", 14)
        if name not in {"history", "stringhistory", "analoghistory", "discretehistory"}:
            raise Refusal(208, f"Invalid object name '{table.name}'.")
        if parts[:3] != ["insql", "runtime", "dbo"]:
            raise _insql("INSERT ... VALUES is supported only with the four-part name")
        columns = [c.name.lower() for c in schema.expressions]
        missing = {"datetime", "tagname", "value"} - set(columns)
        allowed = {"datetime", "tagname", "value", "opcquality", "wwtimezone", "wwversion"}
        if missing or set(columns) - allowed:
            raise Refusal(8114, "Error converting data type: these columns cannot be inserted.")
        rows = insert.expression.expressions
        if len(rows) != 1:
            raise _insql("one row at a time")
        given = dict(zip(columns, (_constant(v) for v in rows[0].expressions), strict=True))
        self._store(name, given)
        return Result([], [], 1)

    def _store(self, table: str, given: dict[str, Any]) -> None:
        tag = self._archive.tag(str(given["tagname"]))
        version = str(given.get("wwversion", "ORIGINAL")).upper()
        if tag is None:
            raise _insql(f"the tag {given['tagname']} does not exist")
        if version not in {"REALTIME", "LATEST", "ORIGINAL"}:
            raise _insql(f"wwVersion {version}")
        if tag["acquisition"] == 1 and version != "LATEST":
            raise _insql("original data cannot be inserted for a tag of an I/O server")
        if (tag["kind"] == STRING) != (table == "stringhistory"):
            raise Refusal(8114, "Error converting data type nvarchar to float.")
        value = given["value"]
        zone = timedelta(0) if str(given.get("wwtimezone", "")).lower() == "utc" else ZONE
        if given["datetime"] is None:
            if version != "REALTIME":
                raise _insql("DateTime must not be NULL")
            time = self._now()
        else:
            time = micros(_moment(given["datetime"]) - zone)
        if time > self._now() + 1_000_000:
            raise _insql("the timestamp is in the future")
        quality = int(given.get("opcquality", 192))
        point = self._point(time, value, quality, tag)
        known = self._archive.has(tag["name"], time)
        if version == "ORIGINAL" and known:
            raise _insql("there is an original value already")
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
            raise _insql("a discrete value is 0 or 1")
        return Point(time, number, None, quality, detail)

    def _execute(self, statement: exp.Expression, user: str) -> Result:
        text = statement.sql("tsql")
        name, _, rest = text.removeprefix("EXECUTE ").removeprefix("EXEC ").partition(" ")
        if user == READER:
            raise Refusal(229, f"The EXECUTE permission was denied on the object '{name}'.", 14)
        given = _arguments(rest)
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


class _Asked:
    """The parameters of a view in a WHERE clause; they are taken out of it.

    Attributes:
        words: the time domain extensions, lower case -> text.
        given: the same for the rows, as they are spelled.
        both: wwCycleCount and wwResolution, which gives no rows.
    """

    def __init__(self, select: exp.Select, view: str) -> None:
        self.words: dict[str, str] = {}
        self.given: dict[str, Any] = {}
        self._bounds: list[tuple[str, str, Any]] = []
        self._tags: list[exp.Expression] = []
        where = select.args.get("where")
        kept = []
        for condition in _conjuncts(where.this) if where is not None else []:
            if not self._take(condition, view):
                kept.append(condition)
        select.set("where", None)
        if kept:
            select.where(*kept, copy=False)
        cycles, resolution = self.words.get("wwcyclecount"), self.words.get("wwresolution")
        self.both = cycles is not None and resolution is not None
        self._cycles = None if cycles is None else int(cycles)
        self._resolution = None if resolution is None else int(resolution) * 1000

    def _take(self, condition: exp.Expression, view: str) -> bool:
        columns = {c.name.lower() for c in condition.find_all(exp.Column)}
        extensions = {c for c in columns if c.startswith("ww") and c not in {"wwtagkey"}}
        column = condition.this.name.lower() if isinstance(condition.this, exp.Column) else ""
        if extensions:
            if not isinstance(condition, exp.EQ) or column not in extensions:
                raise _insql(f"{', '.join(extensions)}: only '=', and neither OR nor IN")
            value = _constant(condition.expression)
            known = _WORDS.get(column)
            if known is not None and str(value).lower() not in known:
                raise _insql(f"{column} = '{value}'")
            spelled = {c.lower(): c for c in _VIEWS[view]}
            if column not in spelled:
                raise Refusal(207, f"Invalid column name '{column}'.")
            self.words[column] = str(value)
            self.given[spelled[column]] = value
            return True
        if column in _TIMES and isinstance(condition, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.EQ):
            self._bounds.append((column, condition.key, _constant(condition.expression)))
            return True
        if column == "tagname":
            self._tags.append(condition)
        return False

    def tags(self, archive: Archive) -> list[str]:
        """The tags that are asked for."""
        query = exp.select("TagName").from_("Tag").order_by("wwTagKey")
        for condition in self._tags:
            bare = condition.copy()
            for column in bare.find_all(exp.Column):
                column.set("table", None)
            query = query.where(bare)
        return [row[0] for row in archive.base.execute(query.sql("sqlite"))]

    def range(self, zone: timedelta, now: int) -> retrieval.Range:
        start, end, with_start, with_end = None, None, True, True
        for _, key, value in self._bounds:
            time = micros(_moment(value) - zone)
            if key in {"gt", "gte", "eq"}:
                start, with_start = time, key != "gt"
            if key in {"lt", "lte", "eq"}:
                end, with_end = time, key != "lt"
        end = now if end is None else end
        start = end - 300_000_000 if start is None else start
        return retrieval.Range(start, end, with_start, with_end, self._cycles, self._resolution)


def _conjuncts(node: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(node, exp.And):
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    elif isinstance(node, exp.Paren) and isinstance(node.this, exp.And):
        yield from _conjuncts(node.this)
    else:
        yield node


def _bound(node: exp.Expression, parameters: dict[str, Any]) -> exp.Expression:
    """A variable as its value."""
    if not isinstance(node, exp.Parameter):
        return node
    if node.name not in parameters:
        return node
    value = parameters[node.name]
    if isinstance(value, datetime):
        value = value.isoformat(" ")
    return exp.convert(value)


def _constant(node: exp.Expression) -> Any:
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Cast):
        return _constant(node.this)
    if isinstance(node, exp.Neg):
        return -float(_constant(node.this))
    if isinstance(node, exp.CurrentTimestamp):
        return "now"
    if not isinstance(node, exp.Literal | exp.National | exp.Boolean):
        raise _insql(f"'{node.sql('tsql')}' is no constant")
    if isinstance(node, exp.Boolean):
        return int(node.this)
    if isinstance(node, exp.National) or node.is_string:
        return node.name
    number = float(node.name)
    return int(number) if node.name.lstrip("-").isdigit() else number


def _arguments(text: str) -> dict[str, Any]:
    """'@TagName = N'x', @StorageType = 3' of an EXEC."""
    if not text.strip():
        return {}
    select = sqlglot.parse_one(f"SELECT 1 WHERE {text.replace('@', 'arg_')}".replace(", arg_", " AND arg_"),
                               read="tsql")  # fmt: skip
    given = {}
    for condition in _conjuncts(select.args["where"].this):
        given[condition.this.name.lower().removeprefix("arg_")] = _constant(condition.expression)
    return given


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise Refusal(241, "Conversion failed when converting date and/or time.") from None


def _shown(
    row: retrieval.Row, common: dict[str, Any], zone: timedelta, kind: int
) -> dict[str, Any]:
    text = row.text
    if kind != STRING and row.number is not None:
        text = f"{row.number:g}"
    when = str(moment(row.time) + zone)
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
        if known.lower() in _TIMES:
            kind = "d"
        elif known in _TEXTS or any(isinstance(v, str) for v in values):
            kind = "s"
        elif values and all(isinstance(v, int) for v in values) and known not in {"Value"}:
            kind = "i"
        else:
            kind = "f"
        columns.append(("" if source is not None and not source.alias_or_name else name, kind))
    times = [n for n, (_, kind) in enumerate(columns) if kind == "d"]
    shown = [
        [datetime.fromisoformat(v) if n in times and v is not None else v for n, v in enumerate(row)]
        for row in rows
    ]
    return Result(columns, shown)
