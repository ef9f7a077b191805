"""What the contract suite needs to know about a connector: something real to talk to.

A third party writes one rig and three lines:

    # tests/conftest.py
    pytest_plugins = ["gl002.testing.plugin"]

    # tests/test_contract.py
    from gl002.testing.contract import *  # every test of the suite
    RIGS = [MyRig]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gl002.model import Sample, Value
from gl002.testing.datagram_link import DatagramLink
from gl002.testing.link import Link


class Rig(ABC):
    """A connector's counterpart on loopback, and how to look at it by other means than ours.

    The suite calls `start` once, then runs every test that the connector's declared abilities
    call for, then `stop`. Between tests the counterpart keeps running; a test that stopped or
    froze it brings it back. An optional method that a rig does not override takes the tests that
    need it out of its run.

    Attributes:
        kind: the connector's kind, as in the registry.
        networked: False for a connector that reaches its other side without a network; it has
            no `link`.
        handshake: False where a session is open as soon as the transport is, so that connecting
            to a counterpart that hangs succeeds: Modbus has no greeting.
        has_account: the wrong credentials are a user's password, whose account may be locked by
            trying it; not a certificate, a key or a token.
        link: the TCP proxy, or the relay of datagrams, between the connector and the counterpart;
            `config` points at it.
        tells_again: False where a stream goes on behind what it has delivered, so that a value that
            did not change while it was away does not come again.
        readable: address -> value the counterpart serves, for READ and STREAM. At least three,
            of more than one type; they do not change by themselves.
        writable: an address that may be written, for WRITE; '' where there is none.
        unknown: an address that does not exist there.
        browse_from: where a browse starts that meets every address of `readable` within three
            levels, for BROWSE.
        input: an entry of `data_flow.input` that delivers `readable`, for STREAM.
        output: an entry of `data_flow.output`, for STORE.
        doable: name of each action -> fields the counterpart accepts, for ACT.
        bad_configs: settings that must be refused, with a word the message must contain.
        gaps: name of a test -> why this connector cannot pass it. It must then fail: a gap that
            closes is an error until it is taken out of this list.
    """

    kind: ClassVar[str]
    networked: ClassVar[bool] = True
    handshake: ClassVar[bool] = True
    has_account: ClassVar[bool] = False
    tells_again: ClassVar[bool] = True
    link: Link | DatagramLink
    readable: Mapping[str, Value] = {}
    writable: str = ""
    unknown: str = ""
    browse_from: str = ""
    input: Mapping[str, Any] = {}
    output: Mapping[str, Any] = {}
    doable: Mapping[str, Mapping[str, Any]] = {}
    bad_configs: Sequence[tuple[Mapping[str, Any], str]] = ()
    gaps: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def start(self) -> None:
        """Start the counterpart and the link, on free ports; return when they answer."""

    @abstractmethod
    def stop(self) -> None:
        """Stop both; safe to call twice."""

    @abstractmethod
    def config(self, **changes: Any) -> dict[str, Any]:
        """Valid settings that reach the counterpart through the link, with some keys changed."""

    def restart(self) -> None:
        """Stop the counterpart without a goodbye and start it again on the same port."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Let the counterpart hang: connections stay open, nothing answers."""
        raise NotImplementedError

    def thaw(self) -> None:
        """End `freeze`."""
        raise NotImplementedError

    def set(self, address: str, value: Value) -> None:
        """Change a value on the counterpart, not through our connector."""
        raise NotImplementedError

    def seen(self, address: str) -> Value:
        """The value the counterpart has, not read through our connector."""
        raise NotImplementedError

    def wrong_credentials(self) -> dict[str, Any]:
        """Settings with a password or certificate the counterpart refuses."""
        raise NotImplementedError

    def stored(self) -> list[Sample]:
        """Everything that arrived through `output`, not read through our connector.

        Where the counterpart keeps messages rather than rows: what a consumer has that drops
        messages whose id it knows.
        """
        raise NotImplementedError

    def refused(self) -> Sample:
        """A sample that the counterpart cannot take, whatever its time."""
        raise NotImplementedError

    def done(self, key: str) -> list[str]:
        """Numbers of the documents that carry this key, not read through our connector."""
        raise NotImplementedError

    def undoable(self) -> Mapping[str, Mapping[str, Any]]:
        """Name of an action -> fields of the right form that the counterpart refuses."""
        raise NotImplementedError
