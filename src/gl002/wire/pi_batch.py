"""Batches of PI Web API: many requests in one, each with an answer of its own.

Source: PI Web API Reference, "Batch Execute"; User Guide, "Batch support".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from gl002.errors import RequestFailed

_ERRORS = 400
_LONGEST = 300  # characters of a server's words that a message quotes


class Sub(NamedTuple):
    """One request of a batch.

    Attributes:
        path: below the base, 'streams/P1.../value'; its parts are percent-encoded.
        query: names and values as they are.
        method: of HTTP.
        body: as JSON; None for none.
    """

    path: str
    query: Sequence[tuple[str, str]] = ()
    method: str = "GET"
    body: Any = None


class SubAnswer(msgspec.Struct, rename="pascal"):
    """The answer to one of them.

    Attributes:
        status: of HTTP.
        content: JSON; None for none.
    """

    status: int
    content: Any = None

    @property
    def ok(self) -> bool:
        """Whether it was done. An answer can say at its end that it went wrong (WebException)."""
        return self.status < _ERRORS and web_exception(self.content) is None

    @property
    def missing(self) -> bool:
        """Whether there is no such thing."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def passing(self) -> bool:
        """Whether it may go well later: PI Web API or what is behind it is not well."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.TOO_MANY_REQUESTS,
        }

    @property
    def words(self) -> str:
        """Why it failed, in the server's words."""
        return said(self.content) or f"status {self.status}"


def encode(requests: Sequence[Sub], base_url: str) -> bytes:
    """The body of a batch; the requests are numbered from 0."""
    subs = {str(n): _encoded(sub, base_url) for n, sub in enumerate(requests)}
    return msgspec.json.encode(subs)


def _encoded(sub: Sub, base_url: str) -> dict[str, Any]:
    query = urlencode(list(sub.query), quote_via=quote)
    encoded: dict[str, Any] = {
        "Method": sub.method,
        "Resource": f"{base_url}{sub.path}{'?' if query else ''}{query}",
    }
    if sub.body is not None:
        encoded["Content"] = msgspec.json.encode(sub.body).decode()
        encoded["Headers"] = {"Content-Type": "application/json"}
    return encoded


def in_order(answers: Mapping[str, SubAnswer], count: int) -> list[SubAnswer]:
    """The answers in the order of the requests.

    Raises:
        RequestFailed: one is missing.
    """
    try:
        return [answers[str(number)] for number in range(count)]
    except KeyError as error:
        raise RequestFailed(f"a batch of {count} requests came back without {error}") from None


def items_of(content: object) -> list[Any]:
    """The items of an answer.

    Raises:
        RequestFailed: it has none.
    """
    items = content.get("Items") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise RequestFailed("an answer of PI Web API has no Items")
    return items


def web_exception(content: object) -> str | None:
    """What went wrong after the server had begun to answer, None where nothing did."""
    exception = content.get("WebException") if isinstance(content, dict) else None
    return None if exception is None else said(exception) or str(exception)[:_LONGEST]


def said(content: object) -> str:
    """The server's own words in an answer that is an error."""
    if not isinstance(content, dict):
        return ""
    words: Iterable[object] = ()
    if isinstance(content.get("Errors"), list):
        words = content["Errors"]
    elif isinstance(content.get("Message"), str):
        words = [content["Message"]]
    elif isinstance(content.get("WebException"), dict):
        return said(content["WebException"])
    return "; ".join(str(word) for word in words)[:_LONGEST]
