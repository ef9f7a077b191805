"""Topics of MQTT: which filter matches, safe levels from any text, and templates.

>>> matches("boiler/+/data", "boiler/001/data")
True
>>> level("steam/flow #1")
'steam%2Fflow %231'
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence

from gl002.errors import ConfigError, DataError

LONGEST_TOPIC = 65_535  # bytes of UTF-8 (MQTT 5.0, section 1.5.4)
_LONGEST_LEVEL = 255  # bytes; brokers and databases behind them have limits of their own
_SPECIAL = "+#/$%"
_SHARED = "$share/"


def check_name(topic: str) -> str:
    """The topic, if a message can be published to it (MQTT 5.0, section 4.7).

    Raises:
        ConfigError: it is empty, too long, or holds a wildcard or a character MQTT forbids.
    """
    _check_text(topic, "topic")
    if "+" in topic or "#" in topic:
        raise ConfigError(f"the topic '{topic}' holds a wildcard", hint="publish to one topic")
    return topic


def check_filter(pattern: str) -> str:
    """The topic filter, if it can be subscribed to (MQTT 5.0, sections 4.7.1 and 4.8.2).

    Raises:
        ConfigError: a wildcard stands beside other characters or '#' is not last; or as
            `check_name`.
    """
    _check_text(pattern, "topic filter")
    levels = inner_filter(pattern).split("/")
    for i, part in enumerate(levels):
        misplaced = len(part) > 1 or (part == "#" and i < len(levels) - 1)
        if ("+" in part or "#" in part) and misplaced:
            raise ConfigError(
                f"the topic filter '{pattern}' is not valid",
                hint="'+' stands for one whole level, '#' for all further ones and comes last",
            )
    return pattern


def filters_of(topics: str | Sequence[str]) -> Sequence[str]:
    """One topic filter or several, as a list."""
    return [topics] if isinstance(topics, str) else list(topics)


def _check_text(topic: str, what: str) -> None:
    if not topic or "\0" in topic:
        raise ConfigError(f"the {what} '{topic!r}' is empty or holds a NUL")
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        raise ConfigError(f"the {what} {topic!r} is no valid text") from None
    if size > LONGEST_TOPIC:
        raise ConfigError(f"the {what} '{topic[:40]}...' is longer than {LONGEST_TOPIC} bytes")


def inner_filter(pattern: str) -> str:
    """The filter of a shared subscription ('$share/group/filter'), any other as it is."""
    return pattern.split("/", 2)[-1] if pattern.startswith(_SHARED) else pattern


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter covers a topic (MQTT 5.0, section 4.7)."""
    return wildcards(pattern, topic) is not None


def wildcards(pattern: str, topic: str) -> list[str] | None:
    """The levels of `topic` that the wildcards of `pattern` stand for; None where it differs.

    >>> wildcards("boiler/+/#", "boiler/001/flue/o2")
    ['001', 'flue', 'o2']
    """
    wanted, levels = inner_filter(pattern).split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return None
    found: list[str] = []
    for i, part in enumerate(wanted):
        if part == "#":
            return found + levels[i:]
        if i >= len(levels) or part not in {"+", levels[i]}:
            return None
        if part == "+":
            found.append(levels[i])
    return found if len(wanted) == len(levels) else None


def level(text: str) -> str:
    """Any text as one level of a topic: what has a meaning there is percent-encoded.

    Raises:
        DataError: empty, or longer than 255 bytes when encoded.
    """
    safe = readable(text, _SPECIAL)
    if not safe or len(safe.encode()) > _LONGEST_LEVEL:
        raise DataError(f"'{text[:40]}' is empty or too long for a level of a topic")
    return safe


def readable(text: str, also: str = "") -> str:
    """The text with characters that do not print, and those in `also`, percent-encoded."""
    if text.isprintable() and not (also and set(text).intersection(also)):
        return text
    return "".join(c if c.isprintable() and c not in also else _encoded(c) for c in text)


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


class Template:
    """Text with fields in braces, 'plant/{tag}'; '{{' is a plain brace.

    Args:
        text: the template.
        known: whether a field may be used.
        names: the fields that may be used, for messages.

    Attributes:
        fields: those it uses.

    Raises:
        ConfigError: a field is not known, or the braces do not fit.
    """

    def __init__(self, text: str, known: Callable[[str], object], names: str) -> None:
        self.text = text
        self._parts: list[tuple[str, str | None]] = []
        try:
            for literal, name, form, conversion in string.Formatter().parse(text):
                if form or conversion or (name is not None and not known(name)):
                    raise ConfigError(f"'{text}' has an unknown field", hint=f"known: {names}")
                self._parts.append((literal, name))
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"'{text}' is no template: {error}") from None
        self.fields = frozenset(name for _, name in self._parts if name is not None)

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every field replaced.

        Raises:
            KeyError: `values` lacks a field.
        """
        return "".join(text + (values[name] if name else "") for text, name in self._parts)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


IS_POSITION = re.compile(r"^[1-9][0-9]?$").match
"""Whether a field is the number of a wildcard: '1', '2'."""
