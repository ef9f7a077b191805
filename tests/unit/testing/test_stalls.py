"""A machine that stands still is measured; a program that blocks its own loop is not excused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from gl002.testing.stalls import Stalls

_TELLS = (
    "import sys, time\nfrom gl002.testing.stalls import Stalls\n"
    "with Stalls() as stalls:\n    print('begun', flush=True)\n    sys.stdin.readline()\n"
    "print(stalls.total)"
)


def test_a_program_that_was_stopped_knows_for_how_long():
    with subprocess.Popen(
        [sys.executable, "-c", _TELLS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "begun\n"
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(child.pid, signal.SIGCONT)
        told, _ = child.communicate("\n", timeout=30)
    assert float(told) > 0.4


def test_time_that_a_call_sleeps_away_is_its_own():
    start = time.monotonic()
    with Stalls() as stalls:
        time.sleep(0.5)
    assert stalls.total < time.monotonic() - start  # which is 0.5 s where the machine runs
