"""The connector contract for Oracle, readings through the open interface table."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.oracle import OracleByInterface

RIGS = [OracleByInterface]
