"""The Oracle rig: our E-Business Suite behind Oracle's own wire, behind a fault link.

What was made is looked at in its tables, not through the listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.oracle_ebs import OracleEBS

BAD_CONFIGS = [
    ({}, "one of them"),
    ({"host": "o", "url": "https://o"}, "one of them"),
    ({"host": ""}, "host"),
    ({"host": "o", "port": 0}, "port"),
    ({"host": "o", "servce": "PROD"}, "did you mean 'service'"),
    ({"url": "http://pod.example", "password": "p"}, "in clear"),
    ({"url": "ftp://pod.example"}, "http://"),
    ({"host": "o", "time_zone": "Europe/Nowhere"}, "IANA"),
    ({"host": "o", "key_attribute": "ATTRIBUTE10"}, "key_attribute"),
    ({"host": "o", "timeout": 0}, "timeout"),
    ({"host": "o", "tls": {"verify": False}}, "unknown key 'verify'"),
]
ORDER = {
    "asset_number": "BOILER-001", "description": "Soot blowing required", "type": "PREVENTIVE",
    "priority": 2, "scheduled_date": "2026-12-03T06:00:00+01:00",
}  # fmt: skip
READINGS = {
    "asset_number": "BOILER-001", "efficiency": 85.4, "runtime_hours": 168,
    "fuel_consumption": 588000, "time": "2026-11-26T06:00:00+00:00",
}  # fmt: skip


class OracleRig(Rig):
    """One database with two boilers."""

    kind: ClassVar[str] = "oracle"
    doable = {"create_work_order": ORDER, "update_asset_performance": READINGS}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        self.bad_configs = BAD_CONFIGS
        self.peer = OracleEBS()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.config, "port": self.link.port, **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def done(self, key: str) -> list[str]:
        orders = self.peer.rows(
            "SELECT wip_entity_name FROM wip_entities WHERE wip_entity_name = ?", key
        )
        readings = self.peer.rows(
            "SELECT group_concat(counter_value_id, ', ') FROM (SELECT counter_value_id FROM"
            " csi_counter_readings WHERE attribute15 = ? ORDER BY counter_value_id)", key,
        )  # fmt: skip
        return [str(row[0]) for row in (*orders, *readings) if row[0] is not None]

    def undoable(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            "create_work_order": {**ORDER, "priority": 9},
            "update_asset_performance": {
                "asset_number": "BOILER-404", "efficiency": 80.0, "runtime_hours": 1,
            },
        }  # fmt: skip
