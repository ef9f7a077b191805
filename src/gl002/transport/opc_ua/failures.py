"""The driver's errors as ours. Status codes: OPC 10000-4, 7.39."""

from __future__ import annotations

import struct
import sys

from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    GL002Error,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
    Unsupported,
)

_REFUSED_US = {
    "BadApplicationSignatureInvalid", "BadCertificateChainIncomplete",
    "BadCertificateHostNameInvalid", "BadCertificateInvalid", "BadCertificateIssuerRevoked",
    "BadCertificateIssuerTimeInvalid", "BadCertificatePolicyCheckFailed",
    "BadCertificateRevocationUnknown", "BadCertificateRevoked", "BadCertificateTimeInvalid",
    "BadCertificateUntrusted", "BadCertificateUriInvalid", "BadCertificateUseNotAllowed",
    "BadIdentityTokenInvalid", "BadIdentityTokenRejected", "BadSecurityChecksFailed",
    "BadSecurityModeInsufficient", "BadSecurityModeRejected", "BadSecurityPolicyRejected",
    "BadUserSignatureInvalid",
}  # fmt: skip
_SESSION_GONE = {
    "BadCommunicationError", "BadConnectionClosed", "BadConnectionRejected", "BadDisconnect",
    "BadInvalidTimestamp", "BadNoCommunication", "BadNoSubscription", "BadNotConnected",
    "BadRequestInterrupted", "BadSecureChannelClosed", "BadSecureChannelIdInvalid",
    "BadSecureChannelTokenUnknown", "BadSequenceNumberInvalid", "BadServerHalted",
    "BadServerNotConnected", "BadSessionClosed", "BadSessionIdInvalid", "BadSessionNotActivated",
    "BadShutdown", "BadSubscriptionIdInvalid", "BadTcpEndpointUrlInvalid", "BadTcpInternalError",
    "BadTcpMessageTooLarge", "BadTcpMessageTypeInvalid", "BadTcpNotEnoughResources",
    "BadTcpSecureChannelUnknown", "BadTooManySessions", "BadMaxConnectionsReached",
}  # fmt: skip
_NOT_NOW = {
    "BadOutOfMemory", "BadResourceUnavailable", "BadServerTooBusy", "BadTcpServerTooBusy",
    "BadTooManyPublishRequests", "BadTooManySubscriptions",
}  # fmt: skip
_NO_ANSWER = {"BadRequestTimeout", "BadTimeout"}
_NO_SUCH_NODE = {"BadNodeIdInvalid", "BadNodeIdUnknown"}
_CANNOT = {
    "BadHistoryOperationInvalid", "BadHistoryOperationUnsupported", "BadNotImplemented",
    "BadNotSupported", "BadServiceUnsupported",
}  # fmt: skip

_KINDS: tuple[tuple[set[str], type[GL002Error]], ...] = (
    (_REFUSED_US, AuthFailed),
    (_SESSION_GONE, ConnectFailed),
    (_NOT_NOW, Busy),
    (_NO_ANSWER, RequestTimeout),
    (_NO_SUCH_NODE, TagNotFound),
    (_CANNOT, Unsupported),
)


def translate(error: BaseException, where: str) -> GL002Error | None:
    """The driver's error as ours; None for anything that is not the driver's.

    Args:
        error: what the driver raised.
        where: connector, request and endpoint, for the message.
    """
    if "asyncua.ua" not in sys.modules:
        return None
    from asyncua.crypto.uacrypto import InvalidSignature
    from asyncua.ua.uaerrors import UaError, UaStatusCodeError

    if isinstance(error, UaStatusCodeError):
        return of_status(error.code, where)
    if isinstance(error, InvalidSignature):
        return AuthFailed(f"{where}: what came is not signed by the server's certificate")
    if isinstance(error, UaError | struct.error | UnicodeDecodeError):
        return ConnectFailed(f"{where}: the answer cannot be read: {error}")
    return None


def of_status(code: int, where: str) -> GL002Error:
    """A bad status code as the error it means."""
    name = status_name(code)
    kind = next((kind for names, kind in _KINDS if name in names), RequestFailed)
    return kind(f"{where}: the server answers {name}", hint=_HINTS.get(name, ""))


def status_name(code: int) -> str:
    """OPC UA's name of a status code, 'BadNodeIdUnknown'."""
    from asyncua import ua

    return str(ua.StatusCode(code & 0xFFFF_0000).name)


_HINTS = {
    "BadCertificateUntrusted": "trust our certificate on the server; gl002 pki list shows it",
    "BadSecurityChecksFailed": "trust our certificate on the server; gl002 pki list shows it",
    "BadCertificateTimeInvalid": "is one of the two clocks wrong? gl002 pki list shows our dates",
    "BadCertificateUriInvalid": "our certificate was made for another application URI",
    "BadTooManySessions": "the server has no session free: close other clients",
    "BadNotWritable": "the server lets nobody write this node",
    "BadUserAccessDenied": "this user may not do that; log in as another one",
    "BadHistoryOperationUnsupported": "the server keeps no history of this node",
    "BadNodeIdUnknown": "gl002 browse shows the nodes there are",
}
