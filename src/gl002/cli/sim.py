"""The simulated boiler house: boilers to practise on, over real OPC UA and real Modbus TCP.

Listens on 127.0.0.1 only. Instruments can be made to fail at once or after a while, also by writing
a fault's name to 'ns=2;s=AT301.Fault', or its number to the instrument's register.

Examples:
  gl002 sim                                    one boiler, OPC UA on 4840, Modbus on 5020
  gl002 sim --boilers 3 --speed 60             three boilers, a minute in a second
  gl002 sim --fault stuck:AT301 --fault drift:TT301@300
  gl002 sim --list-faults
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from gl002.cli.output import say, table
from gl002.errors import ConfigError

if TYPE_CHECKING:
    from gl002.sim.house import House
    from gl002.sim.plant import Plant

_LAST_PORT = 65535
_TICK = 0.5  # seconds between two steps of the plant


class Failure(NamedTuple):
    """An instrument fault that begins some seconds after the start; '' for its usual tags."""

    name: str
    tag: str
    after: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--opc-ua", type=int, default=4840, metavar="PORT", help="default 4840; 0: a free port"
    )
    parser.add_argument(
        "--modbus", type=int, default=5020, metavar="PORT", help="default 5020; 0: a free port"
    )
    parser.add_argument("--boilers", type=int, default=1, metavar="N", help="number of boilers")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the noise, for repeatable runs"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME[:TAG][@SECONDS]", help="see examples"
    )
    parser.add_argument("--counters", type=int, default=0, metavar="N", help="extra counting tags")
    parser.add_argument("--attached", action="store_true", help="end when standard input closes")
    parser.add_argument("--list-faults", action="store_true", help="list what can go wrong")


def run(args: argparse.Namespace) -> int:
    """Simulate until stopped."""
    if args.list_faults:
        return _list_faults()
    for port in (args.opc_ua, args.modbus):
        if not 0 <= port <= _LAST_PORT:
            raise ConfigError(f"there is no port {port}", hint=f"0 to {_LAST_PORT}")
    failures = [_failure(text) for text in args.fault]
    asyncio.run(_simulate(args, failures))
    return 0


def _until_input_ends(stopped: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    while sys.stdin.buffer.read(1):
        continue
    loop.call_soon_threadsafe(stopped.set)


def _list_faults() -> int:
    from gl002.sim.faults import FAULTS

    table(
        ("no", "fault", "usual tags", "what happens"),
        [
            (number, name, " ".join(kind.tags), kind.description)
            for number, (name, kind) in enumerate(FAULTS.items(), start=1)
        ],
    )
    return 0


def _failure(text: str) -> Failure:
    from gl002.sim.faults import fault

    rest, _, after = text.partition("@")
    name, _, tag = rest.partition(":")
    fault(name)  # unknown names are refused before anything starts
    try:
        return Failure(name, tag, float(after or 0))
    except ValueError:
        raise ConfigError(f"--fault {text}: '{after}' is no number of seconds") from None


async def _simulate(args: argparse.Namespace, failures: list[Failure]) -> None:
    from gl002.sim.house import House
    from gl002.sim.modbus import ModbusSimulator
    from gl002.sim.opc_ua import OPCUASimulator

    house = House.of(args.boilers, seed=args.seed)
    plants = house.plants
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if args.attached:
        threading.Thread(target=_until_input_ends, args=(stopped, loop), daemon=True).start()
    async with (
        OPCUASimulator(
            plants, port=args.opc_ua, counters=args.counters, header=house
        ) as opc_ua,  # fmt: skip
        ModbusSimulator(plants, port=args.modbus, counters=args.counters) as modbus,
    ):
        say(f"OPC UA  opc.tcp://127.0.0.1:{opc_ua.port}")
        say(f"Modbus  modbus://127.0.0.1:{modbus.port}/1")
        await _let_time_pass(house, args.speed, sorted(failures, key=lambda f: f.after), stopped)


async def _let_time_pass(
    house: House, speed: float, failures: list[Failure], stopped: asyncio.Event
) -> None:
    start = last = time.monotonic()
    while not stopped.is_set():
        now = time.monotonic()
        house.step((now - last) * speed)
        while failures and now - start >= failures[0].after:
            _befall(house.plants, failures.pop(0))
        last = now
        try:
            async with asyncio.timeout(_TICK):
                await stopped.wait()
        except TimeoutError:
            continue


def _befall(plants: list[Plant], failure: Failure) -> None:
    for plant in plants:
        plant.fail(failure.name, *([failure.tag] if failure.tag else []))
    say(f"fault: {failure.name} {failure.tag}")
