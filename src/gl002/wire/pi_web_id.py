r"""WebIDs 2.0 of PI Web API, made on our side: no request is needed to find what a path names.

    >>> of_path("\\\\PISRV01\\sinusoid")
    'P1DPUElTUlYwMVxTSU5VU09JRA'

Source: PI Web API Reference, topics "WebID Type", "WebID Encoding" and "WebID Encoded Datatypes".
Understood by PI Web API 2017 R2 and later. The path is taken without its two leading backslashes,
in upper case, as URL-safe base64 without padding (RFC 4648, 5).
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

_PATH_ONLY = "P1"
_POINT, _DATA_SERVER, _ATTRIBUTE, _ELEMENT = "DP", "DS", "Ab", "Em"
_DATABASE = "RD"
_OF_ELEMENT = "E"  # an attribute's marker is followed by that of its owner
_SERVER_AND_DATABASE = 2  # parts of the path of an AF database


class WebId(NamedTuple):
    """What a WebID says without asking the server.

    Attributes:
        type: 'F' full, 'I' ids only, 'P' path only.
        marker: two letters for the kind of thing, 'DP' for a point.
        path: with its two leading backslashes, in upper case; '' where the WebID holds none.
    """

    type: str
    marker: str
    path: str


def of_path(path: str) -> str:
    r"""The path-only WebID of a point, AF attribute, element or database.

    Args:
        path: '\\server\point', '\\server\database\element|attribute', '\\server\database\element',
            '\\server\database'. A point and a database have the same form; this is a point.

    Raises:
        ValueError: no such path.
    """
    parts = _parts(path)
    if "|" in parts[-1]:
        marker = _ATTRIBUTE + _OF_ELEMENT
    else:
        marker = _POINT if len(parts) == _SERVER_AND_DATABASE else _ELEMENT
    return _PATH_ONLY + marker + _encoded(path)


def of_database(path: str) -> str:
    r"""The path-only WebID of an AF database, '\\server\database'."""
    if len(_parts(path)) != _SERVER_AND_DATABASE:
        raise ValueError(f"'{path}' is no path of an AF database")
    return _PATH_ONLY + _DATABASE + _encoded(path)


def of_data_server(name: str) -> str:
    """The path-only WebID of a Data Archive."""
    return _PATH_ONLY + _DATA_SERVER + _encoded(f"\\\\{name}")


def parse(web_id: str) -> WebId:
    """What a path-only WebID says; of other types the type and the marker.

    Raises:
        ValueError: it is no WebID 2.0.
    """
    kind, version, marker = web_id[:1], web_id[1:2], web_id[2:4]
    if version != "1" or kind not in {"F", "I", "P", "L", "D"} or not marker.isalpha():
        raise ValueError(f"'{web_id}' is no WebID of version 2.0")
    if kind != _PATH_ONLY[0]:
        return WebId(kind, marker, "")
    payload = web_id[5:] if marker == _ATTRIBUTE else web_id[4:]
    padding = "=" * (-len(payload) % 4)
    try:
        name = base64.b64decode(payload + padding, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError(f"'{web_id}' is no WebID of version 2.0") from None
    return WebId(kind, marker, f"\\\\{name}")


def _parts(path: str) -> list[str]:
    parts = path.removeprefix("\\\\").split("\\")
    if not path.startswith("\\\\") or len(parts) < _SERVER_AND_DATABASE or not all(parts):
        raise ValueError(f"'{path}' is no path of PI: write \\\\server\\name")
    return parts


def _encoded(path: str) -> str:
    name = _invariant_upper(path.removeprefix("\\\\"))
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def _invariant_upper(text: str) -> str:
    """As .NET's ToUpperInvariant: one character for one, so that 'ß' stays."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)
