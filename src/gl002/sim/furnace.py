"""The gas side of the simulated boiler: burner, heating surfaces, and the heat balance over them.

The burner curve, the carbon monoxide law and the heating surfaces have the shape of real ones with
numbers chosen for this plant; the combustion and the heat balance are those of `gl002.boiler`,
so that an efficiency computed from the plant's own signals is exactly the plant's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gl002.boiler.efficiency import Conditions, HeatBalance, indirect
from gl002.boiler.fuels import NATURAL_GAS

FUEL: Final = NATURAL_GAS
HUMIDITY: Final = 0.010  # kg/kg
SURFACE_LOSS: Final = 0.5  # percent of HHV at full load

_LEAST_OXYGEN: Final = 0.05  # percent; the equations above it are not meant for less
_MOST_OXYGEN: Final = 15.0
_MOST_CO: Final = 20_000.0  # ppm
_SOOT_PERIOD: Final = 8 * 3600.0  # s between two soot blowings
_SOOT: Final = 0.12  # share of the bank's heat transfer lost when it is due
_GAS_CP: Final = 1.12  # kJ/(kg K), mean of flue gas between stack and furnace
_WATER_CP: Final = 4.25  # kJ/(kg K)
_FULL_GAS: Final = 14.9  # kg/s of flue gas at full load
_BANK: Final = 2.7  # transfer units at full load, clean
_ECONOMISER: Final = 1.27
_FLOW_EXPONENT: Final = -0.4  # transfer units over gas flow: UA grows with the 0.6th power


def burner_curve(load: float) -> float:
    """Oxygen the burner was commissioned with, percent wet, over the share of full load."""
    return 2.5 + 3.3 * math.pow(max(1 - load, 0.0), 1.5)


def carbon_monoxide(oxygen: float, load: float) -> float:
    """CO, ppm dry: low, until oxygen (percent wet) falls below a knee, then steeply more."""
    knee = 0.8 + 1.2 * max(1 - load, 0.0)
    return min(15 + 60 * math.exp(min((knee - oxygen) / 0.2, 50.0)), _MOST_CO)


def fouling(time: float) -> float:
    """Share of heat transfer lost to soot: grows for eight hours, then the blowers clean it off."""
    return _SOOT * (time % _SOOT_PERIOD) / _SOOT_PERIOD


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What the heating surfaces see, to find the flue gas temperature behind them.

    Attributes:
        gas_flow: flue gas, kg/s.
        water_flow: feedwater through the economiser, kg/s.
        load: share of full load.
        boiling: temperature in the tubes of the bank, degC.
        feedwater: temperature at the economiser's inlet, degC.
        soot: share of heat transfer lost in the bank.
    """

    gas_flow: float
    water_flow: float
    load: float
    boiling: float
    feedwater: float
    soot: float

    def behind_bank(self) -> float:
        """Flue gas between bank and economiser at rest, degC; the bank boils at one temperature."""
        furnace = 1000 + 250 * self.load
        bank = _BANK * self._slower() * (1 - self.soot)
        return self.boiling + (furnace - self.boiling) * math.exp(-bank)

    def _slower(self) -> float:
        """Transfer units at this gas flow over those at full load."""
        return math.pow(self.gas_flow / _FULL_GAS, _FLOW_EXPONENT)

    def stack_temperature(self) -> float:
        """Flue gas after bank and economiser at rest, degC.

        The economiser is a counterflow heat exchanger with the gas as the smaller stream
        (effectiveness of transfer units, as in any heat transfer text).
        """
        behind = self.behind_bank()
        ratio = min(self.gas_flow * _GAS_CP / (self.water_flow * _WATER_CP), 0.95)
        decay = math.exp(-_ECONOMISER * self._slower() * (1 - ratio))
        effectiveness = (1 - decay) / (1 - ratio * decay)
        return behind - effectiveness * (behind - self.feedwater)


def balance(oxygen: float, stack: float, air: float, load: float) -> HeatBalance:
    """The heat balance of the plant at this moment: the truth its instruments measure.

    Args:
        oxygen: percent wet.
        stack: flue gas temperature, degC.
        air: combustion air temperature, degC.
        load: share of full load.
    """
    oxygen = min(max(oxygen, _LEAST_OXYGEN), _MOST_OXYGEN)
    return indirect(
        FUEL,
        Conditions(
            oxygen=oxygen,
            basis="wet",
            stack_temperature=stack,
            air_temperature=air,
            carbon_monoxide=carbon_monoxide(oxygen, load),
            humidity=HUMIDITY,
            load=load,
            surface_loss=SURFACE_LOSS,
        ),
    )
