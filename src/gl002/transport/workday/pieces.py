"""A report cut into pieces by one of its prompts, since reports have no pages.

Workday runs a report at once, for at most 30 minutes and 2 GB. What narrows it are its prompts: two
that bound a date, or one that takes a value: an organization, a company. Each piece is a report of
its own; one that is too much is halved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Protocol, Self

import msgspec
from pydantic import Field, field_validator, model_validator

from gl002.config.settings import Settings
from gl002.errors import RequestFailed

Row = Mapping[str, Any]

_MOST_KEYS = 1_000_000  # rows that are told apart


class Piece(Protocol):
    """A part of a report."""

    @property
    def prompts(self) -> Mapping[str, str]:
        """What asks for it."""

    def halves(self) -> Sequence[Piece]:
        """The same in two parts; none where it is the smallest already."""


@dataclass(frozen=True, slots=True)
class Days:
    """What falls on some days."""

    by: Dates
    first: date
    last: date

    @property
    def prompts(self) -> Mapping[str, str]:
        """Both bounds; the first one reaches back by the overlap, though not before all days."""
        begin = max(self.by.first, self.first - timedelta(self.by.overlap))
        return {self.by.from_: begin.isoformat(), self.by.to: self.last.isoformat()}

    def halves(self) -> Sequence[Days]:
        """Each at least `shortest` days long."""
        days = (self.last - self.first).days + 1
        if days < 2 * self.by.shortest:
            return ()
        middle = self.first + timedelta(days // 2)
        return (Days(self.by, self.first, middle - timedelta(1)), Days(self.by, middle, self.last))


@dataclass(frozen=True, slots=True)
class OneValue:
    """What belongs to one value of a prompt."""

    prompt: str
    value: str

    @property
    def prompts(self) -> Mapping[str, str]:
        """That prompt."""
        return {self.prompt: self.value}

    def halves(self) -> Sequence[Piece]:
        """None: it is one value."""
        return ()


class Dates(Settings):
    """Pieces of a report by two prompts that bound a date; both days belong to the piece."""

    from_: str = Field(min_length=1, alias="from", description="Prompt of the first day.")
    to: str = Field(min_length=1, description="Prompt of the last day.")
    first: date = Field(description="First day of all.")
    last: date = Field(description="Last day of all.")
    days: int = Field(31, ge=1, le=3660, description="Of one piece, at first.")
    shortest: int = Field(1, ge=1, description="Days below which a piece is not halved.")
    overlap: int = Field(
        0, ge=0, le=366, description="Days that a piece reaches back into the one before it."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"'first' ({self.first}) is after 'last' ({self.last})")
        if self.from_ == self.to:
            raise ValueError("'from' and 'to' are two prompts")
        return self

    def pieces(self) -> Iterator[Days]:
        """In the order of time."""
        first = self.first
        while first <= self.last:
            last = min(self.last, first + timedelta(self.days - 1))
            yield Days(self, first, last)
            first = last + timedelta(1)


class Values(Settings):
    """Pieces of a report by the values of one prompt: 'Organization!Organization_Reference_ID'."""

    prompt: str = Field(min_length=1, description="Its alias, with the type of ID where it has one")
    values: list[str] = Field(min_length=1, max_length=10_000, description="One piece each.")

    @field_validator("values")
    @classmethod
    def _once(cls, values: list[str]) -> list[str]:
        return list(dict.fromkeys(values))

    def pieces(self) -> Iterator[OneValue]:
        """In the order of the values."""
        for value in self.values:
            yield OneValue(self.prompt, value)


class Whole:
    """A report in one piece."""

    prompts: Mapping[str, str] = {}

    def halves(self) -> Sequence[Piece]:
        """None: nothing is known to cut it by."""
        return ()


class Met:
    """Which rows came already, by the fields that tell them apart.

    Args:
        key: names of the fields; none: every row is a new one.
        report: for the message.
    """

    def __init__(self, key: Sequence[str], report: str) -> None:
        self._key = key
        self._report = report
        self._seen: set[bytes] = set()

    def new(self, rows: Sequence[Row]) -> list[Row]:
        """Those that did not come before.

        Raises:
            RequestFailed: a row has none of these fields, or there are too many rows to remember.
        """
        if not self._key:
            return list(rows)
        fresh = []
        for row in rows:
            digest = self._digest(row)
            if digest not in self._seen:
                self._seen.add(digest)
                fresh.append(row)
        if len(self._seen) > _MOST_KEYS:
            raise RequestFailed(
                f"{self._report}: more than {_MOST_KEYS} rows to tell apart",
                hint="read it in several calls",
            )
        return fresh

    def _digest(self, row: Row) -> bytes:
        values = [row.get(field) for field in self._key]
        if all(value is None for value in values):
            raise RequestFailed(
                f"{self._report}: a row without {', '.join(self._key)}; it has {_some(row)}",
                hint="'key' names columns by their XML alias in the report",
            )
        return blake2b(msgspec.json.encode(values), digest_size=16).digest()


def _some(row: Row) -> str:
    shown = [name[:60] for name in list(row)[:10]]
    return ", ".join(shown) + (", ..." if len(row) > len(shown) else "")
