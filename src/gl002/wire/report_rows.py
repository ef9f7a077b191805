"""The rows of a Workday report, taken from its JSON while it arrives.

A report as a web service answers `{"Report_Entry": [{...}, {...}]}` with `format=json`: one object,
whose list may be long. Rows are read as soon as they are whole, so that what is not wanted any
more need not be waited for.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, NoReturn

from gl002.errors import RequestFailed

MIB = 1024 * 1024
_HEAD = re.compile(r'\s*\{\s*"Report_Entry"\s*:\s*\[')
_EMPTY = re.compile(r"\s*\{\s*\}\s*")
_BETWEEN = re.compile(r"[\s,]*")
_LONGEST_HEAD = 200  # characters before the first row
_LONGEST_ROW = MIB  # characters


class TooMuch(RequestFailed):
    """A report is larger than one may be, or took longer; less of it may come through."""


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"'{text}' is no number in JSON")


class ReportRows:
    """Rows out of the bytes of one answer.

    Args:
        most: rows.
        largest: bytes.
    """

    def __init__(self, *, most: int, largest: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._most = most
        self._largest = largest
        self._bytes = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_no_number)
        self._text = ""
        self._begun = self._done = False

    def take(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            TooMuch: there are more bytes, or rows, than there may be.
            RequestFailed: it is not what a report is.
        """
        self._bytes += len(data)
        if self._bytes > self._largest:
            raise TooMuch(f"more than {self._largest / MIB:g} MB")
        try:
            self._text += self._utf8.decode(data)
        except UnicodeDecodeError:
            raise _unreadable("it is no UTF-8") from None
        if self._begun or self._head():
            self._read()

    def end(self) -> list[dict[str, Any]]:
        """All rows, after the last bytes.

        Raises:
            RequestFailed: the answer ends within a row, or is none of a report.
        """
        if not self._done and (self._begun or _EMPTY.fullmatch(self._text) is None):
            raise _unreadable("it ends before its end")
        return self.rows

    def _head(self) -> bool:
        match = _HEAD.match(self._text)
        if match is None:
            if len(self._text) > _LONGEST_HEAD:
                raise _unreadable("it does not begin with its rows")
            return False
        self._text = self._text[match.end() :]
        self._begun = True
        return True

    def _read(self) -> None:
        at = 0
        while not self._done:
            match = _BETWEEN.match(self._text, at)
            assert match is not None  # it takes nothing, too
            at = match.end()
            if at == len(self._text):
                break
            if self._text[at] == "]":
                self._done = True
                break
            try:
                row, after = self._json.raw_decode(self._text, at)
            except json.JSONDecodeError:
                if len(self._text) - at > _LONGEST_ROW:
                    raise _unreadable("a row that has no end") from None
                break  # the rest of it is still to come
            except (ValueError, RecursionError) as error:
                raise _unreadable(str(error)[:_LONGEST_HEAD]) from None
            if not isinstance(row, dict):
                raise _unreadable("a row that is no object")
            if len(self.rows) >= self._most:
                raise TooMuch(f"more than {self._most} rows")
            self.rows.append(row)
            at = after
        self._text = self._text[at:] if not self._done else ""


def _unreadable(why: str) -> RequestFailed:
    return RequestFailed(
        f"an answer that is no report: {why}",
        hint="is the report enabled as a web service, and is there a proxy at that address?",
    )
