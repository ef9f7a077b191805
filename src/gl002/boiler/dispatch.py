"""Which boilers run, and how much steam each makes: least cost for a demand, within their limits.

Which are on is a mixed integer linear programme over all hours together (unit commitment; Wood and
Wollenberg, Power Generation, Operation and Control), solved by HiGHS through scipy; fuel curves are
convex and stand in it as their tangents. How those that are on share an hour is then solved
exactly, by equal incremental fuel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from gl002.boiler.arrays import Array, np
from gl002.errors import DataError, require

_TANGENTS: Final = 24
_SECONDS: Final = 20.0  # for the solver
_GAP: Final = 1e-4  # of the cost; what is left open by the solver
_TURNS: Final = 200
_SMALL: Final = 1e-9


class Curve(NamedTuple):
    """Fuel over steam: constant + linear x + quadratic x^2, of a boiler that is on.

    Attributes:
        constant: kW (HHV) that it takes to be on at all.
        linear: kW per kg/s.
        quadratic: kW per (kg/s)^2; not below 0, so that sharing has one best answer.
    """

    constant: float
    linear: float
    quadratic: float

    def at(self, steam: float) -> float:
        """Fuel, kW."""
        return self.constant + steam * (self.linear + steam * self.quadratic)

    def slope(self, steam: float) -> float:
        """Fuel for a little more steam, kW per kg/s."""
        return self.linear + 2 * self.quadratic * steam


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A boiler on a header.

    Attributes:
        name: of the boiler.
        curve: of its fuel.
        least: kg/s of steam below which it cannot run.
        most: kg/s.
        start_cost: of one start, in money: fuel to heat it up, wear.
        min_up: hours it must run once it is on.
        min_down: hours it must rest once it is off.
        ramp: most kg/s from one hour to the next; None for no limit.
        on: whether it runs before the first hour.
    """

    name: str
    curve: Curve
    least: float
    most: float
    start_cost: float = 0.0
    min_up: int = 1
    min_down: int = 1
    ramp: float | None = None
    on: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What each boiler makes.

    Attributes:
        steam: name -> kg/s in each hour, 0 where it is off.
        on: name -> whether it is on, hour by hour.
        fuel: kW (HHV) of all of them, hour by hour.
        cost: of fuel and starts together.
        starts: name -> how often it is started.
        marginal: fuel for one more kg/s of steam, kW, hour by hour.
    """

    steam: Mapping[str, tuple[float, ...]]
    on: Mapping[str, tuple[bool, ...]]
    fuel: tuple[float, ...]
    cost: float
    starts: Mapping[str, int]
    marginal: tuple[float, ...]


def fit_curve(steam: Array, fuel: Array) -> Curve:
    """A convex curve through readings at rest, by least squares.

    Args:
        steam: kg/s.
        fuel: kW (HHV).

    Raises:
        DataError: too few readings, or all at one load.
    """
    good = np.isfinite(steam) & np.isfinite(fuel)
    x, y = steam[good], fuel[good]
    if x.size < 6 or np.ptp(x) < 0.05 * float(np.mean(x)):  # noqa: PLR2004 - three coefficients, twice
        raise DataError("the fuel over its load is not known: too few loads in this time")
    quadratic, linear, constant = np.polyfit(x, y, 2)
    if quadratic < 0 or constant < 0:
        quadratic = 0.0
        linear, constant = np.polyfit(x, y, 1)
    if constant < 0:
        linear, constant = float(x @ y / (x @ x)), 0.0
    return Curve(float(constant), float(linear), float(quadratic))


def share(units: Sequence[Unit], demand: float) -> tuple[dict[str, float], float]:
    """How boilers that are on share a demand with the least fuel, and the fuel of one more kg/s.

    At the best, one more kg/s costs the same fuel in all that are at no limit of theirs.

    Raises:
        DataError: they cannot make so little or so much.
    """
    least, most = sum(u.least for u in units), sum(u.most for u in units)
    if not least - _SMALL <= demand <= most + _SMALL:
        raise DataError(
            f"boilers that make {least:.4g} to {most:.4g} kg/s together cannot make {demand:.4g}"
        )
    if not units:
        return {}, 0.0
    low = min(u.curve.slope(u.least) for u in units) - 1.0
    high = max(u.curve.slope(u.most) for u in units) + 1.0
    for _ in range(_TURNS):
        middle = (low + high) / 2
        if sum(_made(u, middle) for u in units) < demand:
            low = middle
        else:
            high = middle
    found = {u.name: _made(u, low) for u in units}
    _fill(units, found, demand, high)
    return found, high


def _made(unit: Unit, price: float) -> float:
    """Steam at which one more kg/s costs this fuel."""
    if unit.curve.quadratic <= _SMALL:
        return unit.most if unit.curve.linear < price else unit.least
    wanted = (price - unit.curve.linear) / (2 * unit.curve.quadratic)
    return min(max(wanted, unit.least), unit.most)


def _fill(units: Sequence[Unit], found: dict[str, float], demand: float, price: float) -> None:
    """What boilers of straight curves leave open goes to the first that can take it."""
    for unit in units:
        missing = demand - sum(found.values())
        if missing <= _SMALL:
            return
        room = _made(unit, price) - found[unit.name]
        found[unit.name] += min(max(room, 0.0), missing)


def allocate(
    units: Sequence[Unit],
    demand: Sequence[float],
    *,
    prices: Sequence[float] | float = 1.0,
    reserve: float | Literal["n+1"] = 0.0,
) -> Allocation:
    """Which boilers run in which hour, and how much each makes.

    Args:
        units: the boilers of the header.
        demand: steam, kg/s, hour by hour.
        prices: of fuel per MWh (HHV), one for all hours or one for each.
        reserve: kg/s that those that are on could make more at any time; 'n+1' for as much as
            keeps the demand met when any one of them fails.

    Raises:
        DataError: no unit, or the demand cannot be met within the limits.
        MissingDependency: scipy is not installed.
    """
    if not units or not demand:
        raise DataError("there is nothing to allocate: no boiler, or no demand")
    price = [float(prices)] * len(demand) if isinstance(prices, int | float) else list(prices)
    on, made = _Programme(units, demand, price, reserve).solved()
    return _priced(units, demand, price, on, made)


def _priced(
    units: Sequence[Unit],
    demand: Sequence[float],
    price: Sequence[float],
    on: Array,
    made: Array,
) -> Allocation:
    """The commitment with its exact shares; those of the programme where ramps bind hours."""
    steam: dict[str, list[float]] = {u.name: [] for u in units}
    fuel, marginal = [], []
    free = all(u.ramp is None for u in units)
    for t, wanted in enumerate(demand):
        running = [u for i, u in enumerate(units) if on[t, i]]
        exact, slope = share(running, wanted)
        shares = exact if free else {u.name: float(made[t, i]) for i, u in enumerate(units)}
        for u in units:
            steam[u.name].append(shares.get(u.name, 0.0) if u in running else 0.0)
        fuel.append(sum(u.curve.at(steam[u.name][t]) for u in running))
        marginal.append(slope)
    starts = {
        u.name: int(np.sum(np.diff(np.concatenate([[u.on], on[:, i]]).astype(int)) > 0))
        for i, u in enumerate(units)
    }
    cost = sum(p * f / 1000 for p, f in zip(price, fuel, strict=True))
    return Allocation(
        steam={name: tuple(each) for name, each in steam.items()},
        on={u.name: tuple(bool(each) for each in on[:, i]) for i, u in enumerate(units)},
        fuel=tuple(fuel), starts=starts, marginal=tuple(marginal),
        cost=cost + sum(u.start_cost * starts[u.name] for u in units),
    )  # fmt: skip


class _Programme:
    """The mixed integer programme: for each hour and boiler steam, fuel, on, started, stopped."""

    def __init__(
        self,
        units: Sequence[Unit],
        demand: Sequence[float],
        price: Sequence[float],
        reserve: float | Literal["n+1"],
    ) -> None:
        self._units, self._demand, self._price = units, demand, price
        self._reserve: float | Literal["n+1"] = reserve
        self._hours, self._count = len(demand), len(units)
        self._rows: list[tuple[dict[int, float], float, float]] = []

    def solved(self) -> tuple[Array, Array]:
        """Whether each boiler is on, and its steam; hours by boilers.

        Raises:
            DataError: nothing satisfies the limits, or not within the time of the solver.
        """
        require("scipy", extra="boiler")
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        self._constrain()
        size = 5 * self._hours * self._count
        where = [(r, c) for r, (row, _, _) in enumerate(self._rows) for c in row]
        values = [v for row, _, _ in self._rows for v in row.values()]
        matrix = csr_array(
            (values, tuple(np.array(where).T)), shape=(len(self._rows), size)
        )  # fmt: skip
        limits = LinearConstraint(
            matrix, np.array([low for _, low, _ in self._rows]),
            np.array([high for _, _, high in self._rows]),
        )  # fmt: skip
        binary = np.zeros(size, dtype=np.int64)
        highest = np.full(size, math.inf)
        for kind in ("on", "started", "stopped"):
            for t in range(self._hours):
                for i in range(self._count):
                    binary[self._at(kind, t, i)] = 1
                    highest[self._at(kind, t, i)] = 1
        found = milp(
            self._cost(size), constraints=limits, integrality=binary,
            bounds=Bounds(np.zeros(size), highest),
            options={"time_limit": _SECONDS, "mip_rel_gap": _GAP},
        )  # fmt: skip
        if found.x is None:
            raise DataError(
                "the demand cannot be met within the limits of the boilers",
                hint="look at their least and most steam, the reserve and the least times",
            )
        x = np.asarray(found.x)
        shape = (self._hours, self._count)
        on = np.array([[x[self._at("on", t, i)] > 0.5 for i in range(shape[1])]  # noqa: PLR2004 - of 0 and 1
                       for t in range(shape[0])])  # fmt: skip
        made = np.array(
            [[x[self._at("steam", t, i)] for i in range(shape[1])] for t in range(shape[0])]
        )
        return on, made

    def _at(self, kind: str, hour: int, unit: int) -> int:
        """Where a variable stands."""
        block = ("steam", "fuel", "on", "started", "stopped").index(kind)
        return (block * self._hours + hour) * self._count + unit

    def _cost(self, size: int) -> Array:
        cost = np.zeros(size)
        for t in range(self._hours):
            for i, unit in enumerate(self._units):
                cost[self._at("fuel", t, i)] = self._price[t] / 1000
                # a start without a cost is a little worse than none
                cost[self._at("started", t, i)] = max(unit.start_cost, 1e-6)
        return cost

    def _add(
        self, row: dict[int, float], low: float = -math.inf, high: float = math.inf
    ) -> None:  # fmt: skip
        self._rows.append((row, low, high))

    def _constrain(self) -> None:
        for t, demand in enumerate(self._demand):
            steam = {self._at("steam", t, i): 1.0 for i in range(self._count)}
            self._add(steam, demand, demand)
            self._reserved(t, demand)
            for i, unit in enumerate(self._units):
                self._limits(t, i, unit)
                self._switching(t, i, unit)

    def _reserved(self, t: int, demand: float) -> None:
        most = {self._at("on", t, i): unit.most for i, unit in enumerate(self._units)}
        if self._reserve == "n+1":
            for i in range(self._count):
                others = {k: v for k, v in most.items() if k != self._at("on", t, i)}
                self._add(others, demand)
        elif self._reserve:
            self._add(most, demand + self._reserve)

    def _limits(self, t: int, i: int, unit: Unit) -> None:
        steam, fuel, on = (self._at(kind, t, i) for kind in ("steam", "fuel", "on"))
        self._add({steam: 1.0, on: -unit.most}, high=0.0)
        self._add({steam: 1.0, on: -unit.least}, low=0.0)
        for x in np.linspace(unit.least, unit.most, _TANGENTS):
            slope = unit.curve.slope(float(x))
            at_zero = unit.curve.at(float(x)) - slope * float(x)
            self._add({fuel: 1.0, steam: -slope, on: -at_zero}, low=0.0)
        if unit.ramp is not None and t > 0:
            # starting and stopping is no ramp: a boiler comes to the header with its least steam
            before = self._at("steam", t - 1, i)
            started, stopped = self._at("started", t, i), self._at("stopped", t, i)
            self._add({steam: 1.0, before: -1.0, started: -unit.least}, high=unit.ramp)
            self._add({steam: -1.0, before: 1.0, stopped: -unit.least}, high=unit.ramp)

    def _switching(self, t: int, i: int, unit: Unit) -> None:
        on, started, stopped = (self._at(kind, t, i) for kind in ("on", "started", "stopped"))
        row = {on: 1.0, started: -1.0, stopped: 1.0}
        if t == 0:
            self._add(row, float(unit.on), float(unit.on))
        else:
            self._add({**row, self._at("on", t - 1, i): -1.0}, 0.0, 0.0)
        recent = range(max(0, t - unit.min_up + 1), t + 1)
        self._add({**{self._at("started", k, i): 1.0 for k in recent}, on: -1.0}, high=0.0)
        recent = range(max(0, t - unit.min_down + 1), t + 1)
        self._add({**{self._at("stopped", k, i): 1.0 for k in recent}, on: 1.0}, high=1.0)
