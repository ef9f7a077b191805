"""A password that was refused is not tried again and again: that locks accounts.

Windows domains, SAP and Oracle lock a user after five to ten refused log-ins, and other programs
with it. What connects by itself therefore waits after each refusal, longer every time: five tries
take two and a half hours. A new secret, a reload or a restart tries at once.
"""

from __future__ import annotations

import copy
import time
from datetime import datetime, timedelta

from gl002.errors import PasswordRefused
from gl002.security.secrets import Living

WAITS = (60.0, 300.0, 1800.0, 7200.0)  # seconds after the first refusal, the second, ...


class Lockout:
    """Keeps one account from being locked by us. Knows nothing of how one logs in."""

    def __init__(self) -> None:
        self._refusal: PasswordRefused | None = None
        self._tries = 0
        self._until = 0.0
        self._secrets = 0

    def refused(self, error: PasswordRefused) -> PasswordRefused:
        """Take note of a refusal; returns it with when the next try is.

        One that was noted before, and came through another request, is the same one.
        """
        if self._refusal is not None and error.args == self._refusal.args:
            return error
        wait = WAITS[min(self._tries, len(WAITS) - 1)]
        self._tries += 1
        self._until, self._secrets = time.monotonic() + wait, Living.renewals
        when = datetime.now().astimezone() + timedelta(seconds=wait)
        message = f"{error.args[0]} (not tried again before {when:%H:%M:%S}, lest it be locked)"
        self._refusal = PasswordRefused(message, hint=error.hint)
        return copy.copy(self._refusal)

    def accepted(self) -> None:
        """The password is right; the next refusal counts as the first."""
        self._refusal, self._tries = None, 0

    def lift(self) -> None:
        """Somebody has seen to it: the next try is made at once, and counts on."""
        self._refusal = None

    def check(self) -> None:
        """Nothing while a try may be made.

        Raises:
            PasswordRefused: the last one; it is too early to try again.
        """
        if self._refusal is None or self._secrets != Living.renewals:
            return
        if time.monotonic() < self._until:
            raise copy.copy(self._refusal)
