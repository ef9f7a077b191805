"""`gl002 backfill` between real servers: from any history, and into any sink."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from gl002.cli import main
from gl002.connector import Capability
from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Batch
from gl002.registry import connector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.contract.storing import holds, numbered
from gl002.testing.rig import Rig
from rigs import rigs

OTHERS = [rig for rig in rigs() if rig.kind != "sqlite"]
STORED = pytest.mark.parametrize(
    "rig", [r for r in OTHERS if Capability.STORE in connector(r.kind).can],
    indirect=True, ids=lambda rig: rig.kind,
)  # fmt: skip
RECORDED = pytest.mark.parametrize(
    "rig",
    [r for r in OTHERS if {Capability.STORE, Capability.HISTORY} <= set(connector(r.kind).can)],
    indirect=True, ids=lambda rig: rig.kind,
)  # fmt: skip


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Any:
    rig = request.param()
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()


@pytest.fixture
def embedded(tmp_path: Path) -> Any:
    audit = Audit(tmp_path / "test.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path / "state")
    with SQLiteConnector({"path": str(tmp_path / "embedded.sqlite")}, context=context) as face:
        yield face
    audit.close()


def backfill(folder: Path, rig: Rig, source: str, output: dict[str, Any], tags: set[str]) -> int:
    """Run the command as a person would; returns its exit code."""
    text = {
        "integrations": {
            "enabled": ["sqlite", rig.kind],
            "sqlite": {"path": str(folder / "embedded.sqlite")},
            rig.kind: rig.config(),
            "data_flow": {"output": [{"name": "archive", **output}]},
        },
        "gateway": {"state_dir": str(folder / "state")},
    }
    path = folder / "integrations.yaml"
    path.write_text(yaml.safe_dump(text))
    chosen = [part for tag in sorted(tags) for part in ("--tag", tag)]
    command = ["backfill", "1h", "now", "--source", source, "--output", "archive"]
    return main([*command, *chosen, "-c", str(path)])


def by_tag(batch: Batch) -> list[tuple[str, int, Any]]:
    return sorted((s.tag, s.time, s.value) for s in batch)


@RECORDED
async def test_any_history_is_copied_into_the_embedded_one(
    rig: Rig, embedded: SQLiteConnector, tmp_path: Path
) -> None:
    batch = numbered(900)
    tags = {s.tag for s in batch}
    context = Context(network=Network(), audit=Audit(tmp_path / "fill.jsonl"), state_dir=tmp_path)
    async with connector(rig.kind)(rig.config(), context=context) as there:
        sink = there.sink(there.Output.parse(rig.output))
        await sink.prepare()
        await sink.write(batch)
        await sink.close()
    context.audit.close()
    await eventually(lambda: holds(rig, batch), "what was written is there")
    for _ in range(2):  # again: nothing changes
        code = await asyncio.to_thread(
            backfill, tmp_path, rig, rig.kind, {"destination": "sqlite"}, tags
        )
        assert code == 0
        span = batch[0].time, batch[-1].time + 1  # PI notes beyond it when a point was made
        copied = [s for part in embedded.history(sorted(tags), *span) for s in part]
        assert by_tag(copied) == by_tag(batch)


@STORED
def test_the_embedded_history_is_copied_into_any_sink(
    rig: Rig, embedded: SQLiteConnector, tmp_path: Path
) -> None:
    batch = numbered(900)
    tags = {s.tag for s in batch}
    embedded.store(batch)

    def arrived() -> list[tuple[str, int, Any]]:
        return by_tag([s for s in rig.stored() if s.tag in tags])

    for _ in range(2):
        assert backfill(tmp_path, rig, "sqlite", dict(rig.output), tags) == 0
        asyncio.run(eventually(lambda: len(arrived()) >= len(batch), "all of it arrives"))
        assert arrived() == by_tag(batch)
