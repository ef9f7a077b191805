"""Heat exchangers of flue gas: what both sides together show, in counterflow.

Temperatures degC, heat kW, heat capacity flows kW/K.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gl002.errors import DataError

DISAGREEMENT: Final = 0.15
"""Share by which the heat of both sides may differ before an instrument is at fault."""

_MOST_EFFECTIVE: Final = 0.999
_BALANCED: Final = 1 - 1e-9  # ratio of capacities beyond which both streams count as equal


class Exchange(NamedTuple):
    """What an exchanger does, by the mean of both sides, so that no instrument alone decides.

    Attributes:
        gas_capacity, cold_capacity: mean heat capacity flows, kW/K.
        effectiveness: share of the greatest possible heat.
        transfer_units: of a counterflow exchanger with this effectiveness.
        ua: heat transfer, kW/K.
        disagreement: how much more the gas gives than the other side takes, share of their mean.
    """

    gas_capacity: float
    cold_capacity: float
    effectiveness: float
    transfer_units: float
    ua: float
    disagreement: float


def exchange(
    given: float, taken: float, gas: tuple[float, float], cold: tuple[float, float]
) -> Exchange:
    """What an exchanger does.

    Args:
        given: heat that the gas gives.
        taken: heat that the other side takes.
        gas: temperatures of the gas before and behind it; it cools.
        cold: temperatures of the other side before and behind it; it warms.
    """
    of_gas, of_cold = given / (gas[0] - gas[1]), taken / (cold[1] - cold[0])
    least, most = min(of_gas, of_cold), max(of_gas, of_cold)
    share = (given + taken) / 2 / (least * (gas[0] - cold[0]))
    units = transfer_units(min(share, _MOST_EFFECTIVE), least / most)
    return Exchange(
        gas_capacity=of_gas, cold_capacity=of_cold, effectiveness=share, transfer_units=units,
        ua=units * least, disagreement=2 * (given - taken) / (given + taken),
    )  # fmt: skip


def disagreeing(share: float, cold: str) -> str:
    """That both sides show different heat, in words that want a cause; '' where they agree.

    Args:
        share: `Exchange.disagreement`.
        cold: what the other side is, 'water' or 'air'.
    """
    if abs(share) <= DISAGREEMENT:
        return ""
    more, less = ("gas", cold) if share > 0 else (cold, "gas")
    return f"the {more} side shows {abs(share):.0%} more heat than the {less} side: "


def effectiveness(units: float, ratio: float) -> float:
    """Share of the greatest possible heat a counterflow exchanger moves.

    Args:
        units: transfer units, UA over the lesser heat capacity flow.
        ratio: lesser over greater heat capacity flow, 0 to 1.

    Raises:
        DataError: units below 0 or a ratio outside 0 to 1.
    """
    if not (units >= 0 and 0 <= ratio <= 1):
        raise DataError(f"{units:.4g} transfer units at a ratio of {ratio:.4g} are no exchanger")
    if ratio > _BALANCED:
        return units / (1 + units)
    decay = math.exp(-units * (1 - ratio))
    return (1 - decay) / (1 - ratio * decay)


def transfer_units(share: float, ratio: float) -> float:
    """Transfer units of a counterflow exchanger of this effectiveness.

    Raises:
        DataError: an effectiveness outside 0 to 1, or a ratio outside 0 to 1.
    """
    if not (0 <= share < 1 and 0 <= ratio <= 1):
        raise DataError(f"effectiveness {share:.4g} at a ratio of {ratio:.4g} is no exchanger")
    if ratio > _BALANCED:
        return share / (1 - share)
    return math.log((1 - share * ratio) / (1 - share)) / (1 - ratio)
