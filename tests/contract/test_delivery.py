"""The delivery contract, for every connector that stores."""

from gl002.testing.delivery import *  # noqa: F403 (a suite)
from rigs import rigs

RIGS = list(rigs())
