"""Boiler physics: fuels, combustion, heat losses, efficiency. Pure functions, no input or output.

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS

now = Conditions(oxygen=3.0, basis="dry", stack_temperature=180.0, air_temperature=25.0)
print(indirect(NATURAL_GAS, now).efficiency_hhv)
"""
