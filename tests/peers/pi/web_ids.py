"""WebIDs 2.0 on the side of the server.

Source: PI Web API Reference, WebID Type, WebID Encoding, WebID Encoded Datatypes. Written apart
from `gl002.wire.pi_web_id`, and compared with the vendor's client in the tests.
"""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
from typing import NamedTuple

_GUID = 22  # characters of an encoded GUID
_INT = 6  # characters of an encoded Int32
OWNED = {"Ab"}  # markers followed by that of the owner


class BadWebId(ValueError):
    """No WebID, or of a version or a type that is not known."""


class WebId(NamedTuple):
    """What a WebID says."""

    type: str
    marker: str
    owner: str
    ids: tuple[object, ...]
    path: str


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadWebId("The specified WebID is malformed.") from None


def invariant_upper(text: str) -> str:
    """ToUpperInvariant: one character for one."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


def point(server: uuid.UUID, number: int, path: str) -> str:
    """The full WebID of a point."""
    name = encode(invariant_upper(path.removeprefix("\\\\")).encode())
    return "F1DP" + encode(server.bytes_le) + encode(struct.pack("<i", number)) + name


def server(marker: str, identity: uuid.UUID, name: str) -> str:
    """The full WebID of a data server ('DS') or asset server ('RS')."""
    return f"F1{marker}" + encode(identity.bytes_le) + encode(invariant_upper(name).encode())


def af_object(marker: str, ids: tuple[uuid.UUID, ...], path: str, owner: str = "") -> str:
    """The full WebID of an object of AF; `owner` is the marker of an attribute's owner."""
    name = encode(invariant_upper(path.removeprefix("\\\\")).encode())
    return f"F1{marker}{owner}" + "".join(encode(i.bytes_le) for i in ids) + name


def parse(web_id: str) -> WebId:
    """Take a WebID apart.

    Raises:
        BadWebId: it is none.
    """
    kind, version, marker, rest = web_id[:1], web_id[1:2], web_id[2:4], web_id[4:]
    if version != "1" or kind not in {"F", "I", "P"} or not marker.isalpha():
        raise BadWebId("The specified WebID is malformed.")
    owner = ""
    if marker in OWNED:
        owner, rest = rest[:1], rest[1:]
    ids: list[object] = []
    if kind != "P":
        lengths = {"DP": (_GUID, _INT), "DS": (_GUID,), "RS": (_GUID,), "Ab": (_GUID,) * 3}
        for length in lengths.get(marker, (_GUID, _GUID)):
            ids.append(_identity(decode(rest[:length])))
            rest = rest[length:]
    try:
        path = decode(rest).decode() if rest else ""
    except UnicodeDecodeError:
        raise BadWebId("The specified WebID is malformed.") from None
    if kind == "P" and not path:
        raise BadWebId("The specified WebID is malformed.")
    return WebId(kind, marker, owner, tuple(ids), path)


def _identity(data: bytes) -> object:
    if len(data) == 4:
        return struct.unpack("<i", data)[0]
    if len(data) == 16:
        return uuid.UUID(bytes_le=data)
    raise BadWebId("The specified WebID is malformed.")
