"""The one door to the network: only what the configuration names, checked on the real address.

Every connector dials here, or asks `admit` for the checked address where its driver opens the
socket itself. The address that was checked is the address that is used: there is no second look
at the name service in between (no DNS rebinding), and an address learned from a peer (redirect,
discovery, endpoint list) passes the same check.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from gl002.errors import ConfigError, ConnectFailed, NotAllowed

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_RANGE = re.compile(r"^(\d+\.\d+\.\d+)\.(\d+)-(\d+)$")
_LONGEST_SHOWN = 260  # characters of a wrong host; no name is longer
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_COUNT = 10, 5, 3  # seconds, seconds, probes


class Endpoint(NamedTuple):
    """Host and port as the configuration names them."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str, default_port: int) -> Endpoint:
        """From a URL or 'host[:port]'.

        Raises:
            ConfigError: no host in it, or a port out of range.
        """
        try:
            parts = urlsplit(url if "//" in url else f"//{url}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ConfigError(
                f"'{_without_password(url)}' is no address",
                hint="write host, host:port or [IPv6 address]:port, with a port up to 65535",
            ) from None
        if not host or port == 0:
            raise ConfigError(f"'{_without_password(url)}' names no {'port' if host else 'host'}")
        return cls(host, default_port if port is None else port)


class Address(NamedTuple):
    """An address that passed the check; connect to `ip`, verify certificates against `host`."""

    host: str
    ip: str
    port: int
    family: int


class Subnet(NamedTuple):
    """Every address of a network, at one port: what a discovery by broadcast may meet."""

    hosts: ipaddress.IPv4Network
    port: int

    def __str__(self) -> str:
        return f"{self.hosts}:{self.port}"


