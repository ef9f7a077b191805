"""What is wrong with a reading, in one form for every check."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

WHOLE: Final = ""
"""Role of what is about the boiler as a whole, and so about all its results."""


class Finding(NamedTuple):
    """Something wrong with a reading.

    Attributes:
        check: name of the check, 'stuck'.
        role: the role it is about, or `WHOLE`.
        quality: what the role's quality is from now on, an OPC UA status code.
        reason: a sentence for people.
    """

    check: str
    role: str
    quality: int
    reason: str


def said_of(role: str) -> str:
    """A role as people say it."""
    return role.replace("_", " ")


def about(findings: Iterable[Finding], roles: Container[str]) -> Iterator[Finding]:
    """Those that are about one of these roles, or about the boiler as a whole."""
    return (each for each in findings if each.role == WHOLE or each.role in roles)
