"""Several simulated boilers on one header: what the consumers take, the boilers make.

    house = House.of(3, seed=7)
    house.step(60.0)
    house.share = {"boiler1": 2.0, "boiler2": 1.0, "boiler3": 1.0}   # the first makes twice as much
    house.signals()["FT001"].value       # steam of the header, lb/hr

The boilers are not equal: the further down the list, the dirtier, so that how they share the steam
matters. What the header delivers is what they make, to the last digit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

from gl002.errors import ConfigError, DataError
from gl002.sim import furnace
from gl002.sim.plant import FULL_STEAM, Plant, Signal, daily_load

MOST_BOILERS: Final = 20

_DIRT: Final = 0.10  # of heat transfer, what each boiler has lost more than the one before it
_MOST_DIRT: Final = 0.5
_LEAST, _MOST = 0.30, 1.0  # share of full load that a boiler can make
_NOISE: Final = 400.0  # lb/hr, of the header's own meter


class House:
    """Boilers that feed one header.

    Args:
        plants: whose load the house sets; made by `House.of`.
        demand: share of all full loads together over time in seconds.
        seed: of the noise of the header's meter.

    Attributes:
        plants: the boilers.
        share: name -> weight with which a boiler takes part; equal at first.
    """

    def __init__(
        self,
        plants: Sequence[Plant],
        demand: Callable[[float], float],
        *,
        seed: int = 0,
        noise: bool = True,
    ) -> None:
        self.plants = list(plants)
        self.share: dict[str, float] = {plant.name: 1.0 for plant in plants}
        self._demand = demand
        self._noise = noise
        self._chance = random.Random(f"header/{seed}")  # noqa: S311 (noise, no secret)
        self._measure()

    @classmethod
    def of(
        cls,
        count: int,
        *,
        seed: int = 0,
        noise: bool = True,
        demand: Callable[[float], float] = daily_load,
    ) -> Self:
        """A house of this many boilers, 'boiler1' and on.

        Raises:
            ConfigError: none, or too many.
        """
        if not 1 <= count <= MOST_BOILERS:
            raise ConfigError(f"{count} boilers", hint=f"1 to {MOST_BOILERS}")
        made: list[House] = []

        def load_of(number: int) -> Callable[[float], float]:
            return lambda time: made[0].load(number, time) if made else demand(time)

        plants = [
            Plant(
                f"boiler{number + 1}", seed=seed, noise=noise, load=load_of(number),
                soot=_dirt(number),
            )
            for number in range(count)
        ]  # fmt: skip
        house = cls(plants, demand, seed=seed, noise=noise)
        made.append(house)
        return house

    def load(self, number: int, time: float) -> float:
        """Share of full load that a boiler has to make; what one cannot make, the others do.

        Args:
            number: of the boiler, from 0.
            time: seconds.
        """
        weights = [max(self.share.get(plant.name, 0.0), 0.0) for plant in self.plants]
        wanted = self._demand(time) * len(self.plants)
        return shared(weights, wanted)[number]

    def step(self, dt: float) -> None:
        """Let time pass in all boilers.

        Raises:
            DataError: negative, not a number, or more than a day.
        """
        for plant in self.plants:
            plant.step(dt)
        self._measure()

    def signals(self) -> Mapping[str, Signal]:
        """What the header's own instruments show."""
        return self._signals

    @property
    def steam(self) -> float:
        """What the consumers get, lb/hr: what the boilers make."""
        return sum(plant.steam for plant in self.plants)

    def _measure(self) -> None:
        shown = self.steam + (self._chance.gauss(0.0, _NOISE) if self._noise else 0.0)
        high = 1.5 * FULL_STEAM * len(self.plants)
        self._signals = {
            "FT001": Signal(
                min(max(shown, 0.0), high), "lb/hr", "Steam to the consumers", low=0.0, high=high
            )
        }


def shared(weights: Sequence[float], wanted: float) -> list[float]:
    """Loads in proportion to weights, each within what a boiler can make.

    Args:
        weights: of the boilers; 0 leaves one at its least load, for it stays on the header.
        wanted: sum of the loads.

    Raises:
        DataError: no weight at all.
    """
    if not any(weights):
        raise DataError("no boiler takes part", hint="at least one share above 0")
    low, high = 0.0, _MOST / min(weight for weight in weights if weight)
    for _ in range(60):
        middle = (low + high) / 2
        if math.fsum(_within(middle * weight) for weight in weights) < wanted:
            low = middle
        else:
            high = middle
    return [_within(high * weight) for weight in weights]


def _within(load: float) -> float:
    return min(max(load, _LEAST), _MOST)


def _dirt(number: int) -> Callable[[float], float]:
    lasting = min(_DIRT * number, _MOST_DIRT)
    return lambda time: lasting + furnace.fouling(time)
