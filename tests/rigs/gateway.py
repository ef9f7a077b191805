"""A whole gateway in the loop of a test, between real peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from gl002.config.load import load
from gl002.flow.gateway import Gateway


@asynccontextmanager
async def running(
    folder: Path, integrations: Mapping[str, Any], **more: Any
) -> AsyncIterator[Gateway]:
    """Runs while in the block, and ends in good order: what waits is delivered.

    Args:
        folder: of its file and its state.
        integrations: that section of the file.
        more: other sections.
    """
    file = folder / "integrations.yaml"
    gateway = {"state_dir": str(folder / "state"), "drain": 40}
    file.write_text(yaml.safe_dump({"integrations": integrations, "gateway": gateway, **more}))
    made = Gateway(load(file, {}))
    run = asyncio.create_task(made.run())
    await made.started()
    try:
        yield made
    finally:
        made.stop()
        async with asyncio.timeout(60):
            await run
