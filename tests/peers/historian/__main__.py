"""The server as a program.

    python -m peers.historian FOLDER PORT MODE

MODE: 'clear' (no certificate), 'tls' (encrypts who wants it), 'only' (refuses who does not).
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from pathlib import Path

from peers.historian.archive import Archive
from peers.historian.sql import READER, Server
from peers.historian.tds import Connection, Login, Refusal

USER, PASSWORD = "wwuser", "password"


def _allowed(login: Login) -> None:
    if login.user not in {USER, READER} or login.password != PASSWORD:
        raise Refusal(18456, f"Login failed for user '{login.user}'.", 14)
    if login.database.lower() not in {"", "runtime"}:
        raise Refusal(4060, f'Cannot open database "{login.database}" requested by the login.', 11)


async def _main() -> None:
    folder, port, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    server = Server(Archive(folder / "archive.db"), lambda: time.time_ns() // 1000)
    tls = None
    if mode != "clear":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(folder / "server.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(
            reader, writer, allowed=_allowed, run=server.run, tls=tls, clear=mode != "only",
            host=f"localhost:{port}",
        )  # fmt: skip
        await connection.serve()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
