"""Data reconciliation: readings that contradict each other, made to agree as little as it takes.

Weighted least squares under the balances of mass, salts and energy (the idea of VDI 2048; method
as in Narasimhan and Jordache, Data Reconciliation and Gross Error Detection, 2000). Balances that
multiply two unknowns (flow times solids) are linearised and solved again until nothing moves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, TypeAlias

from gl002.boiler.arrays import Array, np
from gl002.errors import DataError

Balance: TypeAlias = Callable[[Mapping[str, float]], float]
"""What comes in less what goes out; 0 where the values agree."""

_TURNS: Final = 50
_SMALL: Final = 1e-7  # relative; the numerical Jacobian is good to about a tenth of it
_SATISFIED: Final = 1e-6
_TIE: Final = 1e-6  # objectives that are equal but for rounding
_INDEPENDENT: Final = 1e-9  # share of a singular value that counts as none


@dataclass(frozen=True, slots=True)
class Reading:
    """A value to reconcile.

    Attributes:
        value: measured; the first guess where it was not measured.
        standard: standard uncertainty; None where it was not measured.
    """

    value: float
    standard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Values that satisfy all balances.

    Attributes:
        values: name -> value.
        standards: name -> its standard uncertainty; less than that of the reading, or infinite
            where nothing determines the value.
        tests: measured name -> how far it was moved, in standard deviations of that move; beyond
            `critical` it is suspect. A reading that no balance checks has 0.
        objective: sum of squared, weighted moves.
        redundancy: how many balances are left over to check with.
        critical: limit of `tests` at 95 % for all of them together.
        limit: of `objective` at 95 %.
        suspects: readings with gross errors, the worst first, in the order they were found.
    """

    values: Mapping[str, float]
    standards: Mapping[str, float]
    tests: Mapping[str, float]
    objective: float
    redundancy: int
    critical: float
    limit: float
    suspects: tuple[str, ...] = ()

    @property
    def consistent(self) -> bool:
        """Whether the readings contradict each other no more than their uncertainties explain."""
        return self.redundancy == 0 or self.objective <= self.limit


def reconcile(readings: Mapping[str, Reading], balances: Sequence[Balance]) -> Reconciled:
    """Values that satisfy the balances and are as near to the readings as can be.

    Args:
        readings: name -> reading. Those without a standard uncertainty are found from the others.
        balances: each gives 0 for values that agree. Of any smooth form; taken as linear near the
            readings.

    Raises:
        DataError: a standard uncertainty that is not above 0, balances that contradict each other
            or that nothing can satisfy.
    """
    for name, reading in readings.items():
        if reading.standard is not None and not reading.standard > 0:
            raise DataError(f"{name}: standard uncertainty {reading.standard:g} is not above 0")
    system = _System(readings, balances)
    x = system.first.copy()
    for _ in range(_TURNS):
        new = system.nearest(x)
        moved = float(np.max(np.abs(new - x) / np.maximum(np.abs(new), 1.0), initial=0.0))
        x = new
        if moved < _SMALL:
            break
    else:
        raise DataError("the balances cannot be satisfied near the readings")
    return system.judged(x)


def find_gross_errors(
    readings: Mapping[str, Reading], balances: Sequence[Balance], *, most: int = 2
) -> Reconciled:
    """As `reconcile`, leaving out readings until the rest agree (serial elimination).

    A reading is suspect when leaving it out makes the rest consistent and no other one does better.

    Args:
        readings: as for `reconcile`.
        balances: as for `reconcile`.
        most: how many readings may be left out.

    Returns:
        The reconciliation without the first suspect of each turn, whose value is found from the
        others. Readings that explain the contradiction equally well are all named.

    Raises:
        DataError: as `reconcile`.
    """
    found = reconcile(readings, balances)
    left = dict(readings)
    suspects: list[str] = []
    for _ in range(most):
        if found.consistent or found.redundancy < 1:
            break
        trials = {}
        for name, test in found.tests.items():
            if test <= found.critical or name in suspects:
                continue
            trial = _without(left, name, balances)
            if trial is not None:
                trials[name] = trial
        if not trials:
            break
        least = min(each.objective for each in trials.values())
        worst = [n for n, each in trials.items() if each.objective <= least + _TIE]
        suspects += worst
        left[worst[0]] = Reading(left[worst[0]].value)
        found = trials[worst[0]]
    return replace(found, suspects=tuple(suspects))


