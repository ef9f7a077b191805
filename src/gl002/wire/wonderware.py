"""AVEVA (Wonderware) Historian in SQL: what is asked of its views, and what their rows mean.

The views look like tables and are none: what is asked for stands in the WHERE clause, in columns
that are parameters ('wwRetrievalMode', 'wwCycleCount', ...). Sources: AVEVA Historian
documentation (docs.aveva.com, bundle `sp-historian`): Retrieval Guide ("Retrieval modes",
"Determining cycle boundaries", "Delta retrieval - initial values", "History version", "INSERT ...
VALUES syntax") and Database Reference (History, Live, AnalogSummaryHistory, Tag, AnalogTag,
EngineeringUnit).

Times are always asked for in UTC (wwTimeZone): without it the historian's own zone counts. What
UTC is called there depends on the language of its Windows; the table TimeZone tells.
Names and times are bound parameters; only words and numbers of our own stand in the text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, Value, ValueType, to_datetime, to_ns
from gl002.wire.opc_classic import from_ua, to_ua

Mode: TypeAlias = Literal[
    "Cyclic", "Delta", "Full", "Interpolated", "BestFit", "Average", "Minimum", "Maximum",
    "Integral", "Slope", "Counter", "ValueState", "RoundTrip",
]  # fmt: skip
"""Every retrieval mode that gives more than a bound (Retrieval Guide, "Retrieval modes")."""
Version: TypeAlias = Literal["Latest", "Original"]
QualityRule: TypeAlias = Literal["Good", "Extended", "Optimistic"]
TimestampRule: TypeAlias = Literal["Start", "End"]
Interpolation: TypeAlias = Literal["StairStep", "Linear"]
StateCalc: TypeAlias = Literal[
    "Minimum", "MinContained", "Maximum", "MaxContained", "Average", "AvgContained", "Total",
    "TotalContained", "Percent", "PercentContained",
]  # fmt: skip

AS_STORED: tuple[Mode, ...] = ("Delta", "Full")
STATES: tuple[Mode, ...] = ("ValueState", "RoundTrip")
UTC_NAME = "UTC"
ANALOG, DISCRETE, STRING = 1, 2, 3
"""Tag.TagType."""
BY_HAND = 2
"""Tag.AcquisitionType of a tag whose values are inserted, and not acquired from an I/O server."""
LONGEST_TEXT = 512  # characters (StringTag.MaxLength)

_MICROSECOND = 1000
_INTEGER = 3  # AnalogTag.RawType
_INITIAL = 133  # Quality of the value before the start, given at the start
_NO_DATA = 65536  # QualityDetail where there is no value at all
_DISCONNECTED = 24  # QualityDetail: the source was cut off
_QUALITIES = {0: Quality.GOOD, 1: Quality.BAD, 16: Quality.UNCERTAIN, _INITIAL: Quality.GOOD}

_VALUES = "DateTime, TagName, Value, vValue, Quality, QualityDetail, OPCQuality"
_STATE_VALUES = "TagName, DateTime, vValue, StateTime, PercentGood, OPCQuality"
_SUMMARIES = (
    "TagName, StartDateTime, EndDateTime, OPCQuality, PercentGood, First, Last, Minimum, Maximum, "
    "Average, StdDev, Integral, ValueCount"
)


class Query(NamedTuple):
    """A statement and the values of its parameters, '%s' in the driver's spelling."""

    sql: str
    parameters: tuple[Any, ...]


class About(NamedTuple):
    """What the historian knows of a tag.

    Attributes:
        name: as it is spelled there.
        kind: ANALOG, DISCRETE, STRING or another Tag.TagType.
        by_hand: its values may be inserted.
        whole: an analog tag of whole numbers.
        unit: its engineering unit.
        description: its own words.
    """

    name: str
    kind: int
    by_hand: bool
    whole: bool
    unit: str
    description: str

    @property
    def type(self) -> ValueType | None:
        """The type of its values; None where it has none of ours."""
        kinds: dict[int, ValueType] = {
            ANALOG: "int" if self.whole else "float", DISCRETE: "bool", STRING: "str",
        }  # fmt: skip
        return kinds.get(self.kind)


