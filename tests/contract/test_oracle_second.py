"""The connector contract for Oracle, before Fusion."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.second_oracle import OracleFusionRig

RIGS = [OracleFusionRig]
"""E-Business Suite is in `test_connectors.py`, with the rigs of the other kinds."""
