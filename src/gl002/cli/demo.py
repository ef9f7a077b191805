"""A boiler house on your machine: simulated plant, gateway, store, efficiency, dashboard.

Starts a simulated boiler that speaks real OPC UA and Modbus TCP, runs the gateway on the shipped
configuration and shows the values. Nothing leaves this machine; Ctrl-C ends it.

Examples:
  gl002 demo
  gl002 demo --for 30s                         for scripts: ends on its own, prints what arrived
  gl002 demo --fault stuck:AT301@60            the analyser sticks after a minute
  gl002 demo --print-config > integrations.yaml
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from gl002.cli.live import display
from gl002.cli.output import SAMPLE_COLUMNS, sample_row, say, table
from gl002.cli.service import run_until_stopped, serve
from gl002.config.load import load
from gl002.config.settings import parse_duration
from gl002.context import default_state_dir
from gl002.errors import ConfigError, ConnectFailed
from gl002.flow.gateway import Gateway

_START_TIMEOUT = 30.0
_SHOWN = (
    "boiler1.efficiency_hhv", "boiler1.efficiency_lhv", "boiler1.loss_dry_gas", "boiler1.oxygen",
    "boiler1.stack_temperature", "boiler1.steam_flow", "boiler1.pressure", "boiler1.load",
    "boiler1.efficiency_note",
)  # fmt: skip


class Ports(NamedTuple):
    """Where the simulated plant listens."""

    opc_ua: int
    modbus: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--for", dest="duration", metavar="TIME", help="stop after '30s', '5 min'")
    parser.add_argument("--port", type=int, default=8080, help="dashboard port, default 8080")
    parser.add_argument("--fault", action="append", default=[], help="as in gl002 sim")
    parser.add_argument("--state-dir", help="where to store; kept afterwards")
    parser.add_argument("--print-config", action="store_true", help="print the configuration only")


def run(args: argparse.Namespace) -> int:
    """Run until stopped or the time is over; 1 where nothing arrived."""
    shipped = files("gl002.sim").joinpath("demo.yaml")
    if args.print_config:
        print(shipped.read_text(), end="")
        return 0
    duration = _seconds(args.duration)
    state = Path(args.state_dir) if args.state_dir else default_state_dir() / "demo"
    return asyncio_main(_demo(Path(str(shipped)), state.absolute(), args, duration))


def _seconds(text: str | None) -> float | None:
    try:
        seconds = parse_duration(text) if text else None
    except ValueError as error:
        raise ConfigError(f"--for {text}: {error}") from None
    return float(seconds) if isinstance(seconds, int | float) else None


def asyncio_main(main: Any) -> int:
    """Run the demo on the service's loop and hand back its exit code."""
    codes: list[int] = []

    async def keep_code() -> None:
        codes.append(await main)

    run_until_stopped(keep_code())
    return codes[0] if codes else 130


async def _demo(file: Path, state: Path, args: argparse.Namespace, duration: float | None) -> int:
    async with _simulated_plant(args.fault) as ports:
        environ = {
            **os.environ,
            "GL002_OPC_SERVER": f"opc.tcp://127.0.0.1:{ports.opc_ua}",
            "GL002_MODBUS_HOST": "127.0.0.1",
            "GL002_MODBUS_PORT": str(ports.modbus),
            "GL002_DEMO_STATE": str(state),
            "GL002_DEMO_PORT": str(args.port),
        }
        gateway = Gateway(load(file, environ))
        screen = _Screen(gateway, duration)
        await serve(gateway, beside=screen.show, announce=screen.announce)
    return _report(gateway)


@contextlib.asynccontextmanager
async def _simulated_plant(faults: list[str]) -> AsyncIterator[Ports]:
    """`gl002 sim` as a process of its own, on free ports; ended when the block is left."""
    given = [part for fault in faults for part in ("--fault", fault)]
    plant = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gl002", "sim", "--attached",
        "--opc-ua", "0", "--modbus", "0", *given,
        stdin=asyncio.subprocess.PIPE,  # its end tells the plant to end, whatever became of us
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the gateway; the plant ends after it
    )  # fmt: skip
    try:
        yield await asyncio.wait_for(_ports_of(plant), _START_TIMEOUT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            plant.terminate()
        try:
            await asyncio.wait_for(plant.wait(), 10)
        except TimeoutError:
            plant.kill()
            await plant.wait()


async def _ports_of(plant: asyncio.subprocess.Process) -> Ports:
    """Read from what the plant says where it listens."""
    found: dict[str, int] = {}
    said = b""
    assert plant.stderr is not None
    while len(found) < len(Ports._fields):
        line = await plant.stderr.readline()
        if not line:
            raise ConnectFailed(f"the simulated plant did not start: {said.decode()[-500:]}")
        said += line
        words = line.decode().split()
        if len(words) >= 2 and words[0] in {"OPC", "Modbus"}:  # noqa: PLR2004
            url = words[-1].removesuffix("/1")
            found["opc_ua" if words[0] == "OPC" else "modbus"] = int(url.rpartition(":")[2])
    return Ports(**found)


class _Screen:
    """The live table; lines now and then where nobody looks."""

    def __init__(self, gateway: Gateway, duration: float | None) -> None:
        self._gateway = gateway
        self._end = None if duration is None else time.monotonic() + duration
        self._url = ""

    def announce(self, url: str) -> None:
        """Told by the dashboard where it is."""
        self._url = url
        if not sys.stdout.isatty():
            say(f"dashboard: {url}")

    async def show(self) -> None:
        """Until the time is over or the demo is stopped."""
        if not sys.stdout.isatty():
            await self._wait()
            return
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            while not self._over():
                live.update(self._picture(), refresh=True)
                await asyncio.sleep(0.5)

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        gateway = self._gateway
        table_ = display(
            gateway.status(), gateway.hub.latest, gateway.context.tags, shown_tags=_SHOWN
        )
        address = Text(f"dashboard: {self._url or 'not there yet'}   Ctrl-C ends")
        return Group(address, table_)

    def _over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    async def _wait(self) -> None:
        left = None if self._end is None else max(0.0, self._end - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), left)


def _report(gateway: Gateway) -> int:
    """What arrived; 1 where nothing did."""
    status = gateway.status()
    unit = gateway.context.tags.unit
    latest = [gateway.hub.latest[tag] for tag in _SHOWN if tag in gateway.hub.latest]
    table(SAMPLE_COLUMNS, [sample_row(s, unit(s.tag)) for s in latest], title="last values")
    table(
        ("output", "delivered", "left in the store", "dead letters"),
        [(o.name, o.delivered, o.pending, o.dead) for o in status.outputs],
    )
    say(f"stored in {gateway.config.state_dir / 'history.sqlite'}")
    return 0 if any(o.delivered for o in status.outputs) else 1
