"""The second rig of Oracle: our Fusion Maintenance, behind a fault link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from peers.oracle_fusion import OracleFusion
from rigs.linked import LinkedRig
from rigs.oracle import BAD_CONFIGS, ORDER, READINGS


class OracleFusionRig(LinkedRig):
    """One pod with two boilers."""

    kind: ClassVar[str] = "oracle"
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_broken_driver_is_not_reported_as_missing": "the driver of the kind is oracledb;"
        " Fusion is spoken to over HTTP",
    }
    doable = {"create_work_order": ORDER, "update_asset_performance": READINGS}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        super().__init__(OracleFusion())
        self.bad_configs = BAD_CONFIGS

    def done(self, key: str) -> list[str]:
        orders = self.peer.rows("SELECT WorkOrderNumber FROM orders WHERE WorkOrderNumber = ?", key)
        readings = self.peer.rows(
            "SELECT group_concat(MeterReadingId, ', ') FROM (SELECT MeterReadingId FROM readings"
            " WHERE Comments LIKE '%' || ? ORDER BY MeterReadingId)", key,
        )  # fmt: skip
        return [str(row[0]) for row in (*orders, *readings) if row[0] is not None]

    def undoable(self) -> Mapping[str, Mapping[str, Any]]:
        return {
            "create_work_order": {**ORDER, "priority": 9},
            "update_asset_performance": {"asset_number": "BOILER-404", "runtime_hours": 1},
        }
