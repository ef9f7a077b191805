"""The second rig of Oracle: our Fusion Maintenance, behind a fault link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.oracle_fusion import OracleFusion
from rigs.oracle import BAD_CONFIGS, ORDER, READINGS


class OracleFusionRig(Rig):
    """One pod with two boilers."""

    kind: ClassVar[str] = "oracle"
    gaps: ClassVar[Mapping[str, str]] = {
        "test_a_broken_driver_is_not_reported_as_missing": "the driver of the kind is oracledb;"
        " Fusion is spoken to over HTTP",
    }
    doable = {"create_work_order": ORDER, "update_asset_performance": READINGS}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        self.bad_configs = BAD_CONFIGS
        self.peer = OracleFusion()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.config, "url": f"http://127.0.0.1:{self.link.port}", **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

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
