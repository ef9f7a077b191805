"""Names of tables and columns: checked, then quoted by the driver; never pasted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gl002.errors import DataError

if TYPE_CHECKING:
    from psycopg.sql import Identifier

_WORD = re.compile(r"[^\W\d]\w*")
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones without a word (NAMEDATALEN)


def checked_name(text: str) -> tuple[str, ...]:
    """A table, 'name' or 'schema.name', as its parts. Upper case is kept.

    Raises:
        DataError: it is none: letters, digits and '_', at most 63 bytes, no digit first.
    """
    parts = tuple(text.split(".", 1))
    for part in parts:
        _check(part, f"{text!r} is no name of a table")
    return parts


def checked_column(text: str) -> str:
    """A column. Upper case is kept.

    Raises:
        DataError: it is none, by the same rules.
    """
    _check(text, f"{text!r} is no name of a column")
    return text


def _check(word: str, message: str) -> None:
    if not _WORD.fullmatch(word) or len(word.encode()) > _LONGEST_NAME:
        raise DataError(
            message, hint=f"letters, digits and '_', no digit first, at most {_LONGEST_NAME} bytes"
        )


def identifier(*parts: str) -> Identifier:
    """A name as the driver quotes it. The only way a name gets into a statement."""
    from psycopg.sql import Identifier

    return Identifier(*parts)
