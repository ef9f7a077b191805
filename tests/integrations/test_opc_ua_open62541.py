"""OPC UA against a third implementation, in C: history, and the contract suite without security.

Those parts of the suite are left out that are the same before any server: settings, faces.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

import pytest

from gl002.context import Context
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import Value, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.browsing import *  # noqa: F403 (a suite, as those below)
from gl002.testing.contract.life import *  # noqa: F403
from gl002.testing.contract.reading import *  # noqa: F403
from gl002.testing.contract.streaming import *  # noqa: F403
from gl002.testing.contract.trouble import *  # noqa: F403
from gl002.testing.contract.writing import *  # noqa: F403
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.open62541 import Open62541


class Open62541Rig(Rig):
    """Everything that needs no secured session, on the C server."""

    kind: ClassVar[str] = "opc_ua"
    writable = "ns=1;s=Boiler1.Grade"
    unknown = "ns=1;s=Boiler1.Absent"
    browse_from = "ns=1;s=Boiler1"

    def __init__(self) -> None:
        self.readable: dict[str, Value] = {
            "ns=1;s=Boiler1.SteamFlow": 50000.0,
            "ns=1;s=Boiler1.Limit": 700,
            "ns=1;s=Boiler1.Running": True,
            "ns=1;s=Boiler1.Name": "Kessel 1",
        }
        self.input = {"source": "opc_ua", "tags": list(self.readable)}
        self.peer = Open62541()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        import_module("asyncua")  # once in the life of a gateway: not in tests of time-outs
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "server": {"url": f"opc.tcp://127.0.0.1:{self.link.port}"},
            "subscription": {"publishing_interval": 50, "keepalive_count": 20},
            **changes,
        }

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        self.peer.set(_name(address), value)

    def seen(self, address: str) -> Value:
        return self.peer.value(_name(address))


def _name(address: str) -> str:
    return address.partition(";s=")[2]


RIGS = [Open62541Rig]


@pytest.fixture
def peer():
    with Open62541() as peer:
        yield peer


async def test_history_of_the_c_server_comes_whole_and_in_order(peer, tmp_path, no_leaks):
    start = now_ns() - 10**9
    for number in range(1, 41):
        peer.set("Boiler1.Recorded", float(number))
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    async with OPCUAConnector({"url": peer.url}, context=context) as connector:
        batches = connector.history(["ns=1;s=Boiler1.Recorded"], start, now_ns() + 10**9)
        numbers = [sample.value async for batch in batches for sample in batch]
    audit.close()
    assert numbers[-40:] == [float(n) for n in range(1, 41)]
