"""Where a device is, and how it refuses."""

from __future__ import annotations

from typing import NamedTuple

from gl002.security.datagrams import Place

PORT = 47808
"""UDP port of BACnet/IP, BAC0 in hexadecimal (annex J)."""
LONGEST = 1476
"""Octets of the longest message on BACnet/IP (20.1.2.5)."""


class Station(NamedTuple):
    """Where a device is.

    Attributes:
        place: IPv4 address and port: the device's own, or that of the router before it.
        network: number of the BACnet network behind that router; None for the device itself.
        mac: the device's address in that network, one octet on MS/TP.
    """

    place: Place
    network: int | None = None
    mac: bytes = b""

    def __str__(self) -> str:
        where = f"{self.place[0]}:{self.place[1]}"
        if self.network is None:
            return where
        mac = str(self.mac[0]) if len(self.mac) == 1 else self.mac.hex(":")
        return f"{self.network}:{mac} behind {where}"


class Refusal(Exception):
    """A device answered that it will not.

    Attributes:
        kind: 'error', 'reject' or 'abort'.
        code: its reason; of an error the error code.
    """

    def __init__(self, kind: str, code: int) -> None:
        super().__init__(f"{kind} {code}")
        self.kind = kind
        self.code = code
