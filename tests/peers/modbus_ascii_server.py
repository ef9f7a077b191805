"""A Modbus ASCII device on libmodbuspy, steered by a test as `libmodbus_server` is.

modbus_ascii_server.py DEVICE CONTROL_PORT: unit 1, 5000 holding and input registers and coils.
"""

from __future__ import annotations

import socketserver
import sys
import threading
import time

from libmodbuspy import ModbusInterface, ProtocolType, StatusCode, createServerPort, exceptions
from libmodbuspy.mbglobal import Parity

SIZE = 5000
FUNCTIONS = {"coil": 1, "holding": 3, "input": 4}


class Device(ModbusInterface):
    """The library hands over and takes register values as little-endian bytes."""

    def __init__(self):
        self.tables = {name: [0] * SIZE for name in FUNCTIONS}
        self.log = []
        self.delay = 0.0

    def _asked(self, function, offset, count):
        self.log.append(f"1:{function}:{offset}:{count}")
        if self.delay:
            time.sleep(self.delay)
        if offset + count > SIZE:
            raise exceptions.IllegalDataAddressError("beyond the end")

    def _read(self, table, offset, count):
        words = self.tables[table][offset : offset + count]
        return b"".join(word.to_bytes(2, "little") for word in words)

    def _write(self, offset, raw):
        words = [int.from_bytes(raw[i : i + 2], "little") for i in range(0, len(raw), 2)]
        self.tables["holding"][offset : offset + len(words)] = words

    def readCoils(self, unit, offset, count):  # noqa: N802 (theirs)
        self._asked(1, offset, count)
        bits = self.tables["coil"][offset : offset + count]
        return sum(bit << i for i, bit in enumerate(bits)).to_bytes((count + 7) // 8, "little")

    def readHoldingRegisters(self, unit, offset, count):  # noqa: N802
        self._asked(3, offset, count)
        return self._read("holding", offset, count)

    def readInputRegisters(self, unit, offset, count):  # noqa: N802
        self._asked(4, offset, count)
        return self._read("input", offset, count)

    def writeSingleCoil(self, unit, offset, value):  # noqa: N802
        self._asked(5, offset, 1)
        self.tables["coil"][offset] = int(bool(value))
        return StatusCode.Status_Good

    def writeSingleRegister(self, unit, offset, value):  # noqa: N802
        self._asked(6, offset, 1)
        self.tables["holding"][offset] = value
        return StatusCode.Status_Good

    def writeMultipleRegisters(self, unit, offset, values):  # noqa: N802
        self._asked(16, offset, len(values) // 2)
        self._write(offset, values)
        return StatusCode.Status_Good

    def maskWriteRegister(self, unit, offset, and_mask, or_mask):  # noqa: N802
        self._asked(22, offset, 1)
        old = self.tables["holding"][offset]
        self.tables["holding"][offset] = old & and_mask | or_mask & ~and_mask & 0xFFFF
        return StatusCode.Status_Good

    def readWriteMultipleRegisters(self, unit, offset, count, write_offset, values):  # noqa: N802
        self._asked(23, offset, count)
        self._write(write_offset, values)
        return self._read("holding", offset, count)


class Control(socketserver.StreamRequestHandler):
    """One line in, one line out: set, get, log, delay, clear."""

    def handle(self):
        verb, *words = self.rfile.readline().decode().split()
        self.wfile.write(" ".join(["ok", *map(str, self._done(verb, words))]).encode() + b"\n")

    def _done(self, verb, words):
        device = self.server.device
        if verb == "log":
            logged, device.log = device.log, []
            return logged
        if verb == "clear":
            device.log, device.delay = [], 0.0
            for table in device.tables.values():
                table[:] = [0] * SIZE
            return []
        if verb == "delay":
            device.delay = int(words[1]) / 1000
            return []
        table, address = device.tables[words[1]], int(words[2])
        if verb == "get":
            return table[address : address + int(words[3])]
        table[address : address + len(words) - 3] = map(int, words[3:])
        return []


def main():
    device = Device()
    control = socketserver.TCPServer(("127.0.0.1", int(sys.argv[2])), Control)
    control.device = device
    server = createServerPort(
        device, ProtocolType.ASC, False, portName=sys.argv[1], baudRate=115200, dataBits=8,
        parity=Parity.NoParity,
    )  # fmt: skip
    # nobody is told that we are there before the line is open: opening it discards what waits in it
    answering = threading.Thread(target=control.serve_forever, daemon=True)
    server.signalOpened.connect(lambda *_: answering.is_alive() or answering.start())
    server.forever()


main()
