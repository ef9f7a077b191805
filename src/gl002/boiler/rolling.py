"""The last hour of a boiler's readings as means of minutes, for balances that need no history."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gl002.boiler.arrays import np
from gl002.boiler.record import MINUTE, Record

HOUR: Final = 60
"""Minutes that are kept."""

_NANOSECONDS: Final = 1_000_000_000
_NO_ROLES: Final[Mapping[str, float]] = MappingProxyType({})


class Rolling:
    """Takes readings as they come, gives means of whole minutes."""

    def __init__(self) -> None:
        self._minutes: dict[int, dict[str, tuple[float, int]]] = {}

    def add(self, time: float, values: Mapping[str, float]) -> None:
        """Take what the instruments show now.

        Args:
            time: seconds since 1970.
            values: role -> sound value in the engine's unit.
        """
        minute = int(time // MINUTE)
        sums = self._minutes.setdefault(minute, {})
        for role, value in values.items():
            total, count = sums.get(role, (0.0, 0))
            sums[role] = total + value, count + 1
        while len(self._minutes) > HOUR + 1:
            del self._minutes[min(self._minutes)]

    def record(self, now: float, fixed: Mapping[str, float] = _NO_ROLES) -> Record:
        """The hour of whole minutes before a moment; of several boilers the same minutes.

        Args:
            now: seconds since 1970.
            fixed: role -> value of roles that have no instrument.
        """
        first = int(now // MINUTE) - HOUR
        minutes = [self._minutes.get(minute, {}) for minute in range(first, first + HOUR)]
        roles = {
            role: np.array(
                [m[role][0] / m[role][1] if role in m else np.nan for m in minutes], dtype=float
            )
            for role in sorted(set().union(*minutes))
        }
        heard = np.array([bool(minute) for minute in minutes])
        for role, value in fixed.items():
            roles[role] = np.where(heard, value, np.nan)
        start = round(first * MINUTE * _NANOSECONDS)
        return Record(start=start, step=MINUTE, roles=roles, doubted={})
