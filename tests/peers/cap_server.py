"""SAP's own OData stack, versions 2 and 4: CAP, with entities named as those of S/4HANA.

The stack is SAP's, the model is ours (`cap/services.cds`): it shows that what we send is OData as
SAP reads it, and that we read what SAP writes; not how maintenance behaves. It has no CSRF tokens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.node import modules
from peers.process import Process

_HERE = Path(__file__).parent / "cap"
_SERVE = "node_modules/node/bin/node node_modules/@sap/cds/bin/serve.js all --in-memory"
NOTIFICATIONS = "odata/v2/notification"


class CapServer(Process):
    """The server as a process, its database in memory."""

    def command(self) -> Sequence[str]:
        folder = modules("cap")
        for name in ("services.cds", "server.js"):
            _renew(_HERE / name, folder / name)
        run = f'cd "$0" && exec {_SERVE} --port "$1"'
        return ["sh", "-c", run, str(folder), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        # HOME is where it notes its services. WORKERS, which also says how many of ours run the
        # tests, would make it a cluster of as many servers, each with a database of its own.
        outer = {key: value for key, value in os.environ.items() if not key.endswith("WORKERS")}
        return {**outer, "HOME": str(self.folder)}

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {
            "ashost": f"http://127.0.0.1:{self.port}", "user": "RFC_USER", "passwd": "password",
            "documents": "odata", "time_zone": "UTC",
            "services": {
                "products": "odata/v2/product", "notifications": NOTIFICATIONS,
                "orders": "odata/v2/order",
                "measurements": "odata/v4/measurement", "points": "odata/v4/point",
            },
        }  # fmt: skip


def _renew(ours: Path, there: Path) -> None:
    """Put a file where servers of other test processes may just be reading one."""
    if there.exists() and there.read_bytes() == ours.read_bytes():
        return
    beside = there.with_name(f"{there.name}.{os.getpid()}")
    shutil.copy(ours, beside)
    beside.replace(there)
