"""The state of a running gateway, for people and metrics."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec

from gl002.errors import GL002Error
from gl002.flow.deliver import OutputStatus
from gl002.flow.intake import InputStatus
from gl002.flow.outbox import OutboxStatus
from gl002.flow.store import StoreStats
from gl002.model import now_ns


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """When a configuration was taken up, and what became of the last try to change it.

    Attributes:
        time: of it, nanoseconds UTC.
        begun: inputs that were begun by it.
        ended: inputs that it ended.
        kept: inputs that went on.
        error: why the last change was not taken up, '' where it was.
        hint: what to do about that.
    """

    time: int
    begun: int = 0
    ended: int = 0
    kept: int = 0
    error: str = ""
    hint: str = ""

    @property
    def said(self) -> str:
        """In words."""
        return f"{self.begun} inputs begun, {self.ended} ended, {self.kept} go on"

    def refused(self, error: GL002Error) -> Loaded:
        """The same configuration, after a change that was not taken up."""
        return msgspec.structs.replace(self, time=now_ns(), error=str(error), hint=error.hint)


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of a running gateway for people and metrics.

    Attributes:
        name: of the gateway.
        version: of this package.
        time: now, nanoseconds UTC.
        uptime: seconds since start.
        lag: how late the event loop ran its last timer, seconds.
        memory: resident now, bytes.
        faults: parts that had to be started again because of a fault of ours.
        writes: mode of `writes`.
        inputs: in the order of the configuration, calculated ones last.
        outputs: in the order of the configuration.
        store: the durable store.
        outbox: work orders and documents; None where no `actions` are configured.
        proposals: writes that somebody outside asks for and a person has to decide on.
        loaded: when the configuration was taken up, and what became of the last change.
    """

    name: str
    version: str
    time: int
    uptime: float
    lag: float
    memory: int
    faults: int
    writes: str
    inputs: list[InputStatus]
    outputs: list[OutputStatus]
    store: StoreStats
    outbox: OutboxStatus | None = None
    proposals: int = 0
    loaded: Loaded = Loaded(time=0)


def resident_memory() -> int:
    """Bytes of this process in main memory now; the most there were, where no system tells more.

    Not `ru_maxrss` where it can be helped: a child begins with the largest size of its parent.
    """
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(pages) * resource.getpagesize()
