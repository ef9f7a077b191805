"""What a gateway tells of itself."""

from __future__ import annotations

import subprocess
import sys

from gl002.flow.status import resident_memory

_SAY = "from gl002.flow.status import resident_memory; print(resident_memory())"


def test_the_memory_told_is_that_of_this_process_and_not_of_the_one_that_started_it():
    ballast = b"x" * 400_000_000
    told = int(subprocess.run([sys.executable, "-c", _SAY], capture_output=True, check=True).stdout)
    assert resident_memory() > len(ballast)
    assert 5_000_000 < told < 200_000_000


def test_memory_that_was_given_back_is_not_told_any_more():
    ballast = b"x" * 400_000_000
    full = resident_memory()
    del ballast
    assert resident_memory() < full - 300_000_000
