"""A device's refusals as our errors, and as the quality of a value (135, clause 18)."""

from __future__ import annotations

from gl002.errors import Busy, DataError, GL002Error, RequestFailed, TagNotFound, Unsupported
from gl002.model import Quality
from gl002.transport.bacnet.station import Refusal
from gl002.wire.bacnet_names import ABORTS, ERROR_CODES, REJECTS

_NO_SUCH = {17, 31, 32, 42, 50}  # object, property, array index, no array
_NO_SUCH_DEVICE = {70, 71}
_WRONG_VALUE = {9, 37, 47, 80, 134, 138}
_BUSY = {2, 3, 25, 82}
_CANNOT = {29, 45, 36}
_NOT_READABLE = {27, 85}
_NO_VALUE_YET = {72}
_ABORT_TOO_LONG = {1, 4, 11}  # buffer overflow, segmentation not supported, APDU too long
_ABORT_BUSY = {3, 8, 9}  # preempted, application exceeded reply time, out of resources
_REJECT_TOO_LONG = {1, 7}  # buffer overflow, too many arguments
_REJECT_NO_SERVICE = 9
_ERROR_NO_SERVICE = 67  # some say with an error that they would reject it
GARBLED = "garbled"
"""Kind of a refusal that is none: an answer that could not be read."""

_HINTS = {
    40: "the device lets nobody write this property; is it the right object?",
    37: "the device says what is allowed: min-pres-value, max-pres-value, number-of-states",
    31: "gl002 browse shows the objects there are",
    29: "switched off at the device, or reserved for another user",
    83: "somebody has switched its communication off (DeviceCommunicationControl)",
}


def answers_too_long(refusal: Refusal) -> bool:
    """Whether a smaller request may succeed."""
    if refusal.kind == "abort":
        return refusal.code in _ABORT_TOO_LONG
    return refusal.kind == "reject" and refusal.code in _REJECT_TOO_LONG


def lacks_service(refusal: Refusal) -> bool:
    """Whether the device does not know the service at all."""
    return (refusal.kind, refusal.code) in {
        ("reject", _REJECT_NO_SERVICE),
        ("error", _ERROR_NO_SERVICE),
    }


def described(refusal: Refusal) -> str:
    """What the device said: 'unknown-object', 'abort: segmentation-not-supported'."""
    if refusal.kind == GARBLED:
        return "an answer that cannot be read"
    if refusal.kind == "error":
        return ERROR_CODES.get(refusal.code, f"error {refusal.code}")
    names = ABORTS if refusal.kind == "abort" else REJECTS
    return f"{refusal.kind}: {names.get(refusal.code, refusal.code)}"


def quality_of(refusal: Refusal) -> int:
    """OPC UA status code of a value that the device refuses to give."""
    if refusal.kind == GARBLED:
        return int(Quality.BAD_DECODING_ERROR)
    if refusal.kind == "error":
        for codes, quality in (
            (_NO_SUCH, Quality.BAD_NODE_ID_UNKNOWN),
            (_NOT_READABLE, Quality.BAD_NOT_READABLE),
            (_NO_VALUE_YET, Quality.BAD_WAITING_FOR_INITIAL_DATA),
        ):
            if refusal.code in codes:
                return int(quality)
    return int(Quality.BAD_DEVICE_FAILURE)


def explained(refusal: Refusal, where: str) -> GL002Error:
    """A refusal as the error it means; `where` names connector, request and device."""
    message = f"{where}: the device answers {described(refusal)}"
    return _kind(refusal)(message, hint=_HINTS.get(refusal.code, "") if _said(refusal) else "")


def _said(refusal: Refusal) -> bool:
    return refusal.kind == "error"


def _kind(refusal: Refusal) -> type[GL002Error]:
    if lacks_service(refusal):
        return Unsupported
    if refusal.kind == "abort" and refusal.code in _ABORT_BUSY:
        return Busy
    if refusal.kind == GARBLED:
        return Busy
    if refusal.kind != "error":
        return RequestFailed
    for codes, kind in (
        (_NO_SUCH | _NO_SUCH_DEVICE, TagNotFound),
        (_WRONG_VALUE, DataError),
        (_BUSY, Busy),
        (_CANNOT, Unsupported),
    ):
        if refusal.code in codes:
            return kind
    return RequestFailed
