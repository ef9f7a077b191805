"""What a BAPI says it did: BAPIRET2 and its forerunners, as a table or as one structure.

TYPE is S success, I information, W warning, E error, A abort, X exit (SAP Help, "Return
Parameter").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gl002.errors import Busy, GL002Error, RequestFailed

_FAILURES = frozenset("EAX")
_LOCKED = {("MC", "601")}  # "Object requested is currently locked by user"
_RETURNS = ("RETURN", "ET_RETURN", "RETURNMESSAGES")


class Message(NamedTuple):
    """One line of a return parameter."""

    type: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.text or 'no text'} ({self.code})" if self.code else self.text


def messages(result: Mapping[str, Any]) -> list[Message]:
    """All lines of a result's return parameters, in their order."""
    return [
        Message(str(line.get("TYPE", "")), _code(line), str(line.get("MESSAGE", "")).strip())
        for line in _lines(result)
        if str(line.get("TYPE", "")).strip()
    ]


def _lines(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _RETURNS:
        found = result.get(name)
        lines = found if isinstance(found, list) else [found]
        yield from (line for line in lines if isinstance(line, Mapping))


def _code(line: Mapping[str, Any]) -> str:
    number = str(line.get("NUMBER", "")).strip()
    return f"{str(line.get('ID', '')).strip()} {number}".strip() or str(line.get("CODE", ""))


def failure(said: list[Message], what: str) -> GL002Error | None:
    """The error that the messages stand for, or None.

    Args:
        said: of a result.
        what: the function, for the message.
    """
    failed = [message for message in said if message.type in _FAILURES]
    if not failed:
        return None
    text = "; ".join(str(message) for message in failed)
    locked = any(tuple(message.code.split()) in _LOCKED for message in failed)
    return Busy(f"{what}: {text}") if locked else RequestFailed(f"{what}: {text}")


def warnings(said: list[Message]) -> list[str]:
    """What was done and should be known nevertheless."""
    return [str(message) for message in said if message.type == "W"]
