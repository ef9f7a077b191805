"""When to try again: properties of the policy, and the decorator on both colours."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gl002
from gl002.errors import AuthFailed, ConfigError, ConnectFailed, DataError, RequestTimeout
from gl002.retry import FOREVER, RetryPolicy, retry
from gl002.testing.stalls import at_most

seconds = st.floats(0, 1e6)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.one_of(st.none(), st.integers(1, 200)),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
    first=seconds,
    most=seconds,
    jitter=st.floats(0, 1),
)


def _waits(policy: RetryPolicy, count: int = 200) -> list[float]:
    return list(itertools.islice(policy.delays(), count))


# ---- the policy -------------------------------------------------------------------------------


@given(policies)
def test_no_wait_is_negative_or_longer_than_the_longest(policy: RetryPolicy) -> None:
    assert all(0 <= wait <= policy.most for wait in _waits(policy))


@given(policies)
def test_there_is_one_wait_less_than_attempts_and_no_end_without_a_limit(
    policy: RetryPolicy,
) -> None:
    expected = 200 if policy.max_attempts is None else policy.max_attempts - 1
    assert len(_waits(policy)) == expected


@given(policies)
def test_without_jitter_waits_never_shrink(policy: RetryPolicy) -> None:
    steady = RetryPolicy(
        max_attempts=policy.max_attempts, backoff=policy.backoff,
        first=policy.first, most=policy.most, jitter=0,
    )  # fmt: skip
    waits = _waits(steady)
    assert waits == sorted(waits)
    assert waits[:1] in ([], [min(policy.first, policy.most)])


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        ("constant", [0.5, 0.5, 0.5, 0.5, 0.5]),
        ("linear", [0.5, 1.0, 1.5, 2.0, 2.5]),
        ("exponential", [0.5, 1.0, 2.0, 4.0, 5.0]),
    ],
)
def test_waits_grow_as_the_word_says(backoff: Any, waits: list[float]) -> None:
    assert _waits(RetryPolicy(max_attempts=6, backoff=backoff, most=5, jitter=0)) == waits


def test_jitter_draws_its_share_of_each_wait() -> None:
    waits = _waits(RetryPolicy(max_attempts=None, backoff="constant", first=1, jitter=0.5), 2000)
    assert 0.5 <= min(waits) < 0.55
    assert 0.95 < max(waits) <= 1


def test_waiting_for_ever_does_not_overflow() -> None:
    waits = _waits(RetryPolicy(max_attempts=None, first=1e-300, most=math.inf, jitter=0), 5000)
    assert all(math.isfinite(wait) for wait in waits)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0}, {"max_attempts": -1}, {"first": -1}, {"most": -0.1}, {"jitter": 1.1},
        {"jitter": -0.1}, {"first": math.nan}, {"jitter": math.nan}, {"backoff": "expo"},
        {"backoff": ""},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_policy_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectFailed("x"), True), (RequestTimeout("x"), True), (AuthFailed("x"), False),
        (DataError("x"), False), (ConnectionResetError(), True), (TimeoutError(), True),
        (ValueError(), False), (OSError(), False), (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
    ],
    ids=repr,
)  # fmt: skip
def test_only_what_may_go_away_is_tried_again(error: BaseException, again: bool) -> None:  # noqa: FBT001
    assert RetryPolicy.worth_it(error) is again


def test_the_gateways_own_policy_never_ends_and_waits_30_s_at_most() -> None:
    assert FOREVER.max_attempts is None
    assert max(_waits(FOREVER)) <= 30


# ---- the decorator ----------------------------------------------------------------------------


class Calls:
    """Fails with these errors first, then answers; both colours."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0

    def plain(self, value: int, *, plus: int = 0) -> int:
        """Add."""
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return value + plus

    async def coloured(self, value: int, *, plus: int = 0) -> int:
        """Add."""
        await asyncio.sleep(0)
        return self.plain(value, plus=plus)

    def call(self, colour: str, **policy: Any) -> int:
        decorate = retry(**{"first": 0.001, **policy})
        if colour == "async":
            return asyncio.run(decorate(self.coloured)(1, plus=2))
        return decorate(self.plain)(1, plus=2)


colours = pytest.mark.parametrize("colour", ["plain", "async"])


@colours
def test_a_call_that_works_is_made_once(colour: str) -> None:
    calls = Calls()
    assert calls.call(colour) == 3
    assert calls.count == 1


@colours
def test_a_call_is_made_again_until_it_works(colour: str) -> None:
    calls = Calls(ConnectionError(), RequestTimeout("x"))
    assert calls.call(colour, max_attempts=3) == 3
    assert calls.count == 3


@colours
def test_after_the_last_attempt_its_error_is_raised(colour: str) -> None:
    last = ConnectFailed("the last")
    calls = Calls(ConnectionError(), ConnectionError(), last)
    with pytest.raises(ConnectFailed) as caught:
        calls.call(colour, max_attempts=3)
    assert caught.value is last
    assert calls.count == 3


@colours
@pytest.mark.parametrize("error", [AuthFailed("x"), ValueError(), KeyError()], ids=repr)
def test_an_error_that_will_not_go_away_is_raised_at_once(colour: str, error: Exception) -> None:
    calls = Calls(error)
    with pytest.raises(type(error)):
        calls.call(colour)
    assert calls.count == 1


@colours
def test_none_tries_for_ever(colour: str) -> None:
    calls = Calls(*[TimeoutError()] * 50)
    assert calls.call(colour, max_attempts=None, first=0) == 3
    assert calls.count == 51


@colours
def test_it_waits_between_attempts(colour: str) -> None:
    start = time.monotonic()
    with at_most(1):
        Calls(TimeoutError(), TimeoutError()).call(colour, backoff="constant", first=0.04)
    assert time.monotonic() - start >= 0.04


def test_each_call_begins_with_all_its_attempts() -> None:
    calls = Calls(*[TimeoutError()] * 4)
    function = retry(max_attempts=3, first=0)(calls.plain)
    with pytest.raises(TimeoutError):
        function(1)
    assert function(1) == 1


async def test_a_cancelled_call_is_not_tried_again() -> None:
    calls = Calls(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await retry()(calls.coloured)(1)
    assert calls.count == 1


def test_name_signature_and_colour_stay() -> None:
    @retry(max_attempts=3, backoff="exponential")
    async def read_with_retry(connector: object, tags: list[str]) -> None:
        """Doc."""

    assert read_with_retry.__name__ == "read_with_retry"
    assert read_with_retry.__doc__ == "Doc."
    assert list(inspect.signature(read_with_retry).parameters) == ["connector", "tags"]
    assert inspect.iscoroutinefunction(read_with_retry)


def test_forgotten_parentheses_say_so() -> None:
    with pytest.raises(TypeError, match="parentheses"):
        retry(print)  # type: ignore[arg-type]


def test_a_wrong_policy_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="one of constant, linear, exponential"):
        retry(backoff="exponentially")  # type: ignore[arg-type]


def test_the_package_offers_the_function_and_not_its_module() -> None:
    assert gl002.retry is retry
