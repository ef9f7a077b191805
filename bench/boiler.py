"""Heat balances per second, beside MEASUR of Oak Ridge National Laboratory in one run.

One core each, counted in seconds of that core, so that whatever else runs on the machine does not
count. MEASUR runs as WebAssembly in Node; both compute the stack loss of natural gas.
Then the month: one-minute data of ten boilers, from the SQLite history to the HTML report.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gl002.boiler.bands import band
from gl002.boiler.closed_form import closed_form
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS
from gl002.cli import main as gl002
from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Sample, Tag, TagTable, to_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.measur import Measur

STATE = Conditions(
    oxygen=3.0, basis="wet", stack_temperature=180.0, air_temperature=25.0, carbon_monoxide=20.0
)
START = datetime(2026, 10, 1, tzinfo=UTC)
ROLES = {
    "oxygen": ("%", 3.5), "stack": ("degC", 175.0), "air": ("degC", 25.0), "co": ("ppm", 18.0),
    "load": ("%", 70.0), "fuel": ("Nm3/h", 2_600.0), "steam": ("t/h", 36.0),
    "pressure": ("bar(g)", 22.0), "feedwater": ("degC", 110.0),
}  # fmt: skip


def rate(call: Callable[[], object], each: int = 1, seconds: float = 1.0) -> float:
    """Evaluations a second, the best of five parts of the time."""
    best = 0.0
    for _ in range(5):
        count, start = 0, time.process_time()
        while (spent := time.process_time() - start) < seconds / 5:
            call()
            count += each
        best = max(best, count / spent)
    return best


def balances() -> None:
    rows = 200_000
    rng = np.random.default_rng(1)
    oxygen, stack, air = rng.uniform(1, 9, rows), rng.uniform(120, 300, rows), np.full(rows, 25.0)
    closed = closed_form(NATURAL_GAS, "wet")
    found = {
        "vectorised, loss by loss (200,000 rows)": rate(lambda: closed(oxygen, stack, air), rows),
        "scalar with its 95 % band": rate(lambda: band(NATURAL_GAS, STATE)),
        "scalar, loss by loss, inputs checked": rate(lambda: indirect(NATURAL_GAS, STATE)),
    }
    with Measur() as measur:
        repeat = 20_000
        measur.stack(3.0, 356.0, 77.0, repeat=repeat)
        seconds = min(measur.stack(3.0, 356.0, 77.0, repeat=repeat)["seconds"] for _ in range(5))
    theirs = repeat / seconds
    print(f"{'MEASUR (WebAssembly), stack loss only':44} {theirs:12,.0f}/s   1.0")
    for name, each in found.items():
        print(f"{name:44} {each:12,.0f}/s   {each / theirs:.1f}")


def month(boilers: int, days: int) -> None:
    minutes = days * 1440
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("integrations.yaml").write_text(configuration(boilers))
        fill(Path(folder), boilers, minutes)
        start, wall = time.process_time(), time.perf_counter()
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            gl002(["report", "--month", "2026-10-01..2026-10-31", "--output", "month.html"])
        spent, waited = time.process_time() - start, time.perf_counter() - wall
        size = Path("month.html").stat().st_size
        samples = boilers * minutes * len(ROLES)
        print(
            f"report of {boilers} boilers, {days} days of minutes ({samples:,} samples): "
            f"{spent:.1f} s of a core ({waited:.1f} s by the clock), {size / 1024:,.0f} KiB"
        )
        os.chdir("/")


def configuration(boilers: int) -> str:
    head = (
        "integrations: {enabled: [sqlite], data_flow: {output: [{destination: sqlite}]}}\n"
        "gateway: {state_dir: state}\ntariffs: {natural_gas: 35}\nboilers:\n"
    )
    return head + "".join(
        f"  b{n}: {{oxygen: {{tag: b{n}.oxygen, basis: wet}}, stack_temperature: b{n}.stack, "
        f"air_temperature: b{n}.air, carbon_monoxide: b{n}.co, load: b{n}.load, "
        f"fuel_flow: b{n}.fuel, steam_flow: b{n}.steam, pressure: b{n}.pressure, "
        f"feedwater_temperature: b{n}.feedwater, "
        "advice: {burner_curve: [[0.3, 4.5], [1.0, 2.3]]}}\n"
        for n in range(boilers)
    )


def fill(folder: Path, boilers: int, minutes: int) -> None:
    table = TagTable()
    for n in range(boilers):
        for name, (unit, _) in ROLES.items():
            table.declare(Tag(name=f"b{n}.{name}", unit=unit))
    state = folder / "state"
    context = Context(
        network=Network(), audit=Audit(state / "audit.jsonl"), state_dir=state, tags=table
    )
    rng = np.random.default_rng(2)
    begin = to_ns(START)
    with SQLiteConnector({}, context=context) as history:
        for first in range(0, minutes, 500):
            batch = []
            for n in range(boilers):
                for name, (_, value) in ROLES.items():
                    noise = rng.normal(1.0, 0.004, 500)
                    swing = 1 + 0.2 * np.sin((first + np.arange(500)) / 700) * (
                        name in {"load", "fuel", "steam"}
                    )
                    values = value * noise * swing
                    batch += [
                        Sample(f"b{n}.{name}", float(v), begin + (first + i) * 60_000_000_000)
                        for i, v in enumerate(values[: minutes - first])
                    ]
            history.store(batch)
    context.audit.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boilers", type=int, default=10)
    parser.add_argument("--days", type=int, default=30)
    args = parser.parse_args()
    balances()
    month(args.boilers, args.days)


if __name__ == "__main__":
    main()
