"""MQTT messages as samples: whose tag, which value, from when.

Nothing that arrives disappears without a trace: a payload that cannot be read is a bad sample
without a value, on the tag that belongs to its topic.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value
from gl002.wire.json_payload import LARGEST, TimeUnit, decode, encode, timestamp
from gl002.wire.mqtt_topic import IS_POSITION, Template, readable, wildcards

Format: TypeAlias = Literal["json", "raw"]
Reading: TypeAlias = tuple[Value, int]
Names: TypeAlias = Callable[[Template | None, str, str], str]

_NUMBER = re.compile(rb"^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*$")
_NO_NUMBERS = {b"nan", b"-nan", b"inf", b"-inf", b"+inf", b"infinity", b"-infinity", b"null", b""}
_WORDS = {b"true": True, b"false": False}
_LONGEST_TEXT = 4096  # characters of a text value
_LONGEST_TAG = 255  # characters
_INT64 = range(-(1 << 63), 1 << 63)


def payload_of(value: Any) -> bytes:
    """What is sent for a value: bytes and text as they are, nothing for None, else JSON.

    Raises:
        DataError: it has no JSON form, or is no valid text.
    """
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"no valid text: {error}") from None
    return encode(value)


def tag_template(text: str) -> Template:
    """The template of tags: `{1}`, `{2}` are what the wildcards of the filter stand for, `{key}`
    the key of a JSON object, `{topic}` the whole topic with dots between its levels.

    Raises:
        ConfigError: another field, or braces that do not fit.
    """  # noqa: D205 (the list of fields is one sentence)
    return Template(
        text,
        lambda field: field in {"key", "topic"} or IS_POSITION(field),
        "{1}, {2}, ... {key}, {topic}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """Makes samples of messages. Pure: what the clock says comes in as an argument.

    Attributes:
        filters: the topic filters subscribed to; the first that covers a topic names its tags.
        format: 'json' takes an object of values or one value, 'raw' one value as text.
        tag: how tags are named; None gives what the wildcards stand for and the key, dots between.
        prefix: put before each tag.
        keys: of a JSON object, only these; None takes all.
        time_key: of a JSON object, the key that holds the time of its values.
        time_unit: how that time is written.
    """

    filters: tuple[str, ...]
    format: Format = "json"
    tag: Template | None = None
    prefix: str = ""
    keys: frozenset[str] | None = None
    time_key: str | None = None
    time_unit: TimeUnit = "iso"

    @property
    def units(self) -> Mapping[str, str]:
        """None: these payloads tell no units."""
        return {}

    def samples(
        self, topic: str, payload: bytes, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        """The samples of one message, and what was wrong with it ('' where nothing was).

        A value whose time the payload does not tell has the time of its arrival; if the broker
        had kept it (`retained`), its true time is unknown and its quality is uncertain.

        Args:
            topic: it came under.
            payload: as it came.
            retained: whether it is what the broker had kept for new subscribers.
            received: when it arrived, nanoseconds UTC.
        """
        quality = Quality.UNCERTAIN_LAST_USABLE_VALUE if retained else Quality.GOOD
        try:
            value = _raw(payload) if self.format == "raw" else decode(payload)
            moment, stamped, trouble = received, int(quality), ""
            if self.time_key is not None:
                moment, stamped, trouble = self._time(value, received)
            samples = list(self._values(topic, value, moment, stamped))
        except DataError as error:
            unread = Sample(self.name(topic), None, received, Quality.BAD_DECODING_ERROR)
            return [unread], str(error)
        return samples, trouble

    def _time(self, value: object, received: int) -> tuple[int, int, str]:
        """Time and quality of a message's values; uncertain where its time cannot be read."""
        given = value.get(self.time_key) if isinstance(value, dict) else None
        try:
            return timestamp(given, self.time_unit), Quality.GOOD, ""
        except DataError as error:
            return received, Quality.UNCERTAIN, f"{self.time_key}: {error}"

    def _values(self, topic: str, value: object, moment: int, quality: int) -> Iterator[Sample]:
        if isinstance(value, dict) and self.format == "json":
            named = naming(self.filters, topic)
            for key, item in value.items():
                if key != self.time_key and (self.keys is None or key in self.keys):
                    tag = named(self.tag, key, self.prefix)
                    yield sample_of(tag, item, moment, quality)
        elif isinstance(value, list):
            raise DataError("a JSON list: an object of values or one value is expected")
        elif self._names_by_key():
            raise DataError("one value without a key: the tag template asks for {key}")
        else:
            yield sample_of(self.name(topic), value, moment, quality)

    def _names_by_key(self) -> bool:
        return self.tag is not None and "key" in self.tag.fields

    def name(self, topic: str, key: str = "") -> str:
        """The tag of a value; without a key, the one that belongs to the topic."""
        return naming(self.filters, topic)(self.tag, key, self.prefix)


def naming(filters: Sequence[str], topic: str) -> Names:
    """How the values of a topic are named.

    Returns:
        Gives the tag of a template (None for what the wildcards stand for and the key, dots
        between), of a key ('' for the tag that belongs to the topic), and of a prefix.
    """
    found = next((w for f in filters if (w := wildcards(f, topic)) is not None), [])
    whole = topic.replace("/", ".")

    def name(template: Template | None, key: str, prefix: str) -> str:
        if template is not None:
            fields = dict.fromkeys(template.fields, "")
            fields |= {str(i): part for i, part in enumerate(found, start=1)}
            made = template.fill(fields | {"key": key, "topic": whole}).strip(".")
        else:
            made = ".".join([*found, key] if key else found)
        return bounded(readable(prefix + (made or whole)))

    return name


def bounded(name: str) -> str:
    """A name of bounded length; a longer one ends in a digest, so that two stay two."""
    if len(name) <= _LONGEST_TAG:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{name[: _LONGEST_TAG - len(digest) - 1]}~{digest}"


def sample_of(tag: str, item: object, moment: int, quality: int) -> Sample:
    """A value of a payload as a sample; what is no value of ours is bad, and says how."""
    value, own = _reading(item)
    return Sample(tag, value, moment, own or quality)


def _reading(item: object) -> Reading:
    """A value of a payload as ours, and its quality where that says more than the message's."""
    if item is None or (isinstance(item, float) and not math.isfinite(item)):
        return None, Quality.BAD_NO_DATA
    if isinstance(item, bool | float):
        return item, Quality.GOOD
    if isinstance(item, int):
        return (item, Quality.GOOD) if item in _INT64 else (None, Quality.BAD_OUT_OF_RANGE)
    if isinstance(item, str):
        fits = len(item) <= _LONGEST_TEXT
        return (item, Quality.GOOD) if fits else (None, Quality.BAD_OUT_OF_RANGE)
    return None, Quality.BAD_TYPE_MISMATCH


def _raw(payload: bytes) -> Any:
    """One value written as text: a number, true or false, else the text itself."""
    if len(payload) > LARGEST:
        raise DataError(f"{len(payload)} bytes: at most {LARGEST} are read")
    word = payload.strip().lower()
    if word in _NO_NUMBERS:
        return None
    if word in _WORDS:
        return _WORDS[word]
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"no text in UTF-8: {error.reason}") from None
    return _number(text) if _NUMBER.match(payload) and len(payload) < _LONGEST_TEXT else text


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
