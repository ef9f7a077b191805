"""How a secured session comes about: the server is known before it learns anything about us.

1. Ask for the endpoints, which needs no security (OPC 10000-4, 5.5.4). Take the one with exactly
   the policy and mode that are configured; nothing less is ever accepted.
2. Check its certificate against the trust folders.
3. Open the secure channel to that certificate, create a session, and check in its signed answer
   that the server is the application its certificate names (OPC 10000-4, 5.7.2).
4. Only then log in. A password is sent encrypted or not at all.

We always dial the host that is configured: addresses in a server's answers are not followed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gl002.errors import AuthFailed, ConnectFailed, GL002Error, PasswordRefused, require
from gl002.security.identity import Identity, load_identity
from gl002.security.network import Endpoint, Network
from gl002.security.pki import Pki
from gl002.transport.opc_ua.publishing import PUNCTUAL
from gl002.transport.opc_ua.settings import OpcUaConfig

_GREETING = 3.0  # s; a server that lives greets at once, and a fresh attempt beats a longer wait
_SESSION_TIMEOUT = 30_000  # ms without a request after which the server forgets us
_ENDED = "it ended the connection without a greeting"
_POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to connect to, and with what.

    Attributes:
        name: connector instance, for messages.
        settings: as configured.
        endpoint: host and port to dial.
        network: the door to dial through.
        pki: whom to trust, and our own certificate.
        timeout: seconds one answer may take.
        extra: of the package that installs the driver.
    """

    name: str
    settings: OpcUaConfig
    endpoint: Endpoint
    network: Network
    pki: Pki
    timeout: float
    extra: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.name}: connect: {self.endpoint}"

    @property
    def expected_host(self) -> str:
        """The host that the server's certificate must be for."""
        return self.settings.security.server_name or self.endpoint.host

    def identity(self) -> Identity:
        """Our certificate: the configured one, else our own, made on first use. Reads files."""
        security = self.settings.security
        if security.certificate is None or security.private_key is None:
            return self.pki.init()
        password = security.private_key_password
        return load_identity(
            Path(security.certificate),
            Path(security.private_key),
            password.reveal() if password else None,
        )


async def open_client(target: Target) -> Any:
    """A driver client with an activated session, its server verified as far as configured.

    Raises:
        AuthFailed: the server is not trusted, does not offer what is configured, or refused us.
        ConnectFailed: there is no server, or it broke off.
        Exception: the driver's own; see `failures.translate`.
    """
    require("asyncua", extra=target.extra)
    from asyncua import Client

    require("cryptography", extra=target.extra)
    _quieten()
    client = Client(target.settings.server.url, timeout=target.timeout)
    client.name = client.description = "gl002"
    client.session_timeout = _SESSION_TIMEOUT
    identity = None
    if target.settings.security.secure:
        certificate = await _server_certificate(target)
        identity = await asyncio.to_thread(target.identity)
        _secure(client, target, identity, certificate)
    try:
        await _dial(client, target)
        await _open_channel(client, target, identity)
        created = await client.create_session()
        await _know(client, target, created)
        await _log_in(client, target)
    except BaseException:
        drop(client)
        raise
    return client


def drop(client: Any) -> None:
    """End the connection at once, without a goodbye; what waits on it fails."""
    protocol = client.uaclient.protocol
    if protocol is not None and protocol.transport is not None:
        protocol.transport.abort()  # close() would wait for a frozen peer to read what is queued
    client.disconnect_socket()


def _quieten() -> None:
    """The driver logs whole messages and tracebacks; what matters is in our errors."""
    log = logging.getLogger("asyncua")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL + 1)


async def _dial(client: Any, target: Target) -> None:
    """Connect to a checked address and exchange greetings.

    Where it was we who stood still while a greeting was waited for, it is tried once more.
    """
    limit = min(target.timeout, _GREETING)
    trouble = "no address"
    addresses = deque(await target.network.admit(target.endpoint, timeout=limit))
    while addresses:
        address, start = addresses.popleft(), time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await client.uaclient.connect_socket(address.ip, address.port)
                await client.send_hello()
        except TimeoutError:
            trouble = f"no answer within {limit:g} s"
            drop(client)
            if time.monotonic() - start - limit > PUNCTUAL:
                addresses.appendleft(address)
        except OSError as error:
            trouble = os.strerror(error.errno) if error.errno else str(error)
            if isinstance(error, ConnectionError) and not error.errno:
                trouble = _ENDED
        else:
            return
    raise ConnectFailed(f"{target.where}: {trouble}", hint=_dial_hint(trouble))


def _dial_hint(trouble: str) -> str:
    if trouble == os.strerror(errno.ECONNREFUSED):
        return "the host is there but nothing listens on that port"
    if trouble == _ENDED:
        return "is that port an OPC UA server's?"
    return "is the server running, and does a firewall let us through?"


async def _server_certificate(target: Target) -> bytes:
    """The certificate of the endpoint with the configured security, checked."""
    from asyncua import Client

    asking = Client(target.settings.server.url, timeout=target.timeout)
    try:
        await _dial(asking, target)
        await asking.open_secure_channel()
        offered = await asking.get_endpoints()
        await asking.close_secure_channel()
    finally:
        drop(asking)
    endpoint = _exactly(offered, target)
    certificate = bytes(endpoint.ServerCertificate or b"")
    await asyncio.to_thread(
        target.pki.check_server,
        certificate,
        host=target.expected_host,
        application_uri=endpoint.Server.ApplicationUri or "",
    )
    return certificate


