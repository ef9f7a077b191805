"""What came back, and what its status means (RFC 9110)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from gl002.errors import (
    AccessDenied,
    AuthFailed,
    Busy,
    GL002Error,
    PasswordRefused,
    RequestFailed,
    Unsupported,
)
from gl002.security.secrets import Redactor

T = TypeVar("T")

_LONGEST_WAIT = 300.0  # seconds a server may put us off at a time
_LONGEST_TEXT = 300  # characters of an answer that a message quotes
_ERRORS = 400
_SERVER_ERRORS = 500
_REDIRECTS = range(300, 400)


class Unreadable(RequestFailed):
    """The other side took the request, and its answer says nothing: it may have been done."""

    maybe_done = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        status: HTTP status code.
        headers: by name in lower case; a field that came twice is joined with ', '.
        body: decompressed.
        challenges: values of WWW-Authenticate, one for each field line.
        with_password: the request was made with a user's password.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    challenges: Sequence[str] = ()
    with_password: bool = False

    @property
    def ok(self) -> bool:
        """Whether the request was done."""
        return self.status in range(200, 300)

    @property
    def content_type(self) -> str:
        """Media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self, type: type[T] | Any = Any) -> Any:  # noqa: A002 (as msgspec calls it)
        """The body as JSON, checked against a type.

        Raises:
            RequestFailed: it is no JSON, or not what was expected.
        """
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestFailed(
                f"an answer that cannot be read: {error}: {self.excerpt()}",
                hint="is there a proxy or a login page at that address?",
            ) from None

    def excerpt(self) -> str:
        """The beginning of the body on one line, for messages; secrets taken out."""
        text = " ".join(Redactor.redact(self.text()).split())
        printable = "".join(c if c.isprintable() else "?" for c in text)
        return printable if len(printable) <= _LONGEST_TEXT else f"{printable[:_LONGEST_TEXT]}..."

    @property
    def retry_after(self) -> float:
        """Seconds that the other side asks us to wait (RFC 9110, 10.2.3), 300 at most."""
        return _seconds(self.headers.get("retry-after", ""))


def _seconds(text: str) -> float:
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # asctime, which is UTC (RFC 9110, 5.6.7)
            moment = moment.replace(tzinfo=UTC)
        wait = moment.timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, wait), _LONGEST_WAIT)


_WHO_WE_ARE = "check user, password or token"


def refusal(answer: Answer, what: str, said: str = "") -> GL002Error:
    """The error that a status which is no success stands for.

    Args:
        answer: its status is not 2xx.
        what: the request and where it went, 'write: plant:8086'.
        said: the other side's own words, where a kind has found them in the body.
    """
    status = answer.status
    words = said or answer.excerpt()
    message = f"{what}: {status} {_phrase(status)}{': ' if words else ''}{words}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED}:
        ours = status == HTTPStatus.UNAUTHORIZED and answer.with_password  # not the proxy's
        return (PasswordRefused if ours else AuthFailed)(message, hint=_WHO_WE_ARE)
    if status == HTTPStatus.FORBIDDEN:
        return AccessDenied(message, hint="it knows us: give that user or token the right to this")
    if status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED}:
        return Unsupported(message, hint="is that the right server, and its version?")
    if status in _REDIRECTS:
        there = answer.headers.get("location", "")
        return RequestFailed(
            f"{message} -> {Redactor.redact(there)}",
            hint="we do not follow to another server: configure the address that it names",
        )
    if status in _COMES_AGAIN or status >= _SERVER_ERRORS:
        busy = Busy(message)
        busy.retry_after = answer.retry_after
        busy.maybe_done = status in _LEAVE_OPEN
        return busy
    return RequestFailed(message, hint=_HINTS.get(status, ""))


_COMES_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_LEAVE_OPEN = {
    HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT,
}  # fmt: skip
"""It failed in the midst of it, or something in between did not hear how it ended."""
_HINTS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "is the address complete, its path included?",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "it takes less at once: lower 'batch_size'",
}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"