def _without(
    readings: Mapping[str, Reading], name: str, balances: Sequence[Balance]
) -> Reconciled | None:
    """The reconciliation without one reading; None where it makes no sense.

    A value that has to change its sign is no explanation: blowdown does not flow in.
    """
    try:
        found = reconcile({**readings, name: Reading(readings[name].value)}, balances)
    except DataError:
        return None
    same = all(found.values[n] * each.value >= 0 for n, each in readings.items())
    return found if same else None


class _System:
    """Readings and balances as vectors and matrices, names in one order."""

    def __init__(self, readings: Mapping[str, Reading], balances: Sequence[Balance]) -> None:
        self._names = list(readings)
        self._balances = balances
        standards = [reading.standard for reading in readings.values()]
        self._measured = [i for i, each in enumerate(standards) if each is not None]
        self._unknown = [i for i, each in enumerate(standards) if each is None]
        self._variance = np.array([(each or 0.0) ** 2 for each in standards])
        self.first = np.array([float(reading.value) for reading in readings.values()])

    def nearest(self, x: Array) -> Array:
        """The values nearest to the readings under the balances as they are linear at `x`.

        What was not measured is projected out first, and found from the rest afterwards.
        """
        jacobian, residual = self._linear(x)
        target = residual - jacobian @ x
        first, measured, unknown = self.first, self._measured, self._unknown
        known, free = jacobian[:, measured], jacobian[:, unknown]
        projector = _projector(free)
        reduced, rest = projector @ known, projector @ (target + known @ first[measured])
        spread = self._variance[measured]
        middle = reduced @ (spread[:, None] * reduced.T)
        found = first.copy()
        found[measured] = first[measured] - spread * (reduced.T @ (np.linalg.pinv(middle) @ rest))
        if unknown:
            right = -(target + known @ found[measured])
            found[unknown] = first[unknown] + np.linalg.pinv(free) @ (right - free @ first[unknown])
        return found

    def judged(self, x: Array) -> Reconciled:
        """The result at the solution: uncertainties, and the tests for gross errors.

        Raises:
            DataError: `x` is no solution.
        """
        jacobian, residual = self._linear(x)
        size = np.abs(jacobian) @ np.maximum(np.abs(x), 1.0) + 1.0
        if np.any(np.abs(residual) > _SATISFIED * size):
            raise DataError("the balances contradict each other")
        measured, variance = self._measured, self._variance[self._measured]
        spread = np.diag(variance)
        reduced = _projector(jacobian[:, self._unknown]) @ jacobian[:, measured]
        middle = reduced @ spread @ reduced.T
        of_moves = spread @ reduced.T @ np.linalg.pinv(middle) @ reduced @ spread
        left = spread - of_moves
        moves = self.first[measured] - x[measured]
        redundancy = int(np.linalg.matrix_rank(middle)) if middle.size else 0
        tests = {
            self._names[i]: _test(moves[n], of_moves[n, n], variance[n])
            for n, i in enumerate(measured)
        }
        standards = {self._names[i]: _root(left[n, n]) for n, i in enumerate(measured)}
        standards.update(self._of_unknown(jacobian, left))
        return Reconciled(
            values=dict(zip(self._names, map(float, x), strict=True)),
            standards={name: standards[name] for name in self._names},
            tests=tests,
            objective=float(np.sum(moves**2 / variance)),
            redundancy=redundancy,
            critical=_normal_limit(sum(test > 0 for test in tests.values())),
            limit=_chi_square_limit(redundancy),
        )

    def _linear(self, x: Array) -> tuple[Array, Array]:
        """Jacobian and value of all balances at `x`, by central differences."""
        values = dict(zip(self._names, map(float, x), strict=True))
        residual = np.array([balance(values) for balance in self._balances])
        jacobian = np.empty((len(self._balances), len(self._names)))
        for column, name in enumerate(self._names):
            step = max(1e-6 * abs(values[name]), 1e-3 * math.sqrt(self._variance[column]), 1e-9)
            above = {**values, name: values[name] + step}
            below = {**values, name: values[name] - step}
            jacobian[:, column] = [(b(above) - b(below)) / (2 * step) for b in self._balances]
        return jacobian, residual

    def _of_unknown(self, jacobian: Array, left: Array) -> dict[str, float]:
        """Uncertainties of what was not measured; infinite where the balances leave it open."""
        if not self._unknown:
            return {}
        free = jacobian[:, self._unknown]
        inverse = np.linalg.pinv(free)
        carried = inverse @ jacobian[:, self._measured]
        spread = np.diag(carried @ left @ carried.T)
        determined = np.diag(inverse @ free) > 1 - _SATISFIED
        return {
            self._names[i]: _root(spread[n]) if determined[n] else math.inf
            for n, i in enumerate(self._unknown)
        }


