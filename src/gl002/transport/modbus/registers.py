"""The registers of one connection by name, and what an input selects of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from gl002.config.problems import near
from gl002.connector import Found
from gl002.errors import ConfigError
from gl002.model import Tag, ValueType
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.settings import ModbusInput
from gl002.wire.modbus_address import Place
from gl002.wire.modbus_plan import Register

_WRITABLE = {"coil", "holding"}


class Owned(NamedTuple):
    """A register and the device it belongs to."""

    device: DeviceSettings
    register: Register


class Registers:
    """What can be read by name on one connection.

    Args:
        devices: as configured.
    """

    def __init__(self, devices: Sequence[DeviceSettings]) -> None:
        self._devices = devices
        self._by_tag = {r.tag: Owned(d, r) for d in devices for r in d.all_registers()}

    def __iter__(self) -> Iterator[Owned]:
        return iter(self._by_tag.values())

    def find(self, name: str) -> Owned | None:
        """The register of a name: 'Boiler1.steam_flow', 'steam_flow' where only one device has it,
        or a bare number, '40001' or 'Boiler1.40001'; None for any other.
        """  # noqa: D205 (one sentence)
        if name in self._by_tag:
            return self._by_tag[name]
        same = [owned for tag, owned in self._by_tag.items() if tag.endswith(f".{name}")]
        if same:
            return same[0] if len(same) == 1 else None
        label, _, number = name.rpartition(".")
        devices = [d for d in self._devices if d.label == label or not label]
        if len(devices) != 1 or not number.isdecimal():
            return None
        try:
            return Owned(devices[0], devices[0].bare(number))
        except ConfigError:
            return None

    def first_of(self, device: DeviceSettings) -> Place:
        """Where its first configured register is; the first holding register where it has none."""
        mine = (r.place for d, r in self if d is device)
        return next(mine, Place("holding", 0))

    def near(self, name: str) -> str:
        """A hint about a name that is not configured."""
        return near(name, self._by_tag)

    def selected(self, spec: ModbusInput, connection: str) -> list[Owned]:
        """What an input asks for, under the names its samples get.

        Raises:
            ConfigError: a name or device that is not configured, or nothing to read.
        """
        devices = self._chosen(spec.device, connection)
        chosen: list[Owned] = []
        if spec.tags is None and spec.registers is None:
            chosen = [owned for owned in self if owned.device in devices]
        for name in spec.tags or ():
            chosen.append(self._named(name, connection))
        for number in spec.registers or ():
            chosen += [Owned(device, device.bare(number)) for device in devices]
        if not chosen:
            raise ConfigError(
                f"{connection}: there is no register to read",
                hint="list registers at the device, or in the input: 'registers: [40001]'",
            )
        return [Owned(d, renamed(r, f"{spec.prefix}{r.tag}")) for d, r in chosen]

    def _chosen(self, label: str | None, connection: str) -> list[DeviceSettings]:
        devices = [d for d in self._devices if label is None or d.label == label]
        if not devices:
            hint = near(str(label), (d.label for d in self._devices))
            raise ConfigError(f"{connection} has no device '{label}'", hint=hint)
        return devices

    def _named(self, name: str, connection: str) -> Owned:
        owned = self.find(name)
        if owned is None:
            raise ConfigError(f"{connection} has no register '{name}'", hint=self.near(name))
        return owned


def by_device(owned: Iterable[Owned]) -> Iterator[tuple[DeviceSettings, list[Register]]]:
    """The registers of each device together, devices in order of appearance."""
    groups: dict[int, tuple[DeviceSettings, list[Register]]] = {}
    for device, register in owned:
        groups.setdefault(id(device), (device, []))[1].append(register)
    yield from groups.values()


def renamed(register: Register, tag: str) -> Register:
    """The same register under another tag."""
    return msgspec.structs.replace(register, tag=tag)


def tag_of(owned: Owned, source: str) -> Tag:
    """As the tag table has it."""
    device, register = owned
    return Tag(
        name=register.tag,
        unit=register.unit,
        source=source,
        address=f"unit {device.slave_id} {register.place}",
        description=register.description,
        type=_value_type(register),
    )


def found(owned: Owned) -> Found:
    """As browsing shows it."""
    device, register = owned
    return Found(
        address=register.tag,
        name=register.tag.removeprefix(f"{device.label}."),
        path=device.label,
        type=register.form.data_type,
        unit=register.unit,
        description=register.description or f"unit {device.slave_id} {register.place}",
        writable=register.place.table in _WRITABLE,
    )


def _value_type(register: Register) -> ValueType:
    form = register.form
    if form.data_type == "string":
        return "str"
    if register.is_bit or form.data_type == "bool" or (form.bit is not None and form.bits == 1):
        return "bool"
    scaled = (form.scale, form.offset) != (1.0, 0.0)
    return "float" if scaled or form.data_type.startswith("float") else "int"
