"""MQTT messages whose values lie deeper in JSON, found by paths.

A path names the value of a tag, another its time, another its quality. Where the payload is a list
of things alike, `items` leads to each of them, and the other paths begin there:

    {"metrics": [{"name": "o2", "value": 3.1, "at": 1735689600, "state": "Good"}]}

    items: $.metrics[*]       tag '{1}.{key}'    key $.name    value $.value    time $.at

Nothing that arrives disappears without a trace: what cannot be read, and what no path leads to, is
a bad sample on the tag that belongs to the topic. A quality or a time that cannot be read makes the
value uncertain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from gl002.errors import DataError
from gl002.model import Quality, Sample, is_bad
from gl002.wire.json_path import Path
from gl002.wire.json_payload import TimeUnit, decode, timestamp
from gl002.wire.mqtt_payload import Names, naming, sample_of
from gl002.wire.mqtt_topic import Template

QualityForm: TypeAlias = Literal["words", "opc_ua", "opc_da"]

_MOST_VALUES = 10_000  # of one message
_WORDS = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN, "bad": Quality.BAD} | {
    code.name.replace("_", "").lower(): code for code in Quality
}
_STATUS_CODES = 1 << 32
_OPC_DA = {3: Quality.GOOD, 1: Quality.UNCERTAIN, 0: Quality.BAD}  # bits 6 and 7
_LARGEST_DA = 0xFFFF


class Value(NamedTuple):
    """Where the values of one kind of tag lie."""

    tag: Template
    path: Path


class _Place(NamedTuple):
    """A part of a payload with a time and a quality of its own."""

    root: Any
    key: str
    moment: int
    quality: int
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDecoder:
    """Makes samples of messages. Pure: what the clock says comes in as an argument.

    Attributes:
        filters: the topic filters subscribed to; the first that covers a topic names its tags.
        values: tags and where their values lie; `{key}` is what the wildcards of the path stand
            for, behind the name of the item.
        items: where the things alike lie, for whom all other paths begin anew; None for one.
        key: in an item, its name; None for what the wildcards of `items` stand for.
        time: of the values, or of an item; None for the arrival.
        time_unit: how that time is written.
        quality: of the values, or of an item; None for good.
        quality_form: 'words' (Good, Uncertain, BadSensorFailure ..., or true and false), status
            codes of OPC UA, or quality numbers of OPC DA: 0 is good in one and bad in the other.
        prefix: put before each tag.
    """

    filters: tuple[str, ...]
    values: Sequence[Value]
    items: Path | None = None
    key: Path | None = None
    time: Path | None = None
    time_unit: TimeUnit = "iso"
    quality: Path | None = None
    quality_form: QualityForm = "words"
    prefix: str = ""

    @property
    def units(self) -> Mapping[str, str]:
        """None: these payloads tell no units."""
        return {}

    def samples(
        self, topic: str, payload: bytes, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        """The samples of one message, and what was wrong with it ('' where nothing was).

        Args:
            topic: it came under.
            payload: as it came.
            retained: whether it is what the broker had kept for new subscribers; without a time
                in it, its values are uncertain.
            received: when it arrived, nanoseconds UTC.
        """
        named = naming(self.filters, topic)
        try:
            return self._read(decode(payload), named, retained=retained, received=received)
        except DataError as error:
            unread = Sample(
                named(None, "", self.prefix), None, received, Quality.BAD_DECODING_ERROR
            )
            return [unread], str(error)

    def _read(
        self, content: Any, named: Names, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        samples: dict[tuple[str, int], Sample] = {}
        trouble = ""
        for place in self._places(content, retained=retained, received=received):
            for tag, item in self._values(place, named):
                sample = (
                    Sample(tag, None, place.moment, place.quality)
                    if is_bad(place.quality)
                    else sample_of(tag, item, place.moment, place.quality)
                )
                known = samples.setdefault((tag, place.moment), sample)
                trouble = trouble or place.trouble
                if known is not sample and known != sample:
                    # Two values of one tag at one time: which one is true, nobody can say.
                    samples[tag, place.moment] = Sample(tag, None, place.moment, Quality.BAD)
                    trouble = f"two values for '{tag}'"
                if len(samples) > _MOST_VALUES:
                    raise DataError(f"more than {_MOST_VALUES} values in a message")
        if not samples:
            raise DataError("no path leads to a value in it")
        return list(samples.values()), trouble

    def _places(self, content: Any, *, retained: bool, received: int) -> Iterator[_Place]:
        items = self.items.find(content) if self.items is not None else [((), content)]
        for stars, root in items:
            key = ".".join(stars)
            if self.key is not None:
                key = _word(_only(self.key, root), self.key)
            moment, quality, trouble = self._moment(root, retained=retained, received=received)
            if self.quality is not None:
                told, why = self._quality(root)
                quality = told if told >> 30 >= quality >> 30 else quality
                trouble = trouble or why
            yield _Place(root, key, moment, quality, trouble)

    def _moment(self, root: Any, *, retained: bool, received: int) -> tuple[int, int, str]:
        """Time of the values, the quality that it leaves, and what was wrong with it."""
        if self.time is None:
            old = Quality.UNCERTAIN_LAST_USABLE_VALUE if retained else Quality.GOOD
            return received, old, ""
        try:
            return timestamp(_only(self.time, root), self.time_unit), Quality.GOOD, ""
        except DataError as error:
            return received, Quality.UNCERTAIN, f"{self.time.text}: {error}"

    def _quality(self, root: Any) -> tuple[int, str]:
        assert self.quality is not None
        given = _only(self.quality, root)
        found = _READ_QUALITY[self.quality_form](given)
        if found is not None:
            return found, ""
        why = f"{self.quality.text}: {str(given)[:40]!r} is no quality in '{self.quality_form}'"
        return Quality.UNCERTAIN, why

    def _values(self, place: _Place, named: Names) -> Iterator[tuple[str, Any]]:
        for value in self.values:
            for stars, item in value.path.find(place.root):
                key = ".".join(part for part in (place.key, *stars) if part)
                yield named(value.tag, key, self.prefix), item


def _only(path: Path, root: Any) -> Any:
    """What a path without wildcards leads to; None for nothing."""
    return next((value for _, value in path.find(root)), None)


def _word(value: Any, path: Path) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    raise DataError(f"{path.text}: {str(value)[:40]!r} is no name")


def _in_words(given: Any) -> int | None:
    if isinstance(given, bool):
        return Quality.GOOD if given else Quality.BAD
    if not isinstance(given, str):
        return None
    return _WORDS.get(given.replace("_", "").replace(" ", "").lower())


def _in_opc_ua(given: Any) -> int | None:
    fits = isinstance(given, int) and not isinstance(given, bool) and 0 <= given < _STATUS_CODES
    return given if fits and given >> 30 <= 2 else None  # noqa: PLR2004 (3 is reserved)


def _in_opc_da(given: Any) -> int | None:
    """Source: OPC Data Access 3.0, section 6.8: the two upper bits of the lower byte."""
    fits = isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _LARGEST_DA
    return _OPC_DA.get(given >> 6 & 3) if fits else None


_READ_QUALITY = {"words": _in_words, "opc_ua": _in_opc_ua, "opc_da": _in_opc_da}
