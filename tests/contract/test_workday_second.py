"""The connector contract for Workday, with a refresh token."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.second_workday import WorkdayClientRig

RIGS = [WorkdayClientRig]
"""E-Business Suite is in `test_connectors.py`, with the rigs of the other kinds."""
