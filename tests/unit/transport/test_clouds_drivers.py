"""What a cloud's connector needs is imported before the time-out of its first connection begins."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from gl002.integrations.cloud import {name}
{name}({config})._load()
missing = [module for module in {modules} if module not in sys.modules]
sys.exit(f"not imported: {{missing}}" if missing else 0)
"""
_HUB = "HostName=hub.azure-devices.net;DeviceId=gl002;SharedAccessKey=aGVsbG8="
_KEYS = {
    "protocol": "mqtt_ws",
    "access_key_id": "A",
    "secret_access_key": "s",
    "region": "us-west-2",
}


@pytest.mark.parametrize(
    ("name", "config", "modules"),
    [
        ("AWSIoTConnector", {"endpoint": "localhost"}, ["paho.mqtt.client"]),
        ("AWSIoTConnector", {"endpoint": "localhost", **_KEYS}, ["paho.mqtt.client", "wsproto"]),
        ("AzureIoTConnector", {"connection_string": _HUB}, ["paho.mqtt.client"]),
        (
            "AzureIoTConnector", {"connection_string": _HUB, "protocol": "mqtt_ws"},
            ["paho.mqtt.client", "wsproto"],
        ),
        (
            "GCPIoTConnector", {"project": "plant-1"},
            ["aiohttp", "google.oauth2.service_account", "google.auth.identity_pool"],
        ),
    ],
)  # fmt: skip
def test_drivers_are_there_before_the_time_out_runs(name, config, modules) -> None:
    program = _PROGRAM.format(name=name, config=config, modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
