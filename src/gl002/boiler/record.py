"""Records of a boiler: what its instruments showed, at regular times, not a number where unknown.

A value holds until the next one comes, for an hour at the most: sources that report by exception
are silent while nothing changes. Where no instrument of the boiler said anything, nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from gl002.boiler.arrays import Array, Mask, np, npt
from gl002.boiler.live import Boiler
from gl002.boiler.steady import at_rest

HOLD: Final = 3_600.0
"""Seconds for which a value holds while no other comes."""

MINUTE: Final = 60.0
"""Seconds of the intervals that efficiencies are computed from."""

_NANOSECONDS: Final = 1_000_000_000

Places: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Times in nanoseconds, or places in a series."""


class Series(NamedTuple):
    """What one instrument showed.

    Attributes:
        time: ns since 1970, rising.
        value: in the engine's unit; anything where not sound.
        sound: whether the value may be used.
        doubted: whether it is only uncertain.
    """

    time: Places
    value: Array
    sound: Mask
    doubted: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Readings of one boiler at regular times.

    Attributes:
        start: of the first interval, ns since 1970.
        step: length of an interval, s.
        roles: role -> values in the engine's unit, not a number where nothing is known.
        doubted: role -> hours in which it was uncertain.
    """

    start: int
    step: float
    roles: Mapping[str, Array]
    doubted: Mapping[str, float]

    @property
    def size(self) -> int:
        """How many intervals."""
        return next((values.size for values in self.roles.values()), 0)

    @property
    def end(self) -> int:
        """After the last interval, ns since 1970."""
        return self.start + round(self.size * self.step * _NANOSECONDS)

    @property
    def times(self) -> Array:
        """Beginning of each interval, s since the start of the record."""
        return np.arange(self.size, dtype=float) * self.step

    def has(self, *roles: str) -> bool:
        """Whether something is known of all of these roles."""
        return all(r in self.roles and np.isfinite(self.roles[r]).any() for r in roles)

    def known(self, *roles: str) -> Mask:
        """For each interval whether all of these roles are known."""
        good = np.ones(self.size, dtype=bool)
        for role in roles:
            good &= np.isfinite(self.roles[role]) if role in self.roles else False
        return good

    def between(self, start: int, end: int) -> Record:
        """The part from a moment to before another."""
        first, last = (
            min(max(0, round((moment - self.start) / _NANOSECONDS / self.step)), self.size)
            for moment in (start, end)
        )
        return replace(
            self, start=self.start + round(first * self.step * _NANOSECONDS),
            roles={role: values[first:last] for role, values in self.roles.items()},
        )  # fmt: skip

    def means(self, step: float, good: Mask | None = None) -> Record:
        """The same in longer intervals, of which at least half must be known.

        Args:
            step: seconds, a multiple of the record's own.
            good: intervals that count; all where absent.
        """
        each = max(1, round(step / self.step))
        count = self.size // each
        roles = {}
        for role, values in self.roles.items():
            used = values if good is None else np.where(good, values, np.nan)
            rows = used[: count * each].reshape(count, each)
            found = np.isfinite(rows)
            sums, numbers = np.where(found, rows, 0.0).sum(axis=1), found.sum(axis=1)
            roles[role] = np.where(
                2 * numbers >= each, sums / np.maximum(numbers, 1), np.nan
            )  # fmt: skip
        return replace(self, step=each * self.step, roles=roles)


def record(
    series: Mapping[str, Series],
    start: int,
    end: int,
    *,
    step: float = MINUTE,
    means: bool = True,
    fixed: Mapping[str, float] | None = None,
) -> Record:
    """A record from what the instruments showed.

    Args:
        series: role -> what was shown from an hour before `start` on.
        start: ns since 1970.
        end: ns since 1970.
        step: seconds of an interval.
        means: means over each interval; the last value of each where False, with its noise.
        fixed: role -> value of roles that have no instrument.
    """
    width = round(step * _NANOSECONDS)
    count = max(0, (end - start) // width)
    edges = start + np.arange(count + 1, dtype=np.int64) * width
    heard = np.zeros(count, dtype=bool)
    roles, doubted = {}, {}
    for role, each in series.items():
        place = np.searchsorted(each.time, edges)
        heard |= np.diff(place) > 0
        roles[role] = _filled(each, edges, place, mean=means)
        if hours := _doubted(each, place) * step / 3600:
            doubted[role] = hours
    unheard = ~_near(heard, max(1, round(_SILENCE / step)))
    for values in roles.values():
        values[unheard] = np.nan
    for role, value in (fixed or {}).items():
        roles[role] = np.where(unheard, np.nan, value)
    return Record(start=start, step=step, roles=roles, doubted=doubted)


def _doubted(each: Series, place: Places) -> int:
    """In how many intervals a value came that was uncertain."""
    if place.size < 2:  # noqa: PLR2004 - no interval
        return 0
    uncertain = np.add.reduceat(np.append(each.doubted, False), place[:-1])
    return int(np.sum((uncertain > 0) & (np.diff(place) > 0)))


_SILENCE: Final = 600.0  # s in which some instrument of a boiler says something


def _near(heard: Mask, reach: int) -> Mask:
    """Whether something was heard in one of the `reach` intervals before, or in this one."""
    sums = np.cumsum(heard)
    return np.asarray(sums > np.concatenate([np.zeros(min(reach, sums.size)), sums[:-reach]]))


def _filled(each: Series, edges: Places, place: Places, *, mean: bool) -> Array:
    """Means or last values, held where no new one came."""
    last = place[1:] - 1
    if not each.time.size:
        return np.full(last.size, np.nan)
    at = np.maximum(last, 0)
    age = (edges[:-1] - each.time[at]) / _NANOSECONDS
    held = np.where((last >= 0) & each.sound[at] & (age <= HOLD), each.value[at], np.nan)
    if not mean:
        return held
    sums = np.concatenate([[0.0], np.cumsum(np.where(each.sound, each.value, 0.0))])
    numbers = np.concatenate([[0], np.cumsum(each.sound)])
    total, number = sums[place[1:]] - sums[place[:-1]], numbers[place[1:]] - numbers[place[:-1]]
    fresh = np.diff(place) > 0
    middle = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return np.where(fresh, middle, held)


def completed(found: Record, boiler: Boiler) -> Record:
    """The same with what follows from other roles: the load from the steam flow."""
    roles = dict(found.roles)
    if "load" not in roles and boiler.full_steam and "steam_flow" in roles:
        roles["load"] = roles["steam_flow"] / boiler.full_steam
    return replace(found, roles=roles)


def resting(found: Record, boiler: Boiler) -> Mask:
    """For each interval whether the boiler was at rest, as far as its instruments can tell."""
    roles = found.roles
    nothing = np.full(found.size, np.nan)
    return at_rest(
        roles.get("steam_flow", nothing), roles.get("pressure", nothing),
        roles.get("oxygen", nothing), step=found.step, full_steam=boiler.full_steam,
        limits=boiler.steady,
    )  # fmt: skip
