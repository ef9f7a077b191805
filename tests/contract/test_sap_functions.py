"""The connector contract for SAP where documents are made by BAPIs."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.sap import SAPByFunctions

RIGS = [SAPByFunctions]
