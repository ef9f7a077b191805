"""When to try again: a pure policy, and a decorator that waits.

@retry(max_attempts=3, backoff="exponential")
async def read_with_retry(connector, tags):
    return await connector.read_values(tags)
"""

from __future__ import annotations

import functools
import inspect
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

from gl002.errors import ConfigError, GL002Error

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]
F = TypeVar("F", bound=Callable[..., Any])

_LARGEST_EXPONENT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long apart to try again. Pure: it decides, the caller waits.

    Attributes:
        max_attempts: tries in all, the first included; None tries for ever.
        backoff: how the wait grows: constant, linear or exponential (doubling).
        first: the wait after the first failure, seconds.
        most: the longest wait, seconds.
        jitter: share of each wait that is drawn at random, 0 to 1, so that a hundred
            gateways do not return to a broken server in the same instant.

    Raises:
        ConfigError: a number is out of its range, or `backoff` is no known word. 0 attempts is an
            error, never 'off'.
    """

    max_attempts: int | None = 3
    backoff: Backoff = "exponential"
    first: float = 0.5
    most: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigError(
                f"max_attempts is {self.max_attempts}", hint="1 tries once, None tries for ever"
            )
        if self.backoff not in get_args(Backoff):
            raise ConfigError(
                f"backoff is {self.backoff!r}", hint=f"one of {', '.join(get_args(Backoff))}"
            )
        if not (self.first >= 0 and self.most >= 0 and 0 <= self.jitter <= 1):
            raise ConfigError("retry waits must be >= 0 and jitter between 0 and 1")

    def delays(self) -> Iterator[float]:
        """The waits between attempts in seconds; ends when no further attempt is due."""
        attempt = 1
        while self.max_attempts is None or attempt < self.max_attempts:
            yield self._jittered(self._wait(attempt))
            attempt += 1

    def _wait(self, attempt: int) -> float:
        if self.backoff == "constant":
            wait = self.first
        elif self.backoff == "linear":
            wait = self.first * attempt
        else:
            wait = self.first * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT)
        return min(wait, self.most)

    def _jittered(self, wait: float) -> float:
        return wait * (1 - self.jitter * random.random())  # noqa: S311 (not a secret)

    @staticmethod
    def worth_it(error: BaseException) -> bool:
        """Whether the same call may succeed later: the only place that decides it."""
        if isinstance(error, GL002Error):
            return error.retryable
        return isinstance(error, ConnectionError | TimeoutError)


FOREVER = RetryPolicy(max_attempts=None)
"""The gateway's own policy for reconnecting and delivering: 0.5 s to 30 s, for ever."""


def retry(
    max_attempts: int | None = 3,
    backoff: Backoff = "exponential",
    *,
    first: float = 0.5,
    most: float = 30.0,
) -> Callable[[F], F]:
    """Decorator: call a function again after a connection error or time-out.

    Works on plain and on coroutine functions. Errors that will not go away by themselves
    (wrong password, unknown tag, bad value) are raised at once.

    Args:
        max_attempts: tries in all; None for ever.
        backoff: 'constant', 'linear' or 'exponential'.
        first: the first wait, seconds.
        most: the longest wait, seconds.

    Raises:
        ConfigError: as `RetryPolicy`.
    """
    if callable(max_attempts):
        raise TypeError("write @retry() with parentheses")
    policy = RetryPolicy(max_attempts=max_attempts, backoff=backoff, first=first, most=most)

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                import asyncio  # here: `gl002 --help` loads this module and need not wait

                delays = policy.delays()
                while True:
                    try:
                        return await function(*args, **kwargs)
                    except Exception as error:  # noqa: BLE001 (the policy decides)
                        wait = _next_wait(policy, delays, error)
                    await asyncio.sleep(wait)

            return cast("F", call_async)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            delays = policy.delays()
            while True:
                try:
                    return function(*args, **kwargs)
                except Exception as error:  # noqa: BLE001 (the policy decides)
                    wait = _next_wait(policy, delays, error)
                time.sleep(wait)

        return cast("F", call)

    return decorate


def _next_wait(policy: RetryPolicy, delays: Iterator[float], error: Exception) -> float:
    """The next wait; re-raises `error` where another try is pointless or used up."""
    wait = next(delays, None) if policy.worth_it(error) else None
    if wait is None:
        raise error
    return wait
