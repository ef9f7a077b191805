"""A BACnet/IP device in the loop of the test: tells what it is told to, true or not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# answers of device 1001, written by hand from the standard
ME = bytes.fromhex(
    "0c020003e91e294b4ec4020003e94f294d4e7503004231 4f29795e910291205f29465e910291205f"
    "293e4e2205c44f296b4e91034f29615e910291205f1f".replace(" ", "")
)
VALUE = bytes.fromhex("0c000000011e29554e44474350004f296f4e8204004f1f")


def datagram(apdu: bytes, *, function: int = 0x0A, npdu: bytes = b"\1\0") -> bytes:
    body = npdu + apdu
    return bytes([0x81, function]) + (len(body) + 4).to_bytes(2, "big") + body


class Liar(asyncio.DatagramProtocol):
    """Device 1001; tells `lie` before, or instead of, the truth about its value."""

    def __init__(self) -> None:
        self.chance = random.Random(5)
        self.lie: Callable[[bytes], bytes | None] = lambda _: None
        self.truthful = True
        self.subscriber: tuple[str, int] | None = None
        self.process = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr) -> None:
        if len(data) < 10 or data[6] >> 4 != 0:
            return
        invoke, service, payload = data[8], data[9], data[10:]
        if service == 5:
            self.subscriber, self.process = addr, payload[: payload.index(b"\x1c\0\0\0\1")]
            self.transport.sendto(datagram(bytes([0x20, invoke, 5])), addr)
            return
        answer = ME if payload.startswith(b"\x0c\x02") else VALUE
        if b"\x09\x75" in payload:
            answer = bytes.fromhex("0c000000011e29754e912e4f1f")
        honest = datagram(bytes([0x30, invoke, service]) + answer)
        if answer is VALUE:
            lie = self.lie(honest)
            if lie is not None:
                self.transport.sendto(lie, addr)
                if not self.truthful:
                    return
        self.transport.sendto(honest, addr)


@asynccontextmanager
async def liar() -> AsyncIterator[Liar]:
    """Device 1001 on a free port of loopback."""
    loop = asyncio.get_running_loop()
    transport, device = await loop.create_datagram_endpoint(Liar, local_addr=("127.0.0.1", 0))
    try:
        yield device
    finally:
        transport.close()
