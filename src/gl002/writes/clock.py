"""How long a machine has been running: a clock that nobody sets, and that all its programs share.

The wall clock may be set, by hand or by a time server that was away. A time between two writes is
therefore counted by the machine's running time, which goes on whatever the wall clock does.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Running", "running"]

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_begun: Final = time.monotonic()
_own: Final = str(uuid.uuid4())


class Running(NamedTuple):
    """A moment in the running time of a machine.

    Attributes:
        boot: tells one running time from the next; another one after each start of the machine.
        seconds: since it was started.
    """

    boot: str
    seconds: float


def running() -> Running:
    """The moment now. Where the system does not name its start, that of this process counts."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return Running(_own, time.monotonic() - _begun)
    return Running(boot, time.clock_gettime(time.CLOCK_BOOTTIME))
