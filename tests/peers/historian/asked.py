"""What a statement asks of a view: the parameters in its WHERE clause, and variables as values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlglot
from sqlglot import exp

from peers.historian import retrieval
from peers.historian.archive import Archive, micros
from peers.historian.tds import Refusal

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
VIEWS = {"history": _HISTORY, "live": _HISTORY, "analogsummaryhistory": _SUMMARY}
_WORDS = {
    "wwversion": {"latest", "original"},
    "wwqualityrule": {"good", "extended", "optimistic"}, "wwtimestamprule": {"start", "end"},
    "wwinterpolationtype": {"stairstep", "linear"},
    "wwstatecalc": {"total", "minimum", "maximum", "average", "percent"},
    "wwretrievalmode": {*retrieval.MODES, "valuestate", "roundtrip"},
}  # fmt: skip
TIMES = {"datetime", "startdatetime", "enddatetime"}


def insql(text: str) -> Refusal:
    return Refusal(7320, f'Cannot execute the query against OLE DB provider "INSQL": {text}')


class Asked:
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
        given = conjuncts(where.this) if where is not None else []
        kept = [condition for condition in given if not self._take(condition, view)]
        select.set("where", None)
        if kept:
            select.where(*kept, copy=False)
        cycles, resolution = self.words.get("wwcyclecount"), self.words.get("wwresolution")
        self.both = cycles is not None and resolution is not None
        self._cycles = None if cycles is None else int(cycles)
        self._resolution = None if resolution is None else int(resolution) * 1000

    def _take(self, condition: exp.Expression, view: str) -> bool:
        columns = {c.name.lower() for c in condition.find_all(exp.Column)}
        extensions = {c for c in columns if c.startswith("ww") and c != "wwtagkey"}
        column = condition.this.name.lower() if isinstance(condition.this, exp.Column) else ""
        if extensions:
            if not isinstance(condition, exp.EQ) or column not in extensions:
                raise insql(f"{', '.join(extensions)}: only '=', and neither OR nor IN")
            value = constant(condition.expression)
            known = _WORDS.get(column)
            if known is not None and str(value).lower() not in known:
                raise insql(f"{column} = '{value}'")
            spelled = {c.lower(): c for c in VIEWS[view]}
            if column not in spelled:
                raise Refusal(207, f"Invalid column name '{column}'.")
            self.words[column] = str(value)
            self.given[spelled[column]] = value
            return True
        if column in TIMES and isinstance(condition, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.EQ):
            self._bounds.append((column, condition.key, constant(condition.expression)))
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
            time = micros(as_moment(value) - zone)
            if key in {"gt", "gte", "eq"}:
                start, with_start = time, key != "gt"
            if key in {"lt", "lte", "eq"}:
                end, with_end = time, key != "lt"
        end = now if end is None else end
        start = end - 300_000_000 if start is None else start
        return retrieval.Range(start, end, with_start, with_end, self._cycles, self._resolution)


def conjuncts(node: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(node, exp.And):
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    elif isinstance(node, exp.Paren) and isinstance(node.this, exp.And):
        yield from conjuncts(node.this)
    else:
        yield node


def bound(node: exp.Expression, parameters: dict[str, Any]) -> exp.Expression:
    """A variable as its value."""
    if not isinstance(node, exp.Parameter):
        return node
    if node.name not in parameters:
        return node
    value = parameters[node.name]
    if isinstance(value, datetime):
        value = value.isoformat(" ")
    return exp.convert(value)


def constant(node: exp.Expression) -> Any:  # noqa: PLR0911 (one for each kind of node)
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Cast):
        return constant(node.this)
    if isinstance(node, exp.Neg):
        return -float(constant(node.this))
    if isinstance(node, exp.CurrentTimestamp):
        return "now"
    if not isinstance(node, exp.Literal | exp.National | exp.Boolean):
        raise insql(f"'{node.sql('tsql')}' is no constant")
    if isinstance(node, exp.Boolean):
        return int(node.this)
    if isinstance(node, exp.National) or node.is_string:
        return node.name
    number = float(node.name)
    return int(number) if node.name.lstrip("-").isdigit() else number


def arguments(text: str) -> dict[str, Any]:
    """'@TagName = N'x', @StorageType = 3' of an EXEC."""
    if not text.strip():
        return {}
    where = text.replace("@", "arg_").replace(", arg_", " AND arg_")
    select = sqlglot.parse_one(f"SELECT 1 WHERE {where}", read="tsql")
    given = {}
    for condition in conjuncts(select.args["where"].this):
        given[condition.this.name.lower().removeprefix("arg_")] = constant(condition.expression)
    return given


def as_moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise Refusal(241, "Conversion failed when converting date and/or time.") from None
