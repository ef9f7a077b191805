"""OMF messages for PI Web API: two simple dynamic types, a container for each tag, its values.

A type with one property besides time and quality is *simple*: the point is named like its
container. Quality goes along as an OPC UA status code, which PI Web API maps by its own table
(`DataQualitySchema: OPCUA`).

Source: Open Message Format 1.2; "OMF with PI Web API" (AVEVA), sections Type, Container and Data
messages, Quality mapping, Message restrictions, Responses to OMF messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from gl002.errors import DataError
from gl002.model import Sample, Value, is_bad
from gl002.wire.pi_time import to_text

VERSION: Final = "1.2"
LARGEST: Final = 192 * 1024
"""Bytes of a body (Open Message Format, HTTP behaviours)."""

NUMBER: Final = "gl002.number"
TEXT: Final = "gl002.text"

MessageType: TypeAlias = Literal["type", "container", "data"]
_EXACT = 2**53  # whole numbers up to here are exact in a double
_FORBIDDEN = frozenset("*?;{}[]\\'\"|`")
_ERROR = 400


def headers(message_type: MessageType) -> dict[str, str]:
    """Headers of a request with messages of one type."""
    return {
        "messagetype": message_type, "action": "create", "messageformat": "json",
        "omfversion": VERSION,
    }  # fmt: skip


def types() -> list[dict[str, Any]]:
    """The two types that every container here has."""
    return [_type(NUMBER, {"type": "number", "format": "float64"}), _type(TEXT, {"type": "string"})]


def _type(name: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": name, "classification": "dynamic", "type": "object",
        "metadata": {"DataQualitySchema": "OPCUA"},
        "properties": {
            "Time": {"type": "string", "format": "date-time", "isindex": True},
            "Value": dict(value),
            "Quality": {"type": "integer", "format": "uint32", "isquality": True},
        },
    }  # fmt: skip


def container(name: str, *, text: bool, description: str = "") -> dict[str, Any]:
    """A container, which makes the point of this name.

    Raises:
        DataError: PI takes no such name.
    """
    if not name or name[0].isspace() or _FORBIDDEN & set(name):
        raise DataError(f"'{name}' is no name of a PI point")
    found: dict[str, Any] = {"id": name, "typeid": TEXT if text else NUMBER}
    if description and not _FORBIDDEN & set(description):
        found["description"] = description
    return found


def carries(sample: Sample) -> bool:
    """Whether OMF can carry a sample: it has a value. A state in place of a value it cannot."""
    value = sample.value
    finite = not isinstance(value, float) or math.isfinite(value)
    return value is not None and finite and not is_bad(sample.quality)


def item(sample: Sample) -> dict[str, Any]:
    """A sample as a value of a data message.

    Raises:
        DataError: a whole number that PI cannot hold exactly.
    """
    return {
        "Time": to_text(sample.time), "Value": _plain(sample.value), "Quality": sample.quality,
    }  # fmt: skip


def _plain(value: Value) -> Value:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and abs(value) > _EXACT:
        raise DataError(f"{value} has more digits than PI keeps")
    return value


class Part(NamedTuple):
    """Values of one container in one message.

    Attributes:
        container: its id.
        places: of the samples in the batch.
        items: their values.
    """

    container: str
    places: Sequence[int]
    items: Sequence[Mapping[str, Any]]

    def message(self) -> dict[str, Any]:
        """As a data message."""
        return {"containerid": self.container, "values": list(self.items)}

    def halves(self) -> tuple[Part, Part]:
        """Both halves of it."""
        half = len(self.places) // 2
        return (
            Part(self.container, self.places[:half], self.items[:half]),
            Part(self.container, self.places[half:], self.items[half:]),
        )


def requests(parts: Iterable[Part], largest: int = LARGEST) -> Iterator[list[Part]]:
    """As many messages at a time as fit into a request; one that is too long alone is cut."""
    some: list[Part] = []
    room = largest - 2
    for part in _cut(parts, room):
        size = len(msgspec.json.encode(part.message())) + 1
        if some and size > room:
            yield some
            some, room = [], largest - 2
        some.append(part)
        room -= size
    if some:
        yield some


def _cut(parts: Iterable[Part], largest: int) -> Iterator[Part]:
    waiting = list(parts)[::-1]
    while waiting:
        part = waiting.pop()
        if len(part.places) > 1 and len(msgspec.json.encode(part.message())) > largest:
            waiting += part.halves()[::-1]
        else:
            yield part


class Refusal(NamedTuple):
    """What PI Web API says of one message it did not take."""

    status: int
    words: str

    @property
    def passing(self) -> bool:
        """Whether it may go well later."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.TOO_MANY_REQUESTS,
        }


def refusals(content: object) -> dict[int | None, Refusal]:
    """Index of each message that was refused -> why; None stands for the whole request."""
    messages = content.get("Messages") if isinstance(content, dict) else None
    found: dict[int | None, Refusal] = {}
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        status = message.get("Status")
        code = status.get("Code") if isinstance(status, dict) else None
        if isinstance(code, int) and code >= _ERROR:
            index = message.get("MessageIndex")
            words = "; ".join(_said(message.get("Events"))) or f"status {code}"
            found[index if isinstance(index, int) else None] = Refusal(code, words)
    return found


def _said(events: object, depth: int = 0) -> Iterator[str]:
    """What events of severity error say, inner ones too."""
    if not isinstance(events, list) or depth > 5:  # noqa: PLR2004 - nobody nests deeper
        return
    for event in events:
        if not isinstance(event, dict):
            continue
        info = event.get("EventInfo")
        if isinstance(info, dict) and event.get("Severity") in {"Error", "Critical", None}:
            yield " ".join(str(info[k]) for k in ("Message", "Reason") if info.get(k))
        yield from _said(event.get("InnerEvents"), depth + 1)
