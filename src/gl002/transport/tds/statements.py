"""What may be asked of a SQL Server: one statement that reads.

SQL Server has no read-only transactions. The guard against changes is an account that may not make
any; this one is for mistakes, and for statements that fetch from other servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gl002.errors import RequestFailed

_TOKENS = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<text>N?'(?:[^']|'')*')
    | (?P<quoted>\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*")
    | (?P<word>[^\W\d][\w$\#@]*)
    | (?P<end>;)
    | (?P<other>\s+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CHANGING = frozenset({
    "alter", "backup", "bulk", "create", "dbcc", "deny", "delete", "drop", "exec", "execute",
    "grant", "insert", "into", "kill", "merge", "reconfigure", "restore", "revoke", "set",
    "shutdown", "truncate", "update", "use", "waitfor", "writetext",
})  # fmt: skip
_ELSEWHERE = frozenset({"openquery", "openrowset", "opendatasource"})


def check_reads(sql: str) -> None:
    """See that a statement is one SELECT.

    Raises:
        RequestFailed: it is not, and why.
    """
    words = list(_words(sql))
    if not words or words[0] not in {"select", "with"}:
        raise RequestFailed("a query is one SELECT statement")
    for word in words:
        if word in _CHANGING:
            raise RequestFailed(f"a query only reads: '{word.upper()}' is not offered")
        if word in _ELSEWHERE:
            raise RequestFailed(
                f"'{word.upper()}' is not offered",
                hint="ask the view: FROM History WHERE ..., with parameters",
            )


def _words(sql: str) -> Iterator[str]:
    """The words outside of texts, names in brackets and comments, in lower case."""
    ended = False
    for token in _TOKENS.finditer(sql):
        if token.lastgroup == "comment" or token[0].isspace():
            continue
        if ended:
            raise RequestFailed("one statement at a time")
        if token.lastgroup == "end":
            ended = True
        elif token.lastgroup == "word":
            yield token[0].lower()


def columns(described: Sequence[Sequence[Any]]) -> list[str]:
    """The names of the columns of an answer.

    Raises:
        RequestFailed: two have the same, so that a row cannot be a dict.
    """
    names = [str(column[0]) or f"column{n}" for n, column in enumerate(described, 1)]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise RequestFailed(
            f"two columns are called '{min(double)}'", hint="give one another name: AS ..."
        )
    return names
