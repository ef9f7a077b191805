"""When a point was last written, told by clocks that are set and machines that start again."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from gl002.writes.clock import Running, running
from gl002.writes.memory import WriteMemory

HOUR = 3600.0


class Machine:
    """A machine with its clocks, and the memory of the gateway on it."""

    def __init__(self, folder):
        self.folder = folder
        self.wall = 1.7e9
        self.up = 500.0
        self.boot = "first"

    def pass_(self, seconds):
        self.wall += seconds
        self.up += seconds

    def start_again(self, off):
        """It is off for so long, and a second into its next start now."""
        self.wall += off
        self.up, self.boot = 1.0, "second"

    @property
    def memory(self):
        """As a process has it that begins now."""
        return WriteMemory(
            self.folder, lambda: round(self.wall * 1e9), lambda: Running(self.boot, self.up)
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_what_was_never_written_was_written_infinitely_long_ago(machine):
    assert machine.memory.since("o2") == math.inf


@pytest.mark.parametrize("jump", [0, HOUR, -HOUR, 10 * 365 * 24 * HOUR, -365 * 24 * HOUR])
@pytest.mark.parametrize("another_process", [True, False])
def test_setting_the_clock_changes_nothing_in_this_process_or_another(
    machine, jump, another_process
):
    memory = machine.memory
    memory.remember("o2")
    machine.wall += jump
    machine.pass_(30.0)
    memory = machine.memory if another_process else memory
    assert memory.since("o2") == pytest.approx(30.0)


def test_over_a_start_of_the_machine_the_wall_clock_tells(machine):
    machine.memory.remember("o2")
    machine.start_again(off=59.0)
    assert machine.memory.since("o2") == pytest.approx(59.0)


def test_a_clock_set_back_over_a_start_neither_frees_nor_locks_a_point(machine):
    """The machine may have come up without its time server, in the year 2000."""
    machine.memory.remember("o2")
    machine.start_again(off=-20 * 365 * 24 * HOUR)
    assert machine.memory.since("o2") == pytest.approx(1.0)
    machine.pass_(60.0)
    assert machine.memory.since("o2") == pytest.approx(61.0)
    machine.memory.remember("o2")
    machine.wall += 20 * 365 * 24 * HOUR  # the time server is there again
    machine.pass_(5.0)
    assert machine.memory.since("o2") == pytest.approx(5.0)


def test_one_point_is_remembered_beside_another(machine):
    machine.memory.remember("o2")
    machine.pass_(10.0)
    machine.memory.remember("draft")
    machine.pass_(10.0)
    assert machine.memory.since("o2") == pytest.approx(20.0)
    assert machine.memory.since("draft") == pytest.approx(10.0)


def test_a_file_of_an_earlier_version_is_judged_by_the_wall_clock(machine):
    (machine.folder / "last_writes.json").write_text(json.dumps({"o2": round(machine.wall * 1e9)}))
    machine.pass_(10.0)
    assert machine.memory.since("o2") == pytest.approx(10.0)
    machine.wall -= HOUR
    assert machine.memory.since("o2") == 0.0, "not free at once"
    machine.memory.remember("draft")
    machine.wall += HOUR
    assert machine.memory.since("o2") == pytest.approx(10.0), "kept when another one is written"


def test_all_processes_of_a_machine_share_its_running_time():
    before = running()
    script = "from gl002.writes.clock import running; print(*running())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    boot, seconds = done.stdout.decode().split()
    after = running()
    assert boot == before.boot == after.boot
    assert before.seconds <= float(seconds) <= after.seconds
