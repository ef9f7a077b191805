"""The Workday rig: a tenant of ours, behind a fault link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from peers.workday_tenant import Workday
from rigs.linked import LinkedRig

_WAY_IN = {"username": "u", "password": "p"}
BAD_CONFIGS = [
    ({}, "url"),
    ({"url": "https://w", **_WAY_IN}, "tenant"),
    ({"url": "https://w", "tenant": "a/b", **_WAY_IN}, "tenant"),
    ({"url": "https://w", "tenant": "a"}, "one of the two"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "client_id": "c", "refresh_token": "r"},
     "one of the two"),
    ({"url": "http://w", "tenant": "a", **_WAY_IN}, "in clear"),
    ({"url": "ftp://w", "tenant": "a", **_WAY_IN}, "http://"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "version": "43"}, "version"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "page_size": 1000}, "page_size"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "tennant": "a"}, "did you mean 'tenant'"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "timeout": 0}, "timeout"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "report_timeout": 1801}, "report_timeout"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "report_rows": 0}, "report_rows"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "report_mb": 4096}, "report_mb"),
    ({"url": "https://w", "tenant": "a", **_WAY_IN, "tls": {"verify": False}},
     "unknown key 'verify'"),
]  # fmt: skip
JOURNAL: dict[str, Any] = {
    "memo": "Soot blowing, boiler 1", "date": "2026-11-26", "currency": "USD",
    "lines": [
        {"account": "6120", "debit": "480.25", "cost_center": "CC-BOILERS"},
        {"account": "2100", "credit": 480.25, "memo": "accrued"},
    ],
}  # fmt: skip


class WorkdayRig(LinkedRig):
    """One tenant with a crew and a ledger."""

    kind: ClassVar[str] = "workday"
    doable = {"submit_journal": JOURNAL}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        super().__init__(Workday())
        self.bad_configs = BAD_CONFIGS

    def done(self, key: str) -> list[str]:
        return [str(row[0]) for row in self.peer.rows("SELECT id FROM journals WHERE id = ?", key)]

    def undoable(self) -> Mapping[str, Mapping[str, Any]]:
        return {"submit_journal": {**JOURNAL, "company": "NOBODY"}}
