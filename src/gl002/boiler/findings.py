"""What is wrong with a reading, in one form for every check."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """Something wrong with a reading.

    Attributes:
        check: name of the check, 'stuck'.
        role: the role it is about.
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
