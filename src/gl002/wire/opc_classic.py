"""Quality of OPC Data Access (the "classic" OPC) and of OPC UA, one into the other.

An OPC DA quality has two bits for the kind, four for what is the matter, two for a limit, in the
lower of its two bytes; the upper one belongs to the vendor (OPC Data Access Custom Interface 3.0,
6.8). OPC UA names the same things (OPC 10000-8, annex A, table A.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from gl002.model import Quality, severity

GOOD, UNCERTAIN, BAD = 0xC0, 0x40, 0x00
_STATUS = 0xFC  # kind and what is the matter, without the limit

_TO_UA: Mapping[int, Quality] = {
    0x00: Quality.BAD,
    0x04: Quality.BAD_CONFIGURATION_ERROR,
    0x08: Quality.BAD_NOT_CONNECTED,
    0x0C: Quality.BAD_DEVICE_FAILURE,
    0x10: Quality.BAD_SENSOR_FAILURE,
    0x14: Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE,  # bad there, with its last value
    0x18: Quality.BAD_NO_COMMUNICATION,
    0x1C: Quality.BAD_OUT_OF_SERVICE,
    0x20: Quality.BAD_WAITING_FOR_INITIAL_DATA,
    0x40: Quality.UNCERTAIN,
    0x44: Quality.UNCERTAIN_LAST_USABLE_VALUE,
    0x50: Quality.UNCERTAIN_SENSOR_NOT_ACCURATE,
    0x54: Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
    0x58: Quality.UNCERTAIN_SUB_NORMAL,
    0xC0: Quality.GOOD,
    0xD8: Quality.GOOD_LOCAL_OVERRIDE,
}
_FROM_UA = {int(ua): classic for classic, ua in _TO_UA.items()}
_KINDS = {"good": GOOD, "uncertain": UNCERTAIN, "bad": BAD}


def to_ua(classic: int) -> int:
    """The status code of an OPC DA quality; its kind alone where it says something unknown."""
    status = classic & _STATUS
    known = _TO_UA.get(status)
    return int(known if known is not None else _TO_UA.get(status & GOOD, Quality.BAD))


def from_ua(quality: int) -> int:
    """The OPC DA quality of a status code."""
    return _FROM_UA.get(quality & 0xFFFF_0000, _KINDS[severity(quality)])
