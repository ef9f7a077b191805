"""What a report is made of, before it has a form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading.

    Attributes:
        text: what it says.
        level: 1 for a boiler, 2 for what is said about it.
    """

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or several."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences one below the other."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        columns: headings.
        rows: texts, as many as there are columns; numbers are already written out.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart.

    Attributes:
        svg: a whole SVG document.
        caption: what it shows, for those who cannot see it, too.
    """

    svg: str
    caption: str


Block: TypeAlias = Heading | Paragraph | Items | Grid | Picture


@dataclass(slots=True)
class Page:
    """A report.

    Attributes:
        title: of the whole.
        subtitle: period and place.
        blocks: from top to bottom.
    """

    title: str
    subtitle: str
    blocks: list[Block] = field(default_factory=list)
