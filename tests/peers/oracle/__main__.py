"""The database as a program: python -m peers.oracle FOLDER PORT [VERIFIER]."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from functools import partial
from pathlib import Path

from peers.oracle.ebs import EBusinessSuite
from peers.oracle.schema import SCHEMA
from peers.oracle.server import Listener

SERVICE, USER, PASSWORD = "PROD", "apps", "password"


async def main(folder: Path, port: int, verifier: str = "0x4815") -> None:
    file = folder / "ebs.db"
    if not file.exists():
        base = sqlite3.connect(file)
        base.executescript(SCHEMA)
        base.execute("PRAGMA journal_mode=WAL")
        base.close()
    listener = Listener(SERVICE, USER, PASSWORD, partial(EBusinessSuite, file))
    listener.verifier = int(verifier, 16)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
