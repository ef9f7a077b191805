"""The connector contract for PI, with samples on their way in as OMF messages."""

from gl002.testing.contract.history import *  # noqa: F403 (a suite)
from gl002.testing.contract.storing import *  # noqa: F403 (a suite)
from rigs.pi_system import PIOMFRig

RIGS = [PIOMFRig]
