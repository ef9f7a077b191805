"""The connector contract for MQTT, in the WebSockets of a real broker."""

from gl002.testing.contract import *  # noqa: F403 (a suite)
from rigs.mqtt import WebSocketRig

RIGS = [WebSocketRig]
