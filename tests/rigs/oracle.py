"""The Oracle rig: our E-Business Suite behind Oracle's own wire, behind a fault link.

What was made is looked at in its tables, not through the listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from peers.oracle_ebs import OracleEBS
from rigs.linked import LinkedRig

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
    ({"host": "o", "readings_interface": {}}, "sequence"),
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


class OracleRig(LinkedRig):
    """One database with two boilers."""

    kind: ClassVar[str] = "oracle"
    doable = {"create_work_order": ORDER, "update_asset_performance": READINGS}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        super().__init__(OracleEBS())
        self.bad_configs = BAD_CONFIGS

    def there(self) -> dict[str, Any]:
        return {"port": self.link.port}

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


class OracleByInterface(OracleRig):
    """Readings through the open interface table; the import runs as soon as they are there."""

    def config(self, **changes: Any) -> dict[str, Any]:
        interface = {"sequence": "CSI.ROWS_OF_THE_INTERFACE_S"}
        return super().config(**{"readings_interface": interface, **changes})
