"""Whether a serial line can carry the configured intervals: arithmetic on characters, no traffic.

One request takes its own characters, those of the reply, a silence of 3.5 characters after each
(MODBUS over Serial Line V1.02, section 2.5.1.1), and the time the device thinks. That last one is
in no data sheet one can rely on; 20 ms is assumed, which most meters and controllers keep.

    Load of a line = sum over its devices of (time of one reading / its interval)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.reader import Reader
from gl002.transport.modbus.settings import ConnectionSettings
from gl002.wire.modbus_pdu import reply_size

_THINKING = 0.02  # seconds from the end of a request to the begin of its reply
_FULL, _TIGHT = 1.0, 0.8
_LEAST_TIMEOUT = 0.2  # seconds
_RTU_EXTRA = 3  # unit and CRC
_ASCII_EXTRA = 3  # colon, CR, LF; beside unit and LRC, and two characters for each byte


class Share(NamedTuple):
    """What one device asks of its line.

    Attributes:
        device: which one.
        requests: in one reading.
        seconds: that one reading takes.
        slowest: seconds that its longest request takes.
    """

    device: DeviceSettings
    requests: int
    seconds: float
    slowest: float

    @property
    def load(self) -> float:
        """Share of the line's time; 0 for a device without an interval: it takes what is left."""
        return self.seconds / self.device.interval if self.device.interval else 0.0


def shares(
    line: ConnectionSettings, polled: Iterable[tuple[DeviceSettings, Reader]]
) -> Iterator[Share]:
    """What each polled device asks of the line."""
    for device, reader in polled:
        requests = list(reader.planned())
        seconds = [_seconds(line, request) for request in requests]
        yield Share(device, len(requests), sum(seconds), max(seconds))


def warnings(line: ConnectionSettings, asked: Sequence[Share]) -> Iterator[str]:
    """What a person should know before the line is run; nothing where it has time to spare."""
    where = f"{line.port if line.serial else line.host} at {line.baudrate} baud"
    if len(asked) > 1 and "timeout" not in line.model_fields_set:
        enough = max(_LEAST_TIMEOUT, math.ceil(30 * max(s.slowest for s in asked)) / 10)
        yield (
            f"{where}: nobody has set the time-out, which is {line.timeout:g} s: that long a dead "
            "slave holds up the others each time it is asked. "
            f"timeout: {enough:g} is three times what the longest request takes"
        )
    load = sum(share.load for share in asked)
    if load <= _TIGHT:
        return
    largest = max(asked, key=lambda share: share.load)
    factor = load / _TIGHT
    verdict = (
        f"cannot carry the intervals: {load:.0%} of its time is asked for"
        if load > _FULL
        else f"has little time left: {load:.0%} of it is asked for"
    )
    yield (
        f"{where} {verdict}. Most by {largest.device.label}: {largest.requests} requests, "
        f"{largest.seconds * 1000:.0f} ms every {largest.device.polling_interval:.0f} ms. "
        f"Multiply the intervals by {factor:.1f}, raise the baud rate, or read fewer registers"
    )


def _seconds(line: ConnectionSettings, request: bytes) -> float:
    """From the begin of a request to the moment the next one may follow."""
    asked, answered = len(request), reply_size(request, request[0])
    serial = line.line
    if line.framing == "ascii":
        characters = sum(2 * (size + 2) + _ASCII_EXTRA for size in (asked, answered))
        return characters * serial.character + _THINKING + line.pause
    characters = sum(size + _RTU_EXTRA for size in (asked, answered))
    quiet = max(serial.silence, line.pause) + serial.silence
    return characters * serial.character + quiet + _THINKING
