"""A boiler at its operating point, for the tests of advice."""

import numpy as np

from gl002.boiler.baseline import STACK_TERMS, fit
from gl002.boiler.efficiency import Conditions
from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.methods.direct import WaterSide
from gl002.boiler.recommend.kinds import Declined
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, fuel_heat
from gl002.boiler.recommend.oxygen_trim import BurnerCurve
from gl002.boiler.recommend.soot_blowing import Stack, soot_blowing

HOUR = 3_600_000_000_000
EVIDENCE = Evidence(start=0, end=10 * HOUR)
POINT = OperatingPoint(
    boiler="boiler1",
    fuel=NATURAL_GAS,
    conditions=Conditions(
        oxygen=5.0, basis="dry", stack_temperature=200.0, air_temperature=25.0, load=0.7,
        carbon_monoxide=15.0,
    ),
    water=WaterSide(
        steam_flow=10.0, pressure=1.1, feedwater_temperature=105.0, blowdown=8.0,
        blowdown_basis="feedwater",
    ),
    makeup_temperature=15.0,
)  # fmt: skip
ECONOMY = Economy(
    fuel_heat=fuel_heat(POINT), price=35.0, price_now=40.0, hours=8_000, mean_heat=25_000.0
)
CURVE = BurnerCurve([(0.25, 5.0), (0.6, 3.2), (1.0, 2.8)])


def changed(**fields) -> OperatingPoint:
    return POINT.changed(fields)


def reason(advice) -> str:
    assert isinstance(advice, Declined), advice
    return advice.reason


def clean_baseline(deviation=1.5):
    chance = np.random.default_rng(1)
    n = 400
    load, inlet = chance.uniform(0.3, 1.0, n), chance.uniform(95, 110, n)
    oxygen = chance.uniform(2.5, 6.0, n)
    stack = 100 + 90 * load + 0.6 * inlet + chance.normal(0, deviation, n)
    record = {
        "load": load,
        "load^2": load**2,
        "feedwater_temperature": inlet,
        "oxygen": oxygen,
        "stack_temperature": stack,
    }
    return fit("boiler1.stack", "stack_temperature", STACK_TERMS, record)


def soot(excess=10.0, *, hours=200, cost=60.0, point=POINT, spread=1.5, clean=50, economy=ECONOMY):
    chance = np.random.default_rng(2)
    times = np.arange(float(hours))
    growth = np.maximum(times - clean, 0) / max(hours - clean, 1) * excess
    stack = Stack(hours=times, excess=growth + chance.normal(0, spread, hours))
    return soot_blowing(
        point, economy, EVIDENCE, baseline=clean_baseline(spread), stack=stack, cost=cost
    )


WATER = {"boiler_solids": 1_250.0, "feedwater_solids": 100.0, "limit": 3_000.0}