class Cycles(NamedTuple):
    """How a range is cut: into a number of cycles, or into cycles of so many milliseconds.

    Both at once give no rows at all, or ignore one, so that is refused here.
    """

    number: int | None = None
    milliseconds: int | None = None

    def conditions(self) -> list[str]:
        """Of the WHERE clause.

        Raises:
            DataError: both, or not above zero.
        """
        if self.number is not None and self.milliseconds is not None:
            raise DataError("give either 'cycles' or 'resolution'")
        for name, column, value in (
            ("cycles", "wwCycleCount", self.number),
            ("resolution", "wwResolution", self.milliseconds),
        ):
            if value is not None:
                if value < 1:
                    raise DataError(f"'{name}' of {value} cuts nothing")
                return [f"{column} = {int(value)}"]
        return []


def word(name: str, value: str, known: Any) -> str:
    """One of the words a parameter may have.

    Raises:
        DataError: it is none of them.
    """
    words: tuple[str, ...] = get_args(known)
    for each in words:
        if each.lower() == value.lower():
            return each
    raise DataError(f"{name}: '{value}' is none", hint=f"one of: {', '.join(words)}")


def placeholders(count: int) -> str:
    """'%s, %s': as many parameters."""
    return ", ".join(["%s"] * count)


def moment(nanoseconds: int) -> datetime:
    """A time as a parameter: UTC without a zone, the first microsecond that is not before it."""
    return to_datetime(-(-nanoseconds // 1000) * 1000).replace(tzinfo=None)


def literal(text: str) -> str:
    """A text of the historian's own in a statement; what people write is bound instead."""
    quoted = text.replace("'", "''").replace("%", "%%")
    return f"N'{quoted}'"


def utc_there() -> Query:
    """What UTC is called there (Database Reference, TimeZone)."""
    return Query("SELECT TimeZone FROM TimeZone WHERE RegistryName = 'UTC'", ())


# ---- asking ------------------------------------------------------------------------------------


def stored(
    tags: Sequence[str],
    start: int,
    end: int,
    *,
    mode: Mode,
    version: Version,
    most: int,
    zone: str = UTC_NAME,
) -> Query:
    """Values as they were stored with start <= time < end, oldest first, at most `most`.

    The start is asked for exclusively, a microsecond earlier: inclusively the value before the
    start would come, too, as if it were of that time.
    """
    sql = (
        f"SELECT TOP {most} {_VALUES} FROM History WHERE TagName IN ({placeholders(len(tags))}) "  # noqa: S608 (numbers and words of ours; names are bound)
        "AND DateTime > %s AND DateTime < %s "
        f"AND wwRetrievalMode = '{mode}' AND wwVersion = '{version}' "
        f"AND wwTimeZone = {literal(zone)} ORDER BY DateTime"
    )
    return Query(sql, (*tags, moment(max(0, start - _MICROSECOND)), moment(end)))


def cyclic(
    tags: Sequence[str],
    start: int,
    end: int,
    *,
    mode: Mode,
    cycles: Cycles,
    version: Version = "Latest",
    quality_rule: QualityRule | None = None,
    timestamp_rule: TimestampRule | None = None,
    interpolation: Interpolation | None = None,
    state_calc: StateCalc | None = None,
    zone: str = UTC_NAME,
) -> Query:
    """Values that are computed for cycles of a range, tag by tag, oldest first."""
    states = mode in STATES
    conditions = [
        f"TagName IN ({placeholders(len(tags))})", "DateTime >= %s", "DateTime < %s",
        f"wwRetrievalMode = '{mode}'", f"wwVersion = '{version}'", f"wwTimeZone = {literal(zone)}",
        *cycles.conditions(),
    ]  # fmt: skip
    for column, value in (
        ("wwQualityRule", quality_rule), ("wwTimeStampRule", timestamp_rule),
        ("wwInterpolationType", interpolation), ("wwStateCalc", state_calc),
    ):  # fmt: skip
        if value is not None:
            conditions.append(f"{column} = '{value}'")
    columns = _STATE_VALUES if states else _VALUES
    sql = f"SELECT {columns} FROM History WHERE {' AND '.join(conditions)} ORDER BY DateTime"  # noqa: S608 (words and numbers of ours; names are bound)
    return Query(sql, (*tags, moment(start), moment(end)))


def summaries(
    tags: Sequence[str], start: int, end: int, cycles: Cycles, *, zone: str = UTC_NAME
) -> Query:
    """Minimum, maximum, average and so on of each cycle."""
    conditions = [
        f"TagName IN ({placeholders(len(tags))})", "StartDateTime >= %s", "EndDateTime <= %s",
        f"wwTimeZone = {literal(zone)}", "wwVersion = 'Latest'", *cycles.conditions(),
    ]  # fmt: skip
    sql = (
        f"SELECT {_SUMMARIES} FROM AnalogSummaryHistory WHERE {' AND '.join(conditions)} "  # noqa: S608 (as above)
        "ORDER BY StartDateTime"
    )
    return Query(sql, (*tags, moment(start), moment(end)))


def live(tags: Sequence[str], *, zone: str = UTC_NAME) -> Query:
    """The newest value of each tag."""
    sql = (
        f"SELECT {_VALUES} FROM Live WHERE TagName IN ({placeholders(len(tags))}) "  # noqa: S608 (as above)
        f"AND wwTimeZone = {literal(zone)}"
    )
    return Query(sql, tuple(tags))


def tags(where: str = "", parameters: tuple[Any, ...] = ()) -> Query:
    """What is known of tags."""
    sql = (
        "SELECT t.TagName, t.TagType, t.AcquisitionType, t.Description, a.RawType, e.Unit "  # noqa: S608 (conditions of ours)
        "FROM Tag t LEFT JOIN AnalogTag a ON a.TagName = t.TagName "
        f"LEFT JOIN EngineeringUnit e ON e.EUKey = a.EUKey {where}ORDER BY t.TagName"
    )
    return Query(sql, parameters)


def tags_called(names: Sequence[str]) -> Query:
    """What is known of these tags."""
    return tags(f"WHERE t.TagName IN ({placeholders(len(names))}) ", tuple(names))


def tags_like(pattern: str) -> Query:
    """What is known of the tags whose names fit: '*' for any characters, else a beginning."""
    if not pattern:
        return tags()
    escaped = "".join(f"[{c}]" if c in "%_[" else c for c in pattern)
    text = escaped.replace("*", "%") if "*" in escaped else f"{escaped}%"
    return tags("WHERE t.TagName LIKE %s ", (text,))


def insert(
    database: str, sample: Sample, kind: int, *, now: bool = False, zone: str = UTC_NAME
) -> Query:
    """One value into a tag. Only the four-part name takes variables.

    Args:
        database: of the historian, 'Runtime'.
        sample: its value fits the tag.
        kind: Tag.TagType.
        now: stamped by the historian and part of its live stream; else as the latest version of
            that moment, which may be given again.
        zone: what UTC is called there.
    """
    table = "StringHistory" if kind == STRING else "History"
    quality = from_ua(sample.quality)
    when = () if now else (moment(sample.time),)
    sql = (
        f"INSERT INTO INSQL.[{database}].dbo.{table} "  # noqa: S608 (a checked name; values are bound)
        f"(DateTime, TagName, Value, OPCQuality, wwTimeZone, wwVersion) "
        f"VALUES ({'NULL' if now else '%s'}, %s, %s, {quality}, {literal(zone)}, "
        f"'{'REALTIME' if now else 'LATEST'}')"
    )
    value = None if sample.value is None else stored_value(sample.value, kind)
    return Query(sql, (*when, sample.tag, value))


def create(name: str, value: Value, description: str) -> Query:
    """A tag for values that are inserted (stored procedures aa...TagInsert)."""
    if isinstance(value, str):
        sql = (
            "EXEC aaStringTagInsert @TagName = %s, @Description = %s, @AcquisitionType = 2, "
            f"@StorageType = 3, @MaxLength = {LONGEST_TEXT}, @DoubleByte = 1"
        )
    else:
        sql = (
            "EXEC aaAnalogTagInsert @TagName = %s, @Description = %s, @AcquisitionType = 2, "
            "@StorageType = 3, @RawType = 4, @MinEU = -1e9, @MaxEU = 1e9, @MinRaw = -1e9, "
            "@MaxRaw = 1e9, @Scaling = 0"
        )
    return Query(sql, (name, description))


# ---- what it means -----------------------------------------------------------------------------


def about(row: Mapping[str, Any]) -> About:
    """A row of `tags`."""
    return About(
        str(row["TagName"]), int(row["TagType"]), row["AcquisitionType"] == BY_HAND,
        row["RawType"] == _INTEGER, str(row["Unit"] or ""), str(row["Description"] or ""),
    )  # fmt: skip


def as_tag(known: About | None, name: str, source: str, address: str) -> Tag:
    """What the tag table is told of a tag."""
    return Tag(
        name=name, source=source, address=address,
        unit=known.unit if known is not None else "",
        description=known.description if known is not None else "",
    )  # fmt: skip


def quality(row: Mapping[str, Any]) -> int:
    """The quality of a row: of its source where that is known, else what the historian says."""
    detail, classic = row.get("QualityDetail"), row.get("OPCQuality")
    if detail == _NO_DATA:
        return int(Quality.BAD_NO_DATA)
    if detail == _DISCONNECTED:
        return int(Quality.BAD_NO_COMMUNICATION)
    if classic is not None:
        return to_ua(int(classic))
    return int(_QUALITIES.get(int(row.get("Quality") or 0), Quality.UNCERTAIN))


def sample(row: Mapping[str, Any], tag: About | None, name: str) -> Sample | None:
    """A row of History or Live; None for the value before the start that comes with it.

    Args:
        row: as it was answered.
        tag: what is known of it.
        name: of the sample.
    """
    if row["Quality"] == _INITIAL:
        return None
    return Sample(name, _value(row, tag), _time(row["DateTime"]), quality(row))


def computed(row: Mapping[str, Any], name: str) -> Sample:
    """A row that was computed: a number whatever the type of the tag, at a boundary of a cycle."""
    value = row["Value"]
    shown: Value = row["vValue"] if value is None else value
    return Sample(name, shown, _time(row["DateTime"]), quality(row))


def _time(when: datetime) -> int:
    return to_ns(when.replace(tzinfo=UTC))


def _value(row: Mapping[str, Any], tag: About | None) -> Value:
    number = row["Value"]
    if tag is not None and tag.kind == STRING:
        return None if row["vValue"] is None else str(row["vValue"])
    if number is None:
        return None if tag is not None or row["vValue"] is None else str(row["vValue"])
    kind = tag.type if tag is not None else None
    if kind == "bool":
        return bool(number)
    return int(number) if kind == "int" and float(number).is_integer() else float(number)


def stored_value(value: Value, kind: int) -> float | str:
    """A value as a tag of this kind takes it.

    Raises:
        DataError: it does not fit exactly.
    """
    if kind == STRING:
        if not isinstance(value, str):
            raise DataError(f"{value!r} is no text, and the tag is one of texts")
        if len(value) > LONGEST_TEXT:
            raise DataError(f"a text of {len(value)} characters; {LONGEST_TEXT} are stored")
        return value
    if isinstance(value, str) or value is None:
        raise DataError(f"{value!r} is no number, and the tag is one of numbers")
    if kind == DISCRETE and value not in (0, 1):
        raise DataError(f"{value!r} is neither 0 nor 1, and the tag is a discrete one")
    number = float(value)
    if not math.isfinite(number):
        raise DataError(f"{value!r} is no number that is stored")
    return number
