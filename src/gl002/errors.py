"""Every error the gateway raises, on one screen.

    GL002Error                     message: what failed, where, what was seen; hint: what to do
    ├── ConfigError                (ValueError) wrong configuration; lists all problems
    │   └── UnitError              an unknown unit, or two units of different dimensions
    ├── MissingDependency          (ImportError) a driver is not installed; carries the install line
    ├── DataError                  (ValueError) one value cannot be used: a dead letter
    ├── BufferFull                 the store has no room left and its policy is to refuse
    └── ConnectorError
        ├── ConnectFailed          (ConnectionError) no session; comes again
        │   ├── AuthFailed         the other side knows us and says no; a human must act
        │   │   ├── PasswordRefused  of a user: trying again may lock the account
        │   │   ├── Untrusted      we do not trust its certificate; a person decides it here
        │   │   └── AccessDenied   it knows us and denies this one thing; the session stands
        │   └── NotAllowed         our own allowlist says no; a human must act
        ├── RequestTimeout         (TimeoutError) no answer in time; comes again
        └── RequestFailed          the other side understood and refused
            ├── TagNotFound        (LookupError)
            ├── Unsupported        (NotImplementedError)
            ├── Busy               it cannot do it just now: overload, deadlock; comes again
            ├── WriteRefused       (PermissionError) a write to a plant that was not allowed
            └── PartialWrite       some of a batch was refused; `rejected` says which and why

`retryable` is the only thing the runtime asks before it tries again, `ends_session` before it
connects anew; `maybe_done` tells a write of which nobody knows from one that failed. Each error
also is the builtin a Python programmer expects, so `except ConnectionError` works as in the guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class GL002Error(Exception):
    """Base of all errors of the gateway.

    Attributes:
        hint: what to do about it, '' where nothing useful is known.
        retryable: whether the same request may succeed later without a human.
        ends_session: whether there may be no session any more.
        retry_after: seconds the other side asked us to wait first; 0 where it said nothing.
        maybe_done: whether what was asked may have been done all the same: it was sent, and no
            answer says that it was not. Look there before it is asked again.
    """

    retryable: ClassVar[bool] = False
    ends_session: ClassVar[bool] = False
    retry_after: float = 0.0
    maybe_done: bool = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def leaves_open(self) -> bool:
        """Whether a request that was sent, and failed so, may have been done all the same."""
        if isinstance(self, AuthFailed | NotAllowed):
            return False
        return self.maybe_done or isinstance(self, ConnectFailed | RequestTimeout)

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else type(self).__name__
        return f"{message} ({self.hint})" if self.hint else message

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), self.args, self.__dict__)


class ConfigError(GL002Error, ValueError):
    """Wrong configuration. The message lists every problem with its place."""


class UnitError(ConfigError):
    """An unknown unit, or two units that do not convert into each other."""


class MissingDependency(GL002Error, ImportError):
    """A connector's driver is not installed; the hint is the line that installs it."""


class DataError(GL002Error, ValueError):
    """A value that cannot be used as it is; the rest of its batch is unharmed."""


class BufferFull(GL002Error):
    """The store has reached its limit and its policy is to refuse."""

    retryable = True


class ConnectorError(GL002Error):
    """Anything that went wrong between a connector and its other side."""


class ConnectFailed(ConnectorError, ConnectionError):
    """No session: nothing listens, the link is cut, the name does not resolve, TLS failed."""

    retryable = True
    ends_session = True


class AuthFailed(ConnectFailed):
    """The other side refused our credentials or certificate, or we refused its certificate."""

    retryable = False


class PasswordRefused(AuthFailed):
    """The other side refused a user's password: to try it again and again may lock the account."""


class Untrusted(AuthFailed):
    """We do not trust the certificate of the other side; it has not learnt who we are.

    A person decides that on this machine, and is then waited for: asking again costs nothing.
    """


class AccessDenied(AuthFailed):
    """The other side knows us, and we may not do or see this one thing."""

    ends_session = False


class NotAllowed(ConnectFailed):
    """The address is not on the allowlist; nothing was sent."""

    retryable = False


class RequestTimeout(ConnectorError, TimeoutError):
    """No answer within the time-out; `maybe_done` where the request had been sent."""

    retryable = True
    ends_session = True


class RequestFailed(ConnectorError):
    """The other side understood the request and refused it."""


class TagNotFound(RequestFailed, LookupError):
    """The other side has no such node, register, topic or tag."""


class Unsupported(RequestFailed, NotImplementedError):
    """The connector or its other side cannot do this."""


class Busy(RequestFailed):
    """The other side cannot do it just now: overloaded, locked, full. The session stands."""

    retryable = True


class WriteRefused(RequestFailed, PermissionError):
    """A write to a plant that policy does not allow; nothing was sent."""


class PartialWrite(RequestFailed):
    """Part of a batch was refused. Where nothing else hints at why, the first reason does.

    Attributes:
        rejected: index in the batch as given -> reason. Everything else was delivered.
    """

    def __init__(self, message: str, rejected: Mapping[int, str], *, hint: str = "") -> None:
        first = next((f"rejected[{i}]: {rejected[i]}" for i in sorted(rejected)), "")
        super().__init__(message, hint=hint or ("" if _said(rejected, message) else first))
        self.rejected = dict(rejected)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.args[0], self.rejected), self.__dict__)


def _said(rejected: Mapping[int, str], message: str) -> bool:
    return any(reason in message for reason in rejected.values())


def install_line(extra: str) -> str:
    """The command that installs an extra, which is named like a connector's kind.

    With hyphens, as the package's metadata spells it: pip before 23.3 finds no other spelling,
    and only warns.
    """
    return f'pip install "gl002[{extra.replace("_", "-")}]"'


def require(module: str, *, extra: str) -> None:
    """Check that the driver `module` is installed; connectors call it when they open.

    Raises:
        MissingDependency: it is not; the hint is the install line. A driver that is installed
            but broken is not reported as missing: its own import error is raised when it loads.
    """
    from importlib.util import find_spec

    top = module.partition(".")[0]
    if find_spec(top) is None:
        raise MissingDependency(f"the driver '{top}' is not installed", hint=install_line(extra))