def _exactly(offered: Iterable[Any], target: Target) -> Any:
    """The endpoint with the configured policy and mode, and no other."""
    from asyncua import ua

    security = target.settings.security
    wanted = (f"{_POLICY_URI}{security.chosen_policy}", security.chosen_mode)
    others = set()
    for endpoint in offered:
        if not str(endpoint.EndpointUrl).startswith(ua.OPC_TCP_SCHEME):
            continue
        mode = endpoint.SecurityMode.name.rstrip("_")
        if (endpoint.SecurityPolicyUri, mode) == wanted:
            return endpoint
        others.add(f"{str(endpoint.SecurityPolicyUri).rpartition('#')[2]} {mode}")
    raise AuthFailed(
        f"{target.where}: the server does not offer "
        f"{security.chosen_policy} {security.chosen_mode}",
        hint=f"it offers: {', '.join(sorted(others)) or 'nothing'}",
    )


def _secure(client: Any, target: Target, identity: Identity, certificate: bytes) -> None:
    from asyncua import ua
    from asyncua.crypto import security_policies
    from asyncua.crypto.uacrypto import x509_from_der

    security = target.settings.security
    policy = getattr(security_policies, f"SecurityPolicy{security.chosen_policy.replace('_', '')}")(
        x509_from_der(certificate),
        identity.certificate,
        identity.key,
        getattr(ua.MessageSecurityMode, security.chosen_mode),
    )
    client.application_uri = identity.application_uri
    client.security_policy = policy
    client.uaclient.set_security(policy)


async def _open_channel(client: Any, target: Target, identity: Identity | None) -> None:
    """Servers refuse a certificate in many ways, most of them without a word."""
    try:
        await client.open_secure_channel()
    except AssertionError:
        raise _distrusted(target, identity) from None
    except ConnectionError:
        if identity is None:
            raise
        raise ConnectFailed(
            f"{target.where}: the server broke off while the secure channel was opened",
            hint=_trust_us(identity),
        ) from None


def _distrusted(target: Target, identity: Identity | None) -> GL002Error:
    if identity is None:
        return ConnectFailed(f"{target.where}: the server refused to open a channel")
    return AuthFailed(
        f"{target.where}: the server refused our certificate", hint=_trust_us(identity)
    )


def _trust_us(identity: Identity) -> str:
    return (
        f"trust our certificate on the server: thumbprint {identity.thumbprint}, "
        f"application {identity.application_uri}"
    )


async def _know(client: Any, target: Target, created: Any) -> None:
    """Whether the session is with the application whose certificate we trust.

    Without security this matters only where a secret follows: its encryption must be for a server
    we trust.
    """
    settings = target.settings
    if not settings.security.secure and settings.username is None:
        return
    endpoint = client.find_endpoint(
        created.ServerEndpoints, client.security_policy.Mode, client.security_policy.URI
    )
    await asyncio.to_thread(
        target.pki.check_server,
        bytes(created.ServerCertificate or b""),
        host=target.expected_host,
        application_uri=endpoint.Server.ApplicationUri or "",
    )


async def _log_in(client: Any, target: Target) -> None:
    """Activate the session as the configured user."""
    from asyncua.ua.uaerrors import (
        BadIdentityTokenInvalid,
        BadIdentityTokenRejected,
        BadUserAccessDenied,
    )

    settings = target.settings
    password = None
    if settings.username is not None:
        _check_token(client, target)
        password = settings.password.reveal() if settings.password else ""
    elif settings.user_certificate is not None:
        await _user_certificate(client, settings)
    try:
        await client.activate_session(
            username=settings.username, password=password, certificate=client.user_certificate
        )
    except (BadUserAccessDenied, BadIdentityTokenRejected, BadIdentityTokenInvalid) as error:
        why = f"{target.where}: the server refused"
        if settings.username is not None:
            message = f"{why} the user '{settings.username}': {type(error).__name__}"
            raise PasswordRefused(message, hint="check username and password") from None
        message = f"{why} us without a user: {type(error).__name__}"
        raise AuthFailed(message, hint="give a username") from None


def _check_token(client: Any, target: Target) -> None:
    """Refuse to send a password that others on the network could read (OPC 10000-4, 7.40.4)."""
    from asyncua import ua

    token = client.server_policy(ua.UserTokenType.UserName)
    policy = str(token.SecurityPolicyUri or "").rpartition("#")[2]
    if token.PolicyId is None:
        raise AuthFailed(f"{target.where}: the server takes no user names on this endpoint")
    encrypted = target.settings.security.chosen_mode == "SignAndEncrypt"
    if not encrypted and policy in {"", "None", "Basic128Rsa15", "Basic256"}:
        raise AuthFailed(
            f"{target.where}: the server wants the password unencrypted; it was not sent",
            hint="set security.mode: SignAndEncrypt",
        )


async def _user_certificate(client: Any, settings: OpcUaConfig) -> None:
    assert settings.user_certificate is not None
    assert settings.user_private_key is not None
    identity = await asyncio.to_thread(
        load_identity, Path(settings.user_certificate), Path(settings.user_private_key)
    )
    client.user_certificate = identity.certificate
    client.user_private_key = identity.key
