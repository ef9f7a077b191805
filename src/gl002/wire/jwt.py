"""JSON Web Tokens signed with a device's private key: RS256 and ES256.

Source: RFC 7515 (JWS, compact serialization), RFC 7518 section 3, RFC 7519. The claims are those of
Google's former IoT Core, which its successors take: `aud`, `iat`, `exp`, at most 24 hours apart.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping

import msgspec

from gl002.errors import ConfigError
from gl002.security.secrets import Secret

_COORDINATE = 32  # bytes of r and of s on the curve P-256
_SMALLEST = 2048  # bits of an RSA key


def token(pem: bytes, claims: Mapping[str, object], *, now: float, lifetime: float) -> Secret:
    """A token that holds from now on.

    Args:
        pem: private key, RSA of 2048 bits or more, or of the curve P-256.
        claims: besides `iat` and `exp`.
        now: seconds since 1970 UTC.
        lifetime: seconds it holds.

    Raises:
        ConfigError: the key is none, encrypted, or of another kind.
    """
    times = {"iat": math.floor(now), "exp": math.floor(now + lifetime)}
    algorithm, sign = _signer(pem)
    head = _text({"alg": algorithm, "typ": "JWT"})
    signed = f"{head}.{_text({**claims, **times})}"
    return Secret(f"{signed}.{_base64(sign(signed.encode()))}", passing=True)


def _signer(pem: bytes) -> tuple[str, Callable[[bytes], bytes]]:
    """Name of the algorithm, and what signs with it."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"the private key of the device cannot be read: {error}",
            hint="a PEM file without a passphrase: BEGIN PRIVATE KEY",
        ) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST:
        return "RS256", lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):

        def sign(data: bytes) -> bytes:
            pair = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
            return b"".join(number.to_bytes(_COORDINATE, "big") for number in pair)

        return "ES256", sign
    raise ConfigError(
        "the private key of the device is of another kind",
        hint=f"RSA of {_SMALLEST} bits or more (RS256), or the curve P-256 (ES256)",
    )


def _text(content: Mapping[str, object]) -> str:
    return _base64(msgspec.json.encode(content))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
