"""The calls of the guide: registers and bits by their number, without a configuration of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from gl002.model import Value
from gl002.transport.modbus import requests
from gl002.transport.modbus.devices import DeviceSettings
from gl002.wire import modbus_pdu as pdu
from gl002.wire.modbus import ByteOrder, DataType, Decoder, Format
from gl002.wire.modbus_address import Table


class ModbusCalls:
    """Reads and writes of plain numbers; a connector says how a request is made."""

    @abstractmethod
    def _device(self, slave_id: int | None) -> DeviceSettings:
        """The device a call means."""

    @abstractmethod
    async def _ask(self, unit: int, request: bytes, what: str) -> bytes:
        """A request that may be repeated; the data of its reply."""

    @abstractmethod
    async def _write(
        self, device: DeviceSettings, write: requests.Write, value: object, *, name: str = ""
    ) -> bytes:
        """A write: audited, never repeated; the data of its reply."""

    # ---- reading ----------------------------------------------------------------------------

    async def read_holding_registers(
        self,
        address: int | str,
        count: int = 1,
        data_type: DataType = "uint16",
        *,
        byte_order: ByteOrder | None = None,
        length: int = 0,
        slave_id: int | None = None,
    ) -> list[Value]:
        """Read `count` values from holding registers (function code 03).

        Args:
            address: protocol address, or reference number from 40001; see `modbus_address`.
            count: values, not registers: ten float32 are twenty registers. What one request
                cannot carry is read with several.
            data_type: how a value lies in the registers.
            byte_order: that of the device where absent.
            length: registers of each string.
            slave_id: the device; may be left out where the connection has only one.

        Raises:
            TagNotFound: the device has no such register.
            ConnectFailed, RequestTimeout, RequestFailed: after the configured number of tries.
        """
        device = self._device(slave_id)
        form = requests.format_of(device, data_type, byte_order, length)
        return await self._read_values(device, "holding", address, count, form)

    async def read_input_registers(
        self,
        address: int | str,
        count: int = 1,
        data_type: DataType = "uint16",
        *,
        byte_order: ByteOrder | None = None,
        length: int = 0,
        slave_id: int | None = None,
    ) -> list[Value]:
        """As `read_holding_registers`, from input registers (function code 04), from 30001 on."""
        device = self._device(slave_id)
        form = requests.format_of(device, data_type, byte_order, length)
        return await self._read_values(device, "input", address, count, form)

    async def read_coils(
        self, address: int | str, count: int = 1, *, slave_id: int | None = None
    ) -> list[bool]:
        """Read `count` coils (function code 01)."""
        return await self._read_bits("coil", address, count, slave_id)

    async def read_discrete_inputs(
        self, address: int | str, count: int = 1, *, slave_id: int | None = None
    ) -> list[bool]:
        """Read `count` discrete inputs (function code 02)."""
        return await self._read_bits("discrete", address, count, slave_id)

    # ---- writing ----------------------------------------------------------------------------

    async def write_register(
        self,
        address: int | str,
        value: Value,
        data_type: DataType = "uint16",
        *,
        byte_order: ByteOrder | None = None,
        length: int = 0,
        slave_id: int | None = None,
    ) -> None:
        """Write one value: function code 06, or 16 where it takes several registers. Audited.

        Raises:
            DataError: the register cannot hold the value; nothing was sent.
            RequestTimeout, ConnectFailed: no answer. Never repeated; `maybe_done` says whether it
                was sent, so that nobody knows whether it was written.
            RequestFailed: the device refused it, or failed over it (`maybe_done`).
        """
        device = self._device(slave_id)
        form = requests.format_of(device, data_type, byte_order, length)
        await self._write(device, requests.write_value(device, address, value, form), value)

    async def write_registers(
        self,
        address: int | str,
        values: Sequence[Value],
        data_type: DataType = "uint16",
        *,
        byte_order: ByteOrder | None = None,
        length: int = 0,
        slave_id: int | None = None,
    ) -> None:
        """Write consecutive registers, 123 at most, in one request (function code 16).

        Audited; errors as `write_register`.
        """
        device = self._device(slave_id)
        form = requests.format_of(device, data_type, byte_order, length)
        write = requests.write_values(device, address, values, form)
        await self._write(device, write, list(values))

    async def write_coil(
        self, address: int | str, value: Value, *, slave_id: int | None = None
    ) -> None:
        """Switch one coil on or off (function code 05). Audited; errors as `write_register`."""
        device = self._device(slave_id)
        await self._write(device, requests.write_bit(device, address, value), value)

    async def write_coils(
        self, address: int | str, values: Sequence[Value], *, slave_id: int | None = None
    ) -> None:
        """Switch consecutive coils in one request (function code 15). Audited."""
        device = self._device(slave_id)
        await self._write(device, requests.write_bits(device, address, values), list(values))

    async def mask_write_register(
        self, address: int | str, and_mask: int, or_mask: int, *, slave_id: int | None = None
    ) -> None:
        """Change some bits of a holding register (function code 22). Audited.

        The device makes it (old AND and_mask) OR (or_mask AND NOT and_mask), in one step.
        """
        device = self._device(slave_id)
        write = requests.write_mask(device, address, and_mask, or_mask)
        await self._write(device, write, f"and {and_mask:04x} or {or_mask:04x}")

    async def read_write_registers(
        self,
        read_address: int | str,
        count: int,
        write_address: int | str,
        values: Sequence[Value],
        data_type: DataType = "uint16",
        *,
        byte_order: ByteOrder | None = None,
        slave_id: int | None = None,
    ) -> list[Value]:
        """Write holding registers, then read others, in one request (function code 23). Audited.

        The device writes first. `data_type` and `byte_order` are those of both.

        Raises:
            DataError: more than 121 registers to write or 125 to read; nothing was sent.
            RequestTimeout, RequestFailed: as `write_register`.
        """
        device = self._device(slave_id)
        form = requests.format_of(device, data_type, byte_order)
        source, target = (read_address, count), (write_address, values)
        write = requests.read_and_write(device, source, target, form)
        return _values(await self._write(device, write, list(values)), form, count)

    # ---- common -----------------------------------------------------------------------------

    async def _read_values(
        self, device: DeviceSettings, table: Table, address: int | str, count: int, form: Format
    ) -> list[Value]:
        values: list[Value] = []
        for data, n in await self._parts(device, table, address, count, form.registers):
            values += _values(data, form, n)
        return values

    async def _read_bits(
        self, table: Table, address: int | str, count: int, slave_id: int | None
    ) -> list[bool]:
        parts = await self._parts(self._device(slave_id), table, address, count, 1)
        return [bit for data, n in parts for bit in pdu.bits(data, n)]

    async def _parts(
        self, device: DeviceSettings, table: Table, address: int | str, count: int, size: int
    ) -> list[tuple[bytes, int]]:
        parts = list(requests.reads(device, table, address, count, size))
        return [(await self._ask(device.slave_id, p.request, p.what), p.values) for p in parts]


def _values(data: bytes, form: Format, count: int) -> list[Value]:
    """`count` values that follow each other."""
    size = form.registers
    return Decoder([(i * size, form) for i in range(count)], count * size).values(data)
