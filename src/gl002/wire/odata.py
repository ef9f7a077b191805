"""OData as SAP Gateway speaks it: versions 2 and 4, in JSON (OData 2.0 and 4.0 protocol).

An entity is a dict of its fields; times of version 2, '/Date(1732579200000)/' and 'PT10H11M12S',
become ISO 8601 text, as version 4 writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import msgspec

from gl002.errors import RequestFailed

Version: TypeAlias = Literal[2, 4]

_DATE = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/\Z")
_DURATION = re.compile(r"PT(?=\d)(?:(\d{1,2})H)?(?:(\d{1,2})M)?(?:(\d{1,2})(?:\.\d+)?S)?\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT = "T00:00:00"


@dataclass(frozen=True, slots=True)
class Entity:
    """What a service knows about one thing.

    Attributes:
        fields: by name; of another entity within it, only what was expanded.
        etag: of this state, to change it only if it is still so; '' where the service has none.
    """

    fields: Mapping[str, Any]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The words of an error.

    Attributes:
        code: of SAP, 'IM/100', '/IWFND/MED/170'.
        message: for people.
    """

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" if self.code else self.message


def literal(text: str) -> str:
    """Text within a filter or a key: quotes doubled."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def key_path(entity_set: str, value: str) -> str:
    """The path of an entity with one key, percent-encoded."""
    return f"{entity_set}({quote(literal(value), safe=chr(39))})"


def entity(body: object) -> Entity:
    """One entity, out of either version's envelope.

    Raises:
        RequestFailed: it is none.
    """
    inner = body.get("d", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        raise RequestFailed("an answer of OData that is no entity")
    return _entity(inner)


def entities(body: object) -> list[Entity]:
    """The entities of a collection.

    Raises:
        RequestFailed: it is none.
    """
    inner = body.get("d", body) if isinstance(body, dict) else None
    if isinstance(inner, dict):
        inner = inner.get("results", inner.get("value"))
    if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
        raise RequestFailed("an answer of OData that is no collection")
    return [_entity(one) for one in inner]


def _entity(raw: Mapping[str, Any]) -> Entity:
    meta = raw.get("__metadata")
    etag = meta.get("etag", "") if isinstance(meta, dict) else raw.get("@odata.etag", "")
    fields = {
        name: _field(value)
        for name, value in raw.items()
        if name != "__metadata" and not name.startswith(("@", "SAP__")) and not _deferred(value)
    }
    return Entity(fields, str(etag or ""))


def _deferred(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"__deferred"}


def _field(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("results"), list):
            return [_field(one) for one in value["results"]]
        return dict(_entity(value).fields)
    if isinstance(value, list):
        return [_field(one) for one in value]
    return _time_of(value) if isinstance(value, str) else value


def _time_of(text: str) -> str:
    """ISO 8601 for what version 2 writes as a time; anything else as it is."""
    if match := _DATE.match(text):
        try:
            moment = _EPOCH + timedelta(milliseconds=int(match[1]))
        except OverflowError:
            return text
        iso = moment.replace(tzinfo=None).isoformat()
        if match[2] is not None:
            return f"{iso}+00:00"
        return iso.removesuffix(_MIDNIGHT)
    if text.startswith("PT") and (match := _DURATION.match(text)):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return f"{hours:02}:{minutes:02}:{seconds:02}"
    return text


def date_field(day: date, version: Version) -> str:
    """A day as a property of a request."""
    if version == 4:  # noqa: PLR2004 (a version)
        return date(day.year, day.month, day.day).isoformat()  # a datetime is a date, too
    days = (date(day.year, day.month, day.day) - _EPOCH.date()).days
    return f"/Date({days * 86_400_000})/"


def moment_field(moment: datetime) -> str:
    """A point in time as an Edm.DateTimeOffset of version 2; without offset it is local time."""
    return f"/Date({round(moment.timestamp() * 1000)}+0000)/"


def time_field(moment: time, version: Version) -> str:
    """A time of day as a property of a request."""
    if version == 4:  # noqa: PLR2004 (a version)
        return f"{moment:%H:%M:%S}"
    return f"PT{moment:%H}H{moment:%M}M{moment:%S}S"


def refusal_in(body: bytes) -> Refusal | None:
    """The words of an error answer; None where it is not OData's."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return None
    said = [_words(error), *_details(error)]
    return Refusal(str(error.get("code", "")), "; ".join(dict.fromkeys(filter(None, said))))


def _words(error: Mapping[str, Any]) -> str:
    message = error.get("message", "")
    return str(message.get("value", "") if isinstance(message, dict) else message)


def _details(error: Mapping[str, Any]) -> list[str]:
    inner = error.get("innererror")
    details = error.get("details") or (inner.get("errordetails") if isinstance(inner, dict) else [])
    if not isinstance(details, list):
        return []
    return [_words(d) for d in details if isinstance(d, dict)]
