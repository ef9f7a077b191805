"""How a clean boiler behaves: a regression over records in health, with the range it is good for.

A baseline is the one thing the engine remembers. It is named, plain numbers, and can be written to
a file (`as_dict`) and read back. Outside the conditions it was learned from it says so: a straight
line beyond its data drifts by several kelvin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.uncertainty import Estimate, Part
from gl002.errors import DataError

STACK_TERMS: Final = ("load", "load^2", "feedwater_temperature", "oxygen")
"""What the temperature of a clean stack depends on."""

_TIMES: Final = 5  # readings per term, at the least
_MARGIN: Final = 0.05  # share of a range by which it may be left


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A linear regression and what it was made from.

    Attributes:
        name: of the baseline, 'boiler1.stack_temperature'.
        response: what it predicts.
        terms: 'load', or a power of it, 'load^2'; the constant is always there.
        coefficients: of the constant and the terms, in this order.
        covariance: of the coefficients, row by row.
        deviation: standard deviation of the residuals.
        autocorrelation: of the residuals from one reading to the next.
        ranges: variable -> lowest and highest value it was made from.
        count: readings it was made from.
        mean: of the response over them.
    """

    name: str
    response: str
    terms: tuple[str, ...]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    deviation: float
    autocorrelation: float
    ranges: Mapping[str, tuple[float, float]]
    count: int
    mean: float

    @property
    def cv_rmse(self) -> float:
        """Deviation of the residuals, share of the mean response (ASHRAE Guideline 14)."""
        return self.deviation / abs(self.mean)

    @property
    def effective_count(self) -> float:
        """How many independent readings the record was worth."""
        rho = min(max(self.autocorrelation, 0.0), 0.99)
        return self.count * (1 - rho) / (1 + rho)

    def predict(self, conditions: Mapping[str, float]) -> Estimate:
        """What the response would be in health, with its uncertainty for one reading.

        Raises:
            DataError: a variable that is missing.
        """
        row = self._row(conditions)
        covariance = np.array(self.covariance)
        spread = float(row @ covariance @ row) * self.count / max(self.effective_count, 1.0)
        return Estimate(
            value=float(row @ np.array(self.coefficients)),
            parts={
                "baseline": Part(math.sqrt(max(spread, 0.0))),
                "scatter": Part(0.0, self.deviation),
            },
        )

    def predict_all(self, record: Mapping[str, Array]) -> Array:
        """What the response would have been in health over a record."""
        return np.asarray(design(self.terms, record) @ np.array(self.coefficients))

    def outside(self, conditions: Mapping[str, float]) -> tuple[str, ...]:
        """Why the baseline is not good for these conditions, in sentences; empty where it is."""
        reasons = []
        for name, (low, high) in self.ranges.items():
            slack = _MARGIN * (high - low)
            if not low - slack <= conditions[name] <= high + slack:
                reasons.append(
                    f"{name.replace('_', ' ')} {conditions[name]:.4g} is outside {low:.4g} to "
                    f"{high:.4g}, which {self.name} was learned from"
                )
        return tuple(reasons)

    def known(self, record: Mapping[str, Array]) -> Mask:
        """For each reading of a record whether the baseline is good for its conditions."""
        good = np.ones(next(iter(record.values())).size, dtype=bool)
        for name, (low, high) in self.ranges.items():
            slack = _MARGIN * (high - low)
            good &= (record[name] >= low - slack) & (record[name] <= high + slack)
        return good

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and names, for a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A baseline that `as_dict` wrote, also after a passage through JSON."""
        plain = dict(data)
        plain["terms"] = tuple(data["terms"])
        plain["coefficients"] = tuple(data["coefficients"])
        plain["covariance"] = tuple(tuple(row) for row in data["covariance"])
        plain["ranges"] = {name: tuple(limits) for name, limits in data["ranges"].items()}
        return cls(**plain)

    def _row(self, conditions: Mapping[str, float]) -> Array:
        missing = sorted(self.ranges.keys() - conditions.keys())
        if missing:
            raise DataError(f"{self.name} needs {', '.join(missing)}")
        one = {name: np.array([conditions[name]]) for name in self.ranges}
        return np.asarray(design(self.terms, one)[0])


def fit(name: str, response: str, terms: Sequence[str], record: Mapping[str, Array]) -> Baseline:
    """Learn a baseline by least squares.

    Args:
        name: of the baseline.
        response: the role to predict.
        terms: roles and their powers, `STACK_TERMS` for the temperature of the stack.
        record: role -> readings at the same times, all in health and at rest; rows with a value
            that is not finite are left out.

    Raises:
        DataError: a role that is missing, too few readings, or variables that do not vary
            independently of each other.
    """
    variables = [term.partition("^")[0] for term in terms]
    missing = sorted({response, *variables} - record.keys())
    if missing:
        raise DataError(f"{name} needs {', '.join(missing)}")
    used = {each: np.asarray(record[each], dtype=float) for each in {response, *variables}}
    good = np.all(np.isfinite(np.stack(list(used.values()))), axis=0)
    used = {each: values[good] for each, values in used.items()}
    count, size = int(good.sum()), len(terms) + 1
    if count < _TIMES * size:
        raise DataError(f"{name}: {count} readings are too few for {len(terms)} terms")
    matrix, y = design(terms, used), used[response]
    scale = np.maximum(np.max(np.abs(matrix), axis=0), 1e-12)
    if np.linalg.matrix_rank(matrix / scale, tol=1e-6 * math.sqrt(count)) < size:
        raise DataError(
            f"{name}: {', '.join(variables)} do not vary independently in this record",
            hint="a record with more loads, or fewer terms",
        )
    inverse = np.linalg.inv((matrix / scale).T @ (matrix / scale)) / np.outer(scale, scale)
    coefficients = inverse @ matrix.T @ y
    residual = y - matrix @ coefficients
    deviation = float(np.sqrt(residual @ residual / (count - size)))
    return Baseline(
        name=name, response=response, terms=tuple(terms),
        coefficients=tuple(map(float, coefficients)),
        covariance=tuple(tuple(map(float, row)) for row in deviation**2 * inverse),
        deviation=deviation, autocorrelation=_autocorrelation(residual),
        ranges={v: (float(used[v].min()), float(used[v].max())) for v in dict.fromkeys(variables)},
        count=count, mean=float(y.mean()),
    )  # fmt: skip


def design(terms: Sequence[str], record: Mapping[str, Array]) -> Array:
    """A row for each reading: 1 and the terms."""
    columns = []
    for term in terms:
        variable, _, power = term.partition("^")
        columns.append(np.asarray(record[variable], dtype=float) ** int(power or 1))
    return np.column_stack([np.ones_like(columns[0]), *columns])


def _autocorrelation(residual: Array) -> float:
    spread = float(residual @ residual)
    return float(residual[1:] @ residual[:-1]) / spread if spread > 0 else 0.0
