"""Commission Modbus devices: which answer, which registers they have, what these hold.

scan    which units answer, and which registers they have
read    registers as they are: hex, numbers, text
doctor  what the registers probably hold: type, byte order, scale and offset, with the evidence

All three only read. Do not use them on a device that changes something when it is read.

Examples:
  gl002 modbus scan modbus://10.0.0.7 --units 1-10
  gl002 modbus scan modbus+rtu:///dev/ttyUSB0?baudrate=19200 --units 1-32 --timeout 0.2
  gl002 modbus read modbus://10.0.0.7/1 40001 --count 10
  gl002 modbus doctor modbus://10.0.0.7/1 --range 0-49 --seen 40003=125.4
  gl002 modbus doctor modbus.boiler1 -c integrations.yaml --yaml
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gl002.cli import modbus_report as report
from gl002.cli.output import say
from gl002.cli.target import add_target, opened
from gl002.errors import ConfigError
from gl002.integrations.industrial.modbus import AsyncModbusConnector
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.requests import device_of
from gl002.transport.modbus.survey import Stretch, Survey, settings_for
from gl002.wire.modbus_address import Place, Table, locate
from gl002.wire.modbus_guess import guess

R = TypeVar("R")

_TABLES: tuple[Table, ...] = ("holding", "input", "coil", "discrete")
_REGISTERS: tuple[Table, ...] = ("holding", "input")
_LAST_UNIT, _LAST_ADDRESS = 247, 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    scan = actions.add_parser("scan", help="which units answer, and which registers they have")
    _common(scan)
    scan.add_argument("--units", type=_span(_LAST_UNIT), default=None, metavar="1-247",
                      help="units to ask; that of TARGET otherwise, or all of them")  # fmt: skip
    scan.add_argument("--tables", nargs="+", choices=_TABLES, default=list(_TABLES))
    scan.add_argument("--range", type=_span(_LAST_ADDRESS), default=range(200), metavar="0-199",
                      help="protocol addresses to look at, default 0-199")  # fmt: skip
    read = actions.add_parser("read", help="registers as they are")
    _common(read)
    read.add_argument("address", help="protocol address, or 40001 and the like")
    read.add_argument("--unit", type=int, help="slave_id; that of TARGET otherwise")
    read.add_argument("--count", type=int, default=1, help="how many registers, default 1")
    read.add_argument("--table", choices=_TABLES, help="where the address does not say it")
    doctor = actions.add_parser("doctor", help="what the registers probably hold")
    _common(doctor)
    doctor.add_argument("--unit", type=int, help="slave_id; that of TARGET otherwise")
    doctor.add_argument("--table", choices=_REGISTERS, default="holding")
    doctor.add_argument("--range", type=_span(_LAST_ADDRESS), default=range(100), metavar="0-99",
                        help="protocol addresses to look at, default 0-99")  # fmt: skip
    doctor.add_argument("--readings", type=int, default=6, help="how many, default 6")
    doctor.add_argument("--every", type=float, default=1.0, help="seconds between them, default 1")
    doctor.add_argument("--seen", action="append", default=[], metavar="ADDRESS=VALUE",
                        help="a value on the device's display: gives scale and offset")  # fmt: skip
    doctor.add_argument("--yaml", action="store_true", help="the block for integrations.yaml")


def _common(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--timeout", type=float, default=0.5, help="seconds, default 0.5")
    parser.add_argument("--json", action="store_true", help="for scripts: one finding a line")


def run(args: argparse.Namespace) -> int:
    """Survey and print; exits 1 where nothing was found."""
    if args.timeout <= 0:
        raise ConfigError(f"--timeout {args.timeout:g} leaves no time to answer")
    actions = {"scan": _scan, "read": _read, "doctor": _doctor}
    return actions[args.action](args)


def _scan(args: argparse.Namespace) -> int:
    line = _target(args)
    units = args.units if args.units is not None else _units_of(args, line)

    async def look(survey: Survey) -> list[tuple[Any, list[Stretch]]]:
        return [
            (unit, [
                stretch
                for table in args.tables
                for stretch in await survey.stretches(unit.number, table, args.range)
            ])
            async for unit in survey.units(units)
        ]  # fmt: skip

    found = _surveyed(args, line, units, look)
    report.scanned(found, json=args.json)
    return 0 if found else 1


def _read(args: argparse.Namespace) -> int:
    line = _target(args)
    device = _device_of(args, line)
    place = locate(args.address, args.table, device.address_base)
    if not 0 < args.count <= _LAST_ADDRESS + 1 - place.address:
        raise ConfigError(f"{args.count} registers cannot be read from {place} on")
    span = range(place.address, place.address + args.count)

    async def look(survey: Survey) -> list[Stretch]:
        return await survey.stretches(device.slave_id, place.table, span)

    found = _surveyed(args, line, [device.slave_id], look)
    report.registers(found, json=args.json)
    if sum(len(stretch.values) for stretch in found) < args.count:
        say(f"{args.count - sum(len(s.values) for s in found)} of {args.count} are not there")
    return 0 if found else 1


def _doctor(args: argparse.Namespace) -> int:
    line = _target(args)
    device = _device_of(args, line)
    seen = dict(_seen(text, args.table, device.address_base) for text in args.seen)
    if args.readings < 1 or args.every < 0:
        raise ConfigError("--readings is 1 or more, --every 0 or more")

    async def look(survey: Survey) -> list[tuple[Stretch, list[list[int]]]]:
        found = await survey.stretches(device.slave_id, args.table, args.range)
        return [(s, await survey.readings(s, args.readings, args.every)) for s in found]

    diagnoses = [
        report.Diagnosis(stretch, guess(taken, _within(stretch, seen)))
        for stretch, taken in _surveyed(args, line, [device.slave_id], look)
        if taken
    ]
    if args.yaml:
        report.as_yaml(diagnoses, device)
    else:
        report.diagnosed(diagnoses, json=args.json)
    report.say_missed(diagnoses, {Place(args.table, at): value for at, value in seen.items()})
    return 0 if diagnoses else 1


# ---- arguments ----------------------------------------------------------------------------------


def _target(args: argparse.Namespace) -> AsyncModbusConnector:
    connector = opened(args)
    if not isinstance(connector, AsyncModbusConnector):
        raise ConfigError(f"'{args.target}' is no Modbus connection")
    return connector


def _device_of(args: argparse.Namespace, line: AsyncModbusConnector) -> DeviceSettings:
    """The device of --unit, or the only one of the target.

    Raises:
        ConfigError: there are several, and none was named.
    """
    return device_of(line.config.devices, args.unit)


def _units_of(args: argparse.Namespace, line: AsyncModbusConnector) -> list[int]:
    """The units the target names, or all there can be."""
    devices = line.config.devices
    named = "://" not in args.target or "slave_id" in devices[0].model_fields_set
    return [d.slave_id for d in devices] if named else list(range(1, _LAST_UNIT + 1))


def _span(last: int) -> Callable[[str], range]:
    """From '1-10' or '7' to a range."""

    def parsed(text: str) -> range:
        first, dash, end = text.partition("-")
        if not first.isdecimal() or (dash and not end.isdecimal()):
            raise argparse.ArgumentTypeError(f"'{text}' is no range such as 1-10")
        span = range(int(first), int(end or first) + 1)
        if not span or span[-1] > last:
            raise argparse.ArgumentTypeError(f"'{text}' is not within 0-{last}")
        return span

    return parsed


def _seen(text: str, table: Table, base: Any) -> tuple[int, float]:
    address, _, value = text.partition("=")
    try:
        return locate(address, table, base).address, float(value)
    except ValueError as error:
        raise ConfigError(
            f"--seen {text}: {error}", hint="an address and a number, 40003=125.4"
        ) from None


def _within(stretch: Stretch, seen: dict[int, float]) -> dict[int, float]:
    """What was seen, counted from the first register of the stretch."""
    start = stretch.first.address
    return {at - start: v for at, v in seen.items() if -1 <= at - start <= len(stretch.values)}


# ---- the line -----------------------------------------------------------------------------------


def _surveyed(
    args: argparse.Namespace,
    line: AsyncModbusConnector,
    units: Any,
    look: Callable[[Survey], Awaitable[R]],
) -> R:
    """Do the work on a connector of its own, and close it."""
    settings = settings_for(line.config.connection, units)
    connector = AsyncModbusConnector(settings, name=line.name, context=line.context)
    connector.set_timeout(args.timeout * 1000)
    tell = _progress if sys.stderr.isatty() else _silent
    log = logging.getLogger("gl002.modbus")
    level = log.level
    if not args.verbose:  # that a unit is silent, or refuses, is what a survey is to find out
        log.setLevel(logging.ERROR)

    async def session() -> R:
        try:
            await connector.connect()
            return await look(Survey(connector, tell, say))
        finally:
            await connector.close()
            line.context.audit.close()

    try:
        return asyncio.run(session())
    finally:
        tell("")
        log.setLevel(level)


def _progress(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


def _silent(text: str) -> None:
    """Nobody looks."""
