"""What the numbers of BACnet are called: objects, properties, errors, reliability.

Names are those of the standard (ANSI/ASHRAE 135, clause 21) with hyphens. What has no name here,
proprietary types and properties above all, is written as its number: '130,5'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gl002.model import Quality
from gl002.wire.bacnet import NO_INSTANCE, ObjectId

OBJECT_TYPES: Final[Mapping[int, str]] = {
    0: "analog-input", 1: "analog-output", 2: "analog-value", 3: "binary-input",
    4: "binary-output", 5: "binary-value", 6: "calendar", 7: "command", 8: "device",
    9: "event-enrollment", 10: "file", 11: "group", 12: "loop", 13: "multi-state-input",
    14: "multi-state-output", 15: "notification-class", 16: "program", 17: "schedule",
    18: "averaging", 19: "multi-state-value", 20: "trend-log", 21: "life-safety-point",
    22: "life-safety-zone", 23: "accumulator", 24: "pulse-converter", 25: "event-log",
    26: "global-group", 27: "trend-log-multiple", 28: "load-control", 29: "structured-view",
    30: "access-door", 31: "timer", 32: "access-credential", 33: "access-point",
    34: "access-rights", 35: "access-user", 36: "access-zone", 37: "credential-data-input",
    38: "network-security", 39: "bitstring-value", 40: "characterstring-value",
    41: "date-pattern-value", 42: "date-value", 43: "datetime-pattern-value", 44: "datetime-value",
    45: "integer-value", 46: "large-analog-value", 47: "octetstring-value",
    48: "positive-integer-value", 49: "time-pattern-value", 50: "time-value",
    51: "notification-forwarder", 52: "alert-enrollment", 53: "channel", 54: "lighting-output",
    55: "binary-lighting-output", 56: "network-port", 57: "elevator-group", 58: "escalator",
    59: "lift", 60: "staging", 61: "audit-log", 62: "audit-reporter", 63: "color",
    64: "color-temperature",
}  # fmt: skip

PROPERTIES: Final[Mapping[int, str]] = {
    0: "acked-transitions", 4: "active-text", 6: "alarm-value", 12: "application-software-version",
    13: "archive", 14: "bias", 15: "change-of-state-count", 16: "change-of-state-time",
    20: "controlled-variable-units", 21: "controlled-variable-value", 22: "cov-increment",
    24: "daylight-savings-status", 25: "deadband", 28: "description", 31: "device-type",
    33: "elapsed-active-time", 36: "event-state", 40: "feedback-value", 44: "firmware-revision",
    45: "high-limit", 46: "inactive-text", 56: "local-date", 57: "local-time", 58: "location",
    59: "low-limit", 60: "manipulated-variable-reference", 62: "max-apdu-length-accepted",
    65: "max-pres-value", 69: "min-pres-value", 70: "model-name", 74: "number-of-states",
    75: "object-identifier", 76: "object-list", 77: "object-name", 79: "object-type",
    81: "out-of-service", 82: "output-units", 84: "polarity", 85: "present-value",
    87: "priority-array", 92: "program-state", 93: "proportional-constant",
    97: "protocol-services-supported", 98: "protocol-version", 103: "reliability",
    104: "relinquish-default", 106: "resolution", 107: "segmentation-supported", 108: "setpoint",
    110: "state-text", 111: "status-flags", 112: "system-status", 113: "time-delay", 117: "units",
    119: "utc-offset", 120: "vendor-identifier", 121: "vendor-name", 125: "average-value",
    126: "buffer-size", 130: "event-time-stamps", 131: "log-buffer",
    132: "log-device-object-property", 133: "enable", 134: "log-interval", 135: "maximum-value",
    136: "minimum-value", 139: "protocol-revision", 141: "record-count", 142: "start-time",
    143: "stop-time", 145: "total-record-count", 155: "database-revision", 164: "tracking-value",
    167: "max-segments-accepted", 168: "profile-name", 186: "pulse-rate", 187: "scale",
    190: "value-before-change", 195: "interval-offset", 209: "structured-object-list",
    211: "subordinate-list", 371: "property-list", 372: "serial-number",
    431: "current-command-priority",
}  # fmt: skip

RELIABILITIES: Final[Mapping[int, str]] = {
    0: "no-fault-detected", 1: "no-sensor", 2: "over-range", 3: "under-range", 4: "open-loop",
    5: "shorted-loop", 6: "no-output", 7: "unreliable-other", 8: "process-error",
    9: "multi-state-fault", 10: "configuration-error", 12: "communication-failure",
    13: "member-fault", 14: "monitored-object-fault", 15: "tripped", 16: "lamp-failure",
    17: "activation-failure", 18: "renew-dhcp-failure", 19: "renew-fd-registration-failure",
    20: "restart-auto-negotiation-failure", 21: "restart-failure",
    22: "proprietary-command-failure", 23: "faults-listed", 24: "referenced-object-fault",
    25: "multi-state-out-of-range",
}  # fmt: skip

ERROR_CODES: Final[Mapping[int, str]] = {
    0: "other", 2: "configuration-in-progress", 3: "device-busy", 5: "file-access-denied",
    7: "inconsistent-parameters", 9: "invalid-data-type", 10: "invalid-file-access-method",
    13: "invalid-parameter-data-type", 14: "invalid-time-stamp", 16: "missing-required-parameter",
    17: "no-objects-of-specified-type", 18: "no-space-for-object",
    20: "no-space-to-write-property", 25: "operational-problem", 27: "read-access-denied",
    29: "service-request-denied", 30: "timeout", 31: "unknown-object", 32: "unknown-property",
    36: "unsupported-object-type", 37: "value-out-of-range", 40: "write-access-denied",
    41: "character-set-not-supported", 42: "invalid-array-index", 43: "cov-subscription-failed",
    44: "not-cov-property", 45: "optional-functionality-not-supported",
    46: "invalid-configuration-data", 47: "datatype-not-supported", 50: "property-is-not-an-array",
    57: "invalid-tag", 70: "unknown-device", 71: "unknown-route", 72: "value-not-initialized",
    73: "invalid-event-state", 75: "log-buffer-full", 76: "logged-value-purged",
    79: "unknown-subscription", 80: "parameter-out-of-range", 82: "busy",
    83: "communication-disabled", 85: "access-denied", 110: "not-router-to-dnet",
    111: "router-busy", 113: "message-too-long", 123: "abort-apdu-too-long",
    124: "abort-application-exceeded-reply-time", 125: "abort-out-of-resources", 128: "file-full",
    131: "internal-error", 132: "not-configured", 133: "out-of-memory", 134: "value-too-long",
    138: "invalid-value-in-this-state",
}  # fmt: skip

ABORTS: Final[Mapping[int, str]] = {
    0: "other", 1: "buffer-overflow", 2: "invalid-apdu-in-this-state",
    3: "preempted-by-higher-priority-task", 4: "segmentation-not-supported", 5: "security-error",
    6: "insufficient-security", 7: "window-size-out-of-range",
    8: "application-exceeded-reply-time", 9: "out-of-resources", 10: "tsm-timeout",
    11: "apdu-too-long", 64: "server-timeout", 65: "no-response",
}  # fmt: skip

REJECTS: Final[Mapping[int, str]] = {
    0: "other", 1: "buffer-overflow", 2: "inconsistent-parameters",
    3: "invalid-parameter-datatype", 4: "invalid-tag", 5: "missing-required-parameter",
    6: "parameter-out-of-range", 7: "too-many-arguments", 8: "undefined-enumeration",
    9: "unrecognized-service",
}  # fmt: skip

DEVICE: Final = 8
TREND_LOG: Final = 20
ANALOG: Final = frozenset({0, 1, 2})
BINARY: Final = frozenset({3, 4, 5})
MULTI_STATE: Final = frozenset({13, 14, 19})
POINTS: Final = ANALOG | BINARY | MULTI_STATE | {12, 23, 24, 39, 40, 42, 44, 45, 46, 47, 48, 50}
"""Types whose present value a gateway can pass on."""

_SHORT: Final = {
    "ai": 0, "ao": 1, "av": 2, "bi": 3, "bo": 4, "bv": 5, "mi": 13, "mo": 14, "mv": 19,
    "msi": 13, "mso": 14, "msv": 19, "dev": 8, "tl": 20, "iv": 45, "lav": 46, "piv": 48, "csv": 40,
    "binaryinput": 3,
}  # fmt: skip
_OBJECT: Final = re.compile(r"\s*([A-Za-z][A-Za-z -]*?|\d+)\s*[,: ]?\s*(\d+)\s*")
_NUMBERED: Final = re.compile(r"\s*(\d+)\s*[,:]\s*(\d+)\s*")
_MOST_TYPES: Final = 1024  # ten bits


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_TYPE_BY_NAME: Final = {**{_folded(n): i for i, n in OBJECT_TYPES.items()}, **_SHORT}
_PROPERTY_BY_NAME: Final = {_folded(n): i for i, n in PROPERTIES.items()}


class Fault(NamedTuple):
    """What a fault of an object means for its value.

    Attributes:
        quality: OPC UA status code.
        name: the standard's word for it.
    """

    quality: int
    name: str


def object_name(target: ObjectId) -> str:
    """'analog-input,1'; '130,1' for a type without a name."""
    return f"{OBJECT_TYPES.get(target.type, target.type)},{target.instance}"


def parse_object(text: str) -> ObjectId:
    """The object that 'analog-input,1', 'analogInput:1', 'AI1' or '0,1' means.

    Raises:
        ValueError: no such type, or an instance out of range.
    """
    match = _NUMBERED.fullmatch(text) or _OBJECT.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no object; write 'analog-input,1' or 'AI1'")
    kind, instance = match[1], int(match[2])
    number = int(kind) if kind.isdecimal() else _TYPE_BY_NAME.get(_folded(kind))
    if number is None or number >= _MOST_TYPES:
        raise ValueError(f"'{text}': there is no object type '{kind}'")
    if instance >= NO_INSTANCE:
        raise ValueError(f"'{text}': an instance is a number up to {NO_INSTANCE - 1}")
    return ObjectId(number, instance)


def looks_like_object(text: str) -> bool:
    """Whether a text names an object by type and instance."""
    try:
        parse_object(text)
    except ValueError:
        return False
    return True


def property_name(number: int) -> str:
    """'present-value'; the number where we have no name."""
    return PROPERTIES.get(number, str(number))


def parse_property(text: str) -> int:
    """The property that 'present-value', 'presentValue' or '85' means.

    Raises:
        ValueError: no such property.
    """
    if text.isdecimal():
        return int(text)
    try:
        return _PROPERTY_BY_NAME[_folded(text)]
    except KeyError:
        raise ValueError(
            f"there is no property '{text}'; write its number if it has no name"
        ) from None


_IN_ALARM, _FAULT, _OVERRIDDEN, _OUT_OF_SERVICE = range(4)
_FAULTS: Final[Mapping[int, Quality]] = {
    1: Quality.BAD_SENSOR_FAILURE,  # no sensor
    2: Quality.BAD_OUT_OF_RANGE,  # over range
    3: Quality.BAD_OUT_OF_RANGE,  # under range
    4: Quality.BAD_SENSOR_FAILURE,  # open loop
    5: Quality.BAD_SENSOR_FAILURE,  # shorted loop
    10: Quality.BAD_CONFIGURATION_ERROR,
    12: Quality.BAD_NO_COMMUNICATION,
}


def quality_of(flags: Sequence[bool] | None) -> int:
    """OPC UA status code for the status flags of an object (12.1.12 and the like).

    Out of service means that the value no longer follows the input but can be set by hand, which
    is OPC UA's 'manually overwritten' (OPC 10000-8, A.4.3); overridden means that a switch at the
    device forces it. A fault makes it bad; `fault_of` says of what kind. An alarm says nothing
    about how good the value is.
    """
    if flags is None or len(flags) != 4:  # noqa: PLR2004 (BACnetStatusFlags)
        return int(Quality.GOOD)
    if flags[_FAULT]:
        return int(Quality.BAD_DEVICE_FAILURE)
    if flags[_OUT_OF_SERVICE]:
        return int(Quality.UNCERTAIN_SUBSTITUTE_VALUE)
    return int(Quality.GOOD_LOCAL_OVERRIDE if flags[_OVERRIDDEN] else Quality.GOOD)


def has_fault(flags: Sequence[bool] | None) -> bool:
    """Whether the status flags say that there is a fault."""
    return flags is not None and len(flags) == 4 and flags[_FAULT]  # noqa: PLR2004


def fault_of(reliability: int) -> Fault:
    """What the reliability of a faulty object says about its value."""
    name = RELIABILITIES.get(reliability, f"reliability {reliability}")
    return Fault(int(_FAULTS.get(reliability, Quality.BAD_DEVICE_FAILURE)), name)
