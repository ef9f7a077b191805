"""The connector contract for Modbus, before a second implementation of the protocol."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.modbus import SecondModbusRig

RIGS = [SecondModbusRig]
