"""The TimescaleDB rig: the real extension, compiled to WebAssembly, behind a fault link.

It knows no users, so wrong credentials are for the PostgreSQL rig.
"""

from __future__ import annotations

from typing import ClassVar

from peers.timescale import Timescale
from rigs.narrow_table import NarrowTableRig


class TimescaleRig(NarrowTableRig):
    """The hypertable 'samples' holds what is readable, and what the suite writes."""

    kind: ClassVar[str] = "timescale"
    input = {"source": "timescale", "interval": 0.05, "tags": ["boiler1.*"]}  # noqa: RUF012 (declared so in Rig)
    output = {"destination": "timescale"}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        super().__init__(Timescale())
