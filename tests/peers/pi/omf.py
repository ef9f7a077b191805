"""The OMF endpoint of PI Web API: types, containers that make points, values with their quality.

Source: "OMF with PI Web API" (AVEVA): Type, Container and Data messages, Message restrictions,
Quality mapping, Responses to OMF messages; Open Message Format 1.2, Headers and HTTP behaviours.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from peers.pi import times
from peers.pi.answers import Answer, Request
from peers.pi.archive import Archive, Event, Refused, system_state

_LARGEST = 192 * 1024
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_FORBIDDEN = set("*?;{}[]\\'\"|`")
_POINT_TYPES = {
    ("number", ""): "Float64", ("number", "float64"): "Float64", ("number", "float32"): "Float32",
    ("string", ""): "String", ("integer", ""): "Int32", ("integer", "int32"): "Int32",
    ("integer", "uint32"): "Float64",
}  # fmt: skip
_UNCERTAIN, _BAD = 0x4000_0000, 0x8000_0000


class _NotTaken(Exception):
    """Why a message is refused."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


class Omf:
    """What the endpoint knows: types and containers."""

    def __init__(self, base: Archive) -> None:
        self._base = base
        self._types: dict[str, dict[str, Any]] = base.kept("omf type")
        self._containers: dict[str, dict[str, Any]] = base.kept("omf container")

    def handle(self, request: Request) -> Answer:
        try:
            kind, messages = self._read(request)
        except _NotTaken as error:
            return _answer([(None, error)])
        take = {"type": self._type, "container": self._container, "data": self._data}[kind]
        refused: list[tuple[int | None, _NotTaken]] = []
        for index, message in enumerate(messages):
            try:
                take(message)
            except _NotTaken as error:
                refused.append((index, error))
            except Refused as error:
                refused.append((index, _NotTaken(error.status, str(error))))
        return _answer(refused) if refused else _answer([], 202 if kind == "data" else 201)

    def _read(self, request: Request) -> tuple[str, list[Any]]:
        given = {name.lower(): value.lower() for name, value in request.headers.items()}
        allowed = {
            "messagetype": {"type", "container", "data"}, "action": {"create"},
            "messageformat": {"json"}, "omfversion": {"1.0", "1.1", "1.2"},
        }  # fmt: skip
        for name, values in allowed.items():
            if given.get(name) not in values:
                raise _NotTaken(400, f"The header '{name}' is missing or not supported.")
        if len(json.dumps(request.body)) > 2 * _LARGEST or request.size > _LARGEST:
            raise _NotTaken(413, "The body of the message is too large.")
        if not isinstance(request.body, list) or not request.body:
            raise _NotTaken(400, "The body is not an array of messages.")
        return given["messagetype"], request.body

    # ---- messages ---------------------------------------------------------------------------

    def _type(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("id"), str):
            raise _NotTaken(400, "A type has an 'id'.")
        if message.get("classification") != "dynamic" or message.get("type") != "object":
            raise _NotTaken(400, "Only dynamic types are kept here.")
        properties = message.get("properties", {})
        indexes = [p for p in properties.values() if p.get("isindex")]
        if [(p.get("type"), p.get("format")) for p in indexes] != [("string", "date-time")]:
            raise _NotTaken(400, "A dynamic type has exactly one index, a date-time.")
        for one in properties.values():
            known = (one.get("type"), one.get("format", "")) in _POINT_TYPES
            if not known and not one.get("isindex"):
                raise _NotTaken(400, f"The type/format combination of {one} is not supported.")
        there = self._types.get(message["id"].lower())
        if there is not None and there != message:
            raise _NotTaken(409, "A type with this ID exists and is another one.")
        self._types[message["id"].lower()] = message
        self._base.keep("omf type", message["id"].lower(), message)

    def _container(self, message: Any) -> None:
        name, type_id = (message.get(key) if isinstance(message, dict) else None
                         for key in ("id", "typeid"))  # fmt: skip
        if not isinstance(name, str) or not isinstance(type_id, str):
            raise _NotTaken(400, "A container has an 'id' and a 'typeid'.")
        unknown = set(message) - {"id", "typeid", "name", "description", "datasource"}
        if unknown or any(_FORBIDDEN & set(str(value)) for value in message.values()):
            raise _NotTaken(400, "The container has keywords or characters that are not allowed.")
        found = self._types.get(type_id.lower())
        if found is None:
            raise _NotTaken(404, f"A type definition with the ID '{type_id}' does not exist.")
        kind = self._value_of(found)[1]
        there, point = self._containers.get(name.lower()), self._base.point(name)
        if there is not None and there["typeid"].lower() != type_id.lower():
            raise _NotTaken(409, f"The container '{name}' exists and has another type.")
        if point is not None and point.type != kind:
            raise _NotTaken(409, f"A PI point '{name}' exists and is a {point.type}.")
        if point is None:
            self._base.create(name, kind, descriptor=message.get("description", ""))
        self._containers[name.lower()] = message
        self._base.keep("omf container", name.lower(), message)

    def _data(self, message: Any) -> None:
        values = message.get("values") if isinstance(message, dict) else None
        if not isinstance(values, list) or not isinstance(message.get("containerid"), str):
            raise _NotTaken(400, "A data message has a 'containerid' and 'values'.")
        container = self._containers.get(message["containerid"].lower())
        point = self._base.point(message["containerid"])
        if container is None or point is None:
            raise _NotTaken(404, f"The container '{message['containerid']}' does not exist.")
        found = self._types[container["typeid"].lower()]
        events = [self._event(found, value) for value in values]
        for event in events:  # all of a message or none of it
            self._base.coerced(point, event.value)
        for event in events:
            self._base.update(point, event, "NoReplace")

    def _event(self, found: dict[str, Any], value: Any) -> Event:
        properties = found["properties"]
        name, kind = self._value_of(found)
        quality_name = next((n for n, p in properties.items() if p.get("isquality")), None)
        index = next(n for n, p in properties.items() if p.get("isindex"))
        if not isinstance(value, dict) or set(value) - set(properties) or index not in value:
            raise _NotTaken(400, f"The value {str(value)[:80]} does not have the type's form.")
        if not isinstance(value[index], str) or not _UTC.fullmatch(value[index]):
            raise _NotTaken(400, f"'{value[index]}' is not an ISO 8601 time in UTC.")
        given, quality = value.get(name), value.get(quality_name, 0) if quality_name else 0
        fits = isinstance(given, str) if kind == "String" else isinstance(given, int | float)
        if not fits or isinstance(given, bool):
            raise _NotTaken(400, f"'{str(given)[:80]}' is no {kind}.")
        if not isinstance(quality, int) or not 0 <= quality < 2**32:
            raise _NotTaken(400, f"The quality '{quality}' is no uint32.")
        tick = times.ticks(value[index])
        if quality >= _BAD:
            return Event(tick, system_state(255))
        return Event(tick, given, quality >= _UNCERTAIN)

    @staticmethod
    def _value_of(found: dict[str, Any]) -> tuple[str, str]:
        """Name and point type of the one property of a simple type."""
        names = [
            (name, one)
            for name, one in found["properties"].items()
            if not one.get("isindex") and not one.get("isquality")
        ]
        if len(names) != 1:
            raise _NotTaken(400, "Only simple types are kept here.")
        name, one = names[0]
        return name, _POINT_TYPES[one["type"], one.get("format", "")]


def _answer(refused: list[tuple[int | None, _NotTaken]], status: int = 400) -> Answer:
    """The response shell; of one kind of refusal its own status, else 400."""
    codes = {error.status for _, error in refused}
    messages = [
        {
            "MessageIndex": index,
            "Events": [
                {
                    "EventInfo": {
                        "Message": error.message, "Reason": error.reason or None,
                        "Suggestions": [], "EventCode": 5000, "Parameters": [],
                    },
                    "ExceptionInfo": None, "Severity": "Error", "InnerEvents": [],
                }
            ],
            "Status": {"Code": error.status, "HighestSeverity": "Error"},
        }
        for index, error in refused
    ]  # fmt: skip
    code = codes.pop() if len(codes) == 1 else status
    return Answer(code, {"OperationId": str(uuid.uuid4()), "Messages": messages})
