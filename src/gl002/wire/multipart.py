"""Many requests in one: $batch in multipart/mixed (OData 2.0 "Batch Processing", 4.0 part 1, 11.7).

Reading requests stand by themselves; each change is a change set of its own, so that one that is
refused takes no other with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from email.policy import HTTP
from itertools import pairwise

from gl002.errors import DataError, RequestFailed

_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})[^\r\n]*\r?\n")
_CRLF = b"\r\n"
_HEADERS = BytesHeaderParser(policy=HTTP)


@dataclass(frozen=True, slots=True)
class Part:
    """One request.

    Attributes:
        method: 'GET', 'POST'.
        path: below the service, with its query, percent-encoded.
        headers: of it.
        body: of it.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What one request met."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status in range(200, 300)


def encode(parts: Sequence[Part], boundary: str) -> bytes:
    """The body of a batch.

    Args:
        parts: what to ask.
        boundary: a text that is in none of them.
    """
    pieces: list[bytes] = []
    for number, part in enumerate(parts):
        pieces.append(f"--{boundary}\r\n".encode())
        if part.method == "GET":
            pieces += [_request(part, ""), _CRLF]
            continue
        inner = f"change-{number}-{boundary}"
        pieces.append(f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode())
        pieces += [f"--{inner}\r\n".encode(), _request(part, str(number + 1))]
        pieces.append(f"\r\n--{inner}--\r\n\r\n".encode())
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces)


def _request(part: Part, content_id: str) -> bytes:
    headers = dict(part.headers)
    if part.body:
        headers["Content-Length"] = str(len(part.body))
    for line in (part.method, part.path, *headers, *headers.values()):
        if "\r" in line or "\n" in line:
            raise DataError("a request of a batch with a line break in it")
    own = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    own += f"Content-ID: {content_id}\r\n" if content_id else ""
    lines = [f"{part.method} {part.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return f"{own}\r\n{_CRLF.decode().join(lines)}\r\n\r\n".encode() + part.body


def decode(content_type: str, body: bytes, expected: int) -> list[PartAnswer]:
    """The answers, in the order of the requests.

    Args:
        content_type: whole header of the answer, boundary included.
        body: of the answer.
        expected: how many there must be.

    Raises:
        RequestFailed: they are not, or cannot be told apart.
    """
    answers = [answer for part in _parts(content_type, body) for answer in _answers(part)]
    if len(answers) != expected:
        raise RequestFailed(f"a batch of {expected} requests came back with {len(answers)} answers")
    return answers


def _parts(content_type: str, body: bytes) -> list[bytes]:
    match = re.search(r'boundary="?([^\s";,]{1,70})', content_type)
    if match is None or not content_type.lower().startswith("multipart/mixed"):
        raise RequestFailed(f"an answer to a batch that is '{content_type.partition(';')[0]}'")
    # the whole line: a boundary within may begin with this one (RFC 2046, 5.1.1)
    line = re.compile(rb"\r\n--" + re.escape(match[1].encode()) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    marks = list(line.finditer(_CRLF + body))
    if not marks or marks[-1][1] is None:
        raise RequestFailed("an answer to a batch that was cut short")
    return [
        (_CRLF + body)[here.end() : there.start()].removeprefix(_CRLF)
        for here, there in pairwise(marks)
    ]


def _answers(part: bytes) -> list[PartAnswer]:
    head, _, rest = part.partition(_CRLF * 2)
    kind = str(_HEADERS.parsebytes(head + _CRLF * 2).get("Content-Type", ""))
    if kind.lower().startswith("multipart/mixed"):
        return [answer for inner in _parts(kind, rest) for answer in _answers(inner)]
    match = _STATUS.match(rest.lstrip())
    if match is None:
        raise RequestFailed("an answer to a batch that has no status")
    rest = rest.lstrip()[match.end() :]
    # without a field, the empty line is the first (RFC 9112, 2.1)
    fields, _, body = rest.partition(_CRLF) if rest.startswith(_CRLF) else rest.partition(_CRLF * 2)
    headers = _HEADERS.parsebytes(fields + _CRLF * 2)
    length = str(headers.get("Content-Length", ""))
    if length.isascii() and length.isdigit():
        body = body[: int(length)]
    found = {name.lower(): str(value) for name, value in headers.items()}
    return [PartAnswer(int(match[1]), found, body)]