def _projector(free: Array) -> Array:
    """Rows that combine balances so that what was not measured falls out of them."""
    rows = free.shape[0]
    if free.shape[1] == 0:
        return np.eye(rows)
    left, sizes, _ = np.linalg.svd(free)
    rank = int(np.sum(sizes > _INDEPENDENT * max(float(sizes[0]), _SMALL))) if sizes.size else 0
    return np.asarray(left[:, rank:].T)


def _test(move: float, variance: float, of_reading: float) -> float:
    """How far a reading was moved, in standard deviations; 0 where no balance checks it."""
    return abs(float(move)) / _root(variance) if variance > 1e-12 * of_reading else 0.0


def _root(variance: float) -> float:
    """Standard deviation of a variance that rounding may have made negative."""
    return math.sqrt(max(float(variance), 0.0))


def _normal_limit(tests: int) -> float:
    """Two-sided limit of one of several normal tests, 5 % for all together (Sidak)."""
    share = 1 - 0.95 ** (1 / max(tests, 1))
    return NormalDist().inv_cdf(1 - share / 2)


def _chi_square_limit(redundancy: int) -> float:
    """95 % limit of a chi-square (Wilson and Hilferty's cube, within 1 % from 1 on)."""
    if redundancy == 0:
        return math.inf
    if redundancy == 1:
        return 3.841_459
    part = 2 / (9 * redundancy)
    return redundancy * (1 - part + 1.644_854 * math.sqrt(part)) ** 3


# ---- balances of boilers ----------------------------------------------------------------------


def balances_of_boiler(
    prefix: str = "", *, salts: bool = True, energy: bool = True
) -> list[Balance]:
    """The balances of one boiler, over these names (after `prefix`).

    'feedwater', 'steam', 'blowdown' (flows of one unit); 'feedwater_solids', 'boiler_solids' (of
    one unit); 'fuel_heat' (kW, HHV), 'efficiency' (percent, HHV), 'steam_rise' and 'blowdown_rise'
    (kJ/kg above feedwater).

    Args:
        prefix: before each name, 'boiler1.'.
        salts: with the balance of dissolved solids.
        energy: with the balance of energy; flows are kg/s then.
    """
    feed, out, blown = (prefix + name for name in ("feedwater", "steam", "blowdown"))

    def water(x: Mapping[str, float]) -> float:
        return x[feed] - x[out] - x[blown]

    def solids(x: Mapping[str, float]) -> float:
        return x[feed] * x[prefix + "feedwater_solids"] - x[blown] * x[prefix + "boiler_solids"]

    def heat(x: Mapping[str, float]) -> float:
        taken = x[out] * x[prefix + "steam_rise"] + x[blown] * x[prefix + "blowdown_rise"]
        return x[prefix + "fuel_heat"] * x[prefix + "efficiency"] / 100 - taken

    return [water, *([solids] if salts else []), *([heat] if energy else [])]


def balance_of_header(incoming: Sequence[str], outgoing: Sequence[str]) -> Balance:
    """What several boilers give to a header is what its consumers take."""
    names = list(itertools.chain(incoming, outgoing))
    signs = [1.0] * len(incoming) + [-1.0] * len(outgoing)

    def header(x: Mapping[str, float]) -> float:
        return sum(sign * x[name] for sign, name in zip(signs, names, strict=True))

    return header
