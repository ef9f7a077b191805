"""Modbus frames by the letter of the specifications, for peers that say what a test tells them."""

from __future__ import annotations

import struct


def crc(data):
    """CRC-16 of MODBUS over Serial Line V1.02, section 6.2.2, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def mbap(number, unit, body, *, protocol=0, length=None):
    return (
        struct.pack(">HHHB", number, protocol, len(body) + 1 if length is None else length, unit)
        + body
    )


def rtu(unit, body):
    return bytes([unit]) + body + crc(bytes([unit]) + body)


def spelled(unit, body):
    """ASCII, section 2.5.2: the LRC makes the sum of all bytes 0."""
    frame = bytes([unit]) + body
    return b":" + (frame + bytes([-sum(frame) & 0xFF])).hex().upper().encode() + b"\r\n"


def body_of(words, function=3, size=None):
    data = struct.pack(f">{len(words)}H", *words)
    return bytes([function, len(data) if size is None else size]) + data
