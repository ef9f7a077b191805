"""The connector contract, for every connector there is."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs import rigs

RIGS = list(rigs())