class _Rule(NamedTuple):
    """One line of `network.allow`."""

    text: str
    hosts: ipaddress.IPv4Network | ipaddress.IPv6Network | range | str
    port: int | None

    def covers(self, host: str, ip: IPAddress, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if isinstance(self.hosts, str):
            return host == self.hosts
        if isinstance(self.hosts, range):
            return isinstance(ip, ipaddress.IPv4Address) and int(ip) in self.hosts
        return ip in self.hosts

    def may_cover(self, named: Endpoint | Subnet) -> bool:
        """Whether it covers this, or some address that the name may turn out to have."""
        if self.port is not None and self.port != named.port:
            return False
        if isinstance(named, Subnet):
            return self._meets(named.hosts)
        return self.covers_surely(named) or (
            not isinstance(self.hosts, str) and not _is_literal(named.host)
        )

    def covers_surely(self, named: Endpoint) -> bool:
        """Whether it covers this, whatever address the name turns out to have."""
        if self.port is not None and self.port != named.port:
            return False
        if _is_literal(named.host):
            return self.covers(named.host, _plain(named.host), named.port)
        return self.hosts == named.host

    def _meets(self, subnet: ipaddress.IPv4Network) -> bool:
        if isinstance(self.hosts, range):
            first, last = int(subnet.network_address), int(subnet.broadcast_address)
            return self.hosts.start <= last and first < self.hosts.stop
        return isinstance(self.hosts, ipaddress.IPv4Network) and self.hosts.overlaps(subnet)


class Network:
    """What one gateway may reach.

    Args:
        allow: rules that narrow what the configuration names: 'host', 'host:port',
            'scheme://host:port', '10.20.0.0/16', '10.20.0.50-59:502'. None narrows nothing;
            an empty list allows nothing.

    Raises:
        ConfigError: a rule cannot be read.
    """

    def __init__(self, allow: Sequence[str] | None = None) -> None:
        self._rules = None if allow is None else [_rule(text) for text in allow]
        self._named: set[Endpoint] = set()
        self._subnets: set[Subnet] = set()

    def name(self, endpoint: Endpoint) -> None:
        """Add an endpoint that the configuration names; connectors do this at construction.

        Raises:
            ConfigError: its host is neither a name nor a plain address.
        """
        self._named.add(Endpoint(_configured_host(endpoint.host), endpoint.port))

    def named(self) -> Iterable[Endpoint]:
        """Every endpoint the configuration names."""
        return sorted(self._named)

    def shut_out(self) -> Iterable[Endpoint | Subnet]:
        """What the configuration names and no rule can let through, whatever names resolve to."""
        if self._rules is None:
            return []
        named: list[Endpoint | Subnet] = [*self.named(), *sorted(self._subnets)]
        return [n for n in named if not any(rule.may_cover(n) for rule in self._rules)]

    def depends_on_names(self) -> Iterable[Endpoint]:
        """What rules let through or not, as the address of the name turns out to be."""
        rules = self._rules or []
        return [
            named
            for named in self.named()
            if any(rule.may_cover(named) for rule in rules)
            and not any(rule.covers_surely(named) for rule in rules)
        ]

    def name_subnet(self, subnet: Subnet) -> None:
        """Add every address of a network, for those whose devices are found by broadcast."""
        self._subnets.add(subnet)

    def permits(self, ip: str, port: int) -> bool:
        """Whether an address that a peer gave, or that sent us something, may be talked to.

        The same check as `admit`, for what needs no name service.
        """
        address = str(_plain(ip))
        return self._allows(address, Address(address, address, port, _family(address)))

    async def admit(self, endpoint: Endpoint, *, timeout: float) -> list[Address]:  # noqa: ASYNC109
        """Resolve and check; the addresses in the order to try them.

        Raises:
            NotAllowed: the configuration does not name it, a rule excludes it, or the name
                resolves to where no plant is (link-local, multicast, unspecified).
            ConnectFailed: the name does not resolve within `timeout` seconds.
        """
        host, port = normal_host(endpoint.host), endpoint.port
        candidates = await _resolve(host, port, timeout)
        allowed = [c for c in candidates if self._allows(host, c)]
        if not allowed:
            raise NotAllowed(
                f"{endpoint} is not on the allowlist",
                hint=self._why_not(endpoint, host, candidates[0]),
            )
        return allowed

    async def dial(self, endpoint: Endpoint, *, timeout: float) -> socket.socket:  # noqa: ASYNC109
        """A connected, non-blocking TCP socket to a checked address, with keep-alive on.

        Raises:
            NotAllowed, ConnectFailed: as `admit`; or nothing answers within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        addresses = await self.admit(endpoint, timeout=timeout)
        trouble = ""
        for tried, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - tried)
            try:
                return await _connected(address, share)
            except TimeoutError:
                trouble = f"no answer within {timeout:g} s"
            except OSError as error:
                trouble = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectFailed(f"{endpoint}: {trouble}", hint=_dial_hint(trouble))

    def _allows(self, host: str, candidate: Address) -> bool:
        ip = _plain(candidate.ip)
        literal = host == str(ip)
        if not literal and (ip.is_link_local or ip.is_multicast or ip.is_unspecified):
            return False
        if not self._is_named(host, candidate):
            return False
        return self._rules is None or any(r.covers(host, ip, candidate.port) for r in self._rules)

    def _is_named(self, host: str, candidate: Address) -> bool:
        return (
            Endpoint(host, candidate.port) in self._named
            or Endpoint(candidate.ip, candidate.port) in self._named
            or any(
                candidate.port == subnet.port and _plain(candidate.ip) in subnet.hosts
                for subnet in self._subnets
            )
        )

    def _why_not(self, endpoint: Endpoint, host: str, candidate: Address) -> str:
        if not self._is_named(host, candidate):
            return "the configuration names no such endpoint; add it there if it is meant"
        if self._rules is not None:
            return f"add '{endpoint}' to network.allow if it is meant"
        return f"'{host}' resolves to {candidate.ip}, where no plant is"


def normal_host(host: str) -> str:
    """One spelling per host: lower case, no trailing dot, IDNA, plain IP literals only.

    Raises:
        NotAllowed: no host name, or an address in a disguise such as '0x7f.1' or '2130706433'.
    """
    host = host.strip("[]").rstrip(".").lower()
    shown = host if len(host) <= _LONGEST_SHOWN else f"{host[:_LONGEST_SHOWN]}..."
    try:
        return str(_plain(host))
    except ValueError:
        pass
    if not host.isascii():
        try:
            return normal_host(host.encode("idna").decode("ascii"))
        except UnicodeError:
            raise NotAllowed(f"'{shown}' is no host name") from None
    if _NUMERIC.fullmatch(host):
        raise NotAllowed(
            f"'{shown}' is no plain address", hint="write it as four numbers, 10.0.0.1"
        )
    if not _NAME.fullmatch(host):
        raise NotAllowed(f"'{shown}' is no host name")
    return host


def _configured_host(host: str) -> str:
    try:
        return normal_host(host)
    except NotAllowed as error:
        raise ConfigError(str(error.args[0]), hint=error.hint) from None


def _is_literal(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        _plain(host)
    except ValueError:
        return False
    return True


def _plain(ip: str) -> IPAddress:
    """The address, an IPv4 address hidden in an IPv6 one taken out."""
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


async def _resolve(host: str, port: int, timeout: float) -> list[Address]:  # noqa: ASYNC109
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ConnectFailed(f"{host}: the name service gave no answer in {timeout:g} s") from None
    except (socket.gaierror, UnicodeError) as error:
        raise ConnectFailed(
            f"{host}: the name does not resolve: {error}", hint="check the spelling and the DNS"
        ) from None
    ips = [str(_plain(str(sockaddr[0]))) for *_, sockaddr in found]
    return [Address(host, ip, port, _family(ip)) for ip in ips]


async def _connected(address: Address, timeout: float) -> socket.socket:  # noqa: ASYNC109
    """A socket connected to exactly this address."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _tune(sock)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, (address.ip, address.port))
        _check_other_side(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_other_side(sock: socket.socket) -> None:
    """TCP can meet itself on a local port where nobody listens; nobody is there, then."""
    if sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _family(ip: str) -> int:
    return socket.AF_INET if isinstance(_plain(ip), ipaddress.IPv4Address) else socket.AF_INET6


def _tune(sock: socket.socket) -> None:
    """Small requests leave at once; a dead peer is noticed within half a minute."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", _KEEPALIVE_COUNT),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _dial_hint(trouble: str) -> str:
    if "refused" in trouble:
        return "the host is there but nothing listens on that port"
    if "no answer" in trouble:
        return "is the host on, and does a firewall let us through?"
    return ""


def _rule(text: str) -> _Rule:
    """Read one line of `network.allow`."""
    scheme, separator, rest = text.partition("://")
    body = rest.partition("/")[0] if separator and scheme else text
    host, port = body, None
    if body.startswith("["):
        host, bracket, rest = body[1:].partition("]")
        port = _port(text, rest.removeprefix(":")) if rest or not bracket else None
    elif body.count(":") == 1:
        host, _, digits = body.partition(":")
        port = _port(text, digits)
    try:
        return _Rule(text, _hosts(host), port)
    except (ValueError, ConfigError):
        raise ConfigError(
            f"network.allow: '{text}' is no rule",
            hint="write host, host:port, scheme://host:port, 10.20.0.0/16 or 10.20.0.50-59:502",
        ) from None


def _hosts(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | range | str:
    ranged = _RANGE.match(text)
    if ranged:
        first, last = (int(ipaddress.IPv4Address(f"{ranged[1]}.{ranged[i]}")) for i in (2, 3))
        if first > last:
            raise ValueError("the range ends before it begins")
        return range(first, last + 1)
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return _configured_host(text)


def _port(text: str, digits: str) -> int:
    if not digits.isdigit() or not 0 < int(digits) < 65536:  # noqa: PLR2004
        raise ConfigError(f"network.allow: '{text}' has no valid port")
    return int(digits)


def _without_password(url: str) -> str:
    """Everything before the last @ may hold one, also in a URL that is wrong."""
    front, at, rest = url.rpartition("@")
    scheme, separator, _ = front.partition("://")
    return f"{scheme + separator if separator else ''}***@{rest}" if at else url
