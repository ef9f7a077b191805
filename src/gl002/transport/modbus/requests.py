"""From the arguments of a call to the requests it takes. Pure: nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from gl002.config.problems import near
from gl002.errors import ConfigError, DataError, Unsupported
from gl002.model import Value
from gl002.transport.modbus.devices import DeviceSettings, RegisterSettings
from gl002.wire import modbus_pdu as pdu
from gl002.wire.modbus import ByteOrder, DataType, Format
from gl002.wire.modbus_address import Place, Table, locate
from gl002.wire.modbus_plan import Register

_TYPES: tuple[str, ...] = get_args(DataType)
_REGISTER = 2  # bytes
_LARGEST = 0xFFFF


class Part(NamedTuple):
    """One request of a read that may take several.

    Attributes:
        request: its bytes.
        values: how many it brings.
        what: in words.
    """

    request: bytes
    values: int
    what: str


class Write(NamedTuple):
    """A write to one place.

    Attributes:
        place: where, the first of several.
        request: its bytes.
    """

    place: Place
    request: bytes


def device_of(devices: Sequence[DeviceSettings], slave_id: int | None) -> DeviceSettings:
    """The device a call means; one that is not configured has the usual limits.

    Raises:
        ConfigError: none was named and there are several.
    """
    if slave_id is not None:
        same = (device for device in devices if device.slave_id == slave_id)
        return next(same, None) or DeviceSettings(slave_id=slave_id)
    if len(devices) > 1:
        known = ", ".join(str(device.slave_id) for device in devices)
        raise ConfigError("there are several devices on this line", hint=f"slave_id: {known}")
    return devices[0]


def format_of(
    device: DeviceSettings, data_type: DataType, byte_order: ByteOrder | None, length: int = 0
) -> Format:
    """The format a call means.

    Raises:
        DataError: no such data type.
    """
    if data_type not in _TYPES:
        raise DataError(f"there is no data type '{data_type}'", hint=near(str(data_type), _TYPES))
    return Format(data_type=data_type, byte_order=byte_order or device.byte_order, length=length)


def reads(
    device: DeviceSettings, table: Table, address: int | str, count: int, size: int
) -> Iterator[Part]:
    """Read `count` values of `size` registers, each whole, within the device's limit.

    Raises:
        ConfigError: no such address; DataError: no values, or beyond the end of the table.
    """
    start = locate(address, table, device.address_base).address
    if count < 1 or start + count * size > pdu.TABLE:
        raise DataError(f"{count} values cannot be read from {Place(table, start)} on")
    _check_place(device, Place(table, start), count * size)
    at_once = max(1, device.limits.of(table) // size)
    for first in range(0, count, at_once):
        values, place = min(at_once, count - first), Place(table, start + first * size)
        request = pdu.read(table, place.address, values * size)
        yield Part(request, values, f"read {values * size} from {place}")


def write_values(
    device: DeviceSettings, address: int | str, values: Sequence[Value], form: Format
) -> Write:
    """Write values to consecutive holding registers; a single register with its own function.

    Raises:
        ConfigError: no such address; DataError: a value that does not fit, or too many.
    """
    place = locate(address, "holding", device.address_base)
    raw = b"".join(form.encode(value) for value in values)
    if not 0 < len(raw) <= _REGISTER * device.max_registers_written:
        raise DataError(
            f"{len(raw) // _REGISTER} registers cannot be written at once",
            hint=f"1 to {device.max_registers_written}",
        )
    _check_place(device, place, len(raw) // _REGISTER)
    return Write(place, pdu.write_registers(place.address, raw))


def write_value(device: DeviceSettings, address: int | str, value: Value, form: Format) -> Write:
    """Write one value, with function 6 where it takes one register only.

    Raises:
        ConfigError, DataError: as `write_values`.
    """
    place = locate(address, "holding", device.address_base)
    raw = form.encode(value)
    _check_place(device, place, len(raw) // _REGISTER)
    return _write_raw(place, raw)


def write_bits(device: DeviceSettings, address: int | str, values: Sequence[Value]) -> Write:
    """Switch consecutive coils.

    Raises:
        ConfigError: no such address; DataError: no bool, or too many.
    """
    place = locate(address, "coil", device.address_base)
    if not 0 < len(values) <= pdu.MOST_BITS_WRITTEN:
        raise DataError(
            f"{len(values)} coils cannot be written at once", hint=f"1 to {pdu.MOST_BITS_WRITTEN}"
        )
    _check_place(device, place, len(values))
    return Write(place, pdu.write_coils(place.address, [_bool(value) for value in values]))


def write_bit(device: DeviceSettings, address: int | str, value: Value) -> Write:
    """Switch one coil.

    Raises:
        ConfigError, DataError: as `write_bits`.
    """
    place = locate(address, "coil", device.address_base)
    _check_place(device, place, 1)
    return Write(place, pdu.write_coil(place.address, on=_bool(value)))


def write_to(register: Register, value: Value) -> Write:
    """Write a value, in its unit, to a configured register.

    Raises:
        Unsupported: an input; DataError: the register cannot hold the value.
    """
    place, form = register.place, register.form
    if place.table == "coil":
        return Write(place, pdu.write_coil(place.address, on=_bool(value)))
    if place.table != "holding":
        raise Unsupported(f"{register.tag} is {place}, and inputs cannot be written")
    if form.bit is not None:
        mask = form.mask(value)
        place = Place("holding", place.address + mask.register)
        return Write(place, pdu.mask_write(place.address, mask.and_mask, mask.or_mask))
    return _write_raw(place, form.encode(value))


def write_mask(device: DeviceSettings, address: int | str, and_mask: int, or_mask: int) -> Write:
    """Change some bits of a holding register.

    Raises:
        ConfigError: no such address; DataError: a mask that is no 16-bit number.
    """
    place = locate(address, "holding", device.address_base)
    for mask in (and_mask, or_mask):
        if not 0 <= mask <= _LARGEST:
            raise DataError(f"{mask} is no mask of 16 bits", hint="0 to 65535")
    _check_place(device, place, 1)
    return Write(place, pdu.mask_write(place.address, and_mask, or_mask))


def read_and_write(
    device: DeviceSettings,
    read: tuple[int | str, int],
    write: tuple[int | str, Sequence[Value]],
    form: Format,
) -> Write:
    """Write values, then read others of the same format, in one request.

    Args:
        device: on which.
        read: first address, and how many values.
        write: first address, and the values.
        form: of all of them.

    Raises:
        ConfigError: no such address; DataError: a value that does not fit, or too many.
    """
    source = locate(read[0], "holding", device.address_base)
    place = locate(write[0], "holding", device.address_base)
    raw = b"".join(form.encode(value) for value in write[1])
    wanted = read[1] * form.registers
    if not 0 < len(raw) <= _REGISTER * pdu.MOST_REGISTERS_EXCHANGED:
        raise DataError(
            f"{len(raw) // _REGISTER} registers cannot be written beside a read",
            hint=f"1 to {pdu.MOST_REGISTERS_EXCHANGED}",
        )
    if not 0 < wanted <= device.limits.registers or source.address + wanted > pdu.TABLE:
        raise DataError(f"{read[1]} values cannot be read from {source} on in one request")
    _check_place(device, source, wanted)
    _check_place(device, place, len(raw) // _REGISTER)
    return Write(place, pdu.read_write(source.address, wanted, place.address, raw))


def mapped(name: str, entry: Mapping[str, Any]) -> RegisterSettings:
    """An entry of a register map, whose `type` may be a data type as in the guide.

    Raises:
        ConfigError: the entry is wrong.
    """
    settings = {**entry, "name": name}
    if settings.get("type") in _TYPES:
        settings["format"] = settings.pop("type")
    return RegisterSettings.parse(settings, f"register_map['{name}']")


def _check_place(device: DeviceSettings, place: Place, count: int) -> None:
    """That these registers exist, and none is one the configuration forbids.

    Raises:
        DataError: it does not: some devices go on at register 0 behind the last; or one is.
    """
    if place.address + count > pdu.TABLE:
        raise DataError(f"{count} values from {place} on go beyond the end of the table")
    for wall in device.walls.get(place.table, ()):
        if place.address < wall.stop and wall.start < place.address + count:
            raise DataError(
                f"unit {device.slave_id}: {Place(place.table, wall.start)} to "
                f"{Place(place.table, wall.stop - 1)} are forbidden",
                hint="the configuration says so: 'forbidden' of this device",
            )


def _write_raw(place: Place, raw: bytes) -> Write:
    make = pdu.write_register if len(raw) == _REGISTER else pdu.write_registers
    return Write(place, make(place.address, raw))


def _bool(value: Value) -> bool:
    if value not in (0, 1) or isinstance(value, float):
        raise DataError(f"{value!r} is neither true nor false")
    return bool(value)
