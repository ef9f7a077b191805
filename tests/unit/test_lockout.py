"""A refused password: when it is tried again, and when at once."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from gl002.errors import PasswordRefused
from gl002.lockout import WAITS, Lockout
from gl002.security.secrets import Living

REFUSED = PasswordRefused("db: invalid username/password", hint="check user and password")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when told."""
    now = [1000.0]
    monkeypatch.setattr("gl002.lockout.time", SimpleNamespace(monotonic=lambda: now[0]))

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def may_try(lockout: Lockout) -> bool:
    try:
        lockout.check()
    except PasswordRefused:
        return False
    return True


def test_each_refusal_is_followed_by_a_longer_wait(clock):
    lockout = Lockout()
    for wait in (*WAITS, WAITS[-1]):
        assert may_try(lockout)
        lockout.refused(REFUSED)
        clock(wait - 1)
        assert not may_try(lockout)
        clock(1)


def test_five_tries_take_longer_than_two_hours():
    """SAP locks a user at the fifth (login/fails_to_user_lock), Oracle at the tenth."""
    assert sum(WAITS) > 2 * 3600


def test_the_error_says_when_the_next_try_is_and_stays_the_same_until_then(clock):
    lockout = Lockout()
    told = lockout.refused(REFUSED)
    assert re.search(r"password \(not tried again before \d\d:\d\d:\d\d", str(told))
    assert told.hint == REFUSED.hint
    with pytest.raises(PasswordRefused) as again:
        lockout.check()
    assert str(again.value) == str(told)


def test_one_refusal_that_comes_through_two_requests_counts_once(clock):
    lockout = Lockout()
    told = lockout.refused(REFUSED)
    assert lockout.refused(told) is told
    clock(WAITS[0])
    assert may_try(lockout)


def test_a_password_that_was_taken_makes_the_next_refusal_the_first_again(clock):
    lockout = Lockout()
    for wait in WAITS[:3]:
        lockout.refused(REFUSED)
        clock(wait)
    lockout.accepted()
    lockout.refused(REFUSED)
    clock(WAITS[0])
    assert may_try(lockout)


def test_a_person_may_have_it_tried_at_once_and_that_try_counts(clock):
    lockout = Lockout()
    lockout.refused(REFUSED)
    lockout.lift()
    assert may_try(lockout)
    lockout.refused(REFUSED)
    clock(WAITS[0])
    assert not may_try(lockout)


def test_a_secret_that_was_renewed_is_tried_at_once(clock):
    stored = ["old-password"]
    living = Living("password", lambda: stored[0])
    lockout = Lockout()
    lockout.refused(REFUSED)
    assert not living.renew()
    assert not may_try(lockout)
    stored[0] = "new-password"
    assert living.renew()
    assert may_try(lockout)
