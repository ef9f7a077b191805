"""What the gateway keeps is for its user alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.config.sections import StoreSettings
from gl002.flow.deadletter import DeadLetters
from gl002.flow.store import Store
from gl002.model import Sample
from gl002.security.folders import make_private


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_every_folder_that_is_made_on_the_way_is_private(tmp_path):
    make_private(tmp_path / "a" / "b" / "c")
    made = (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c")
    assert [mode(folder) for folder in made] == [0o700] * 3
    make_private(tmp_path / "a" / "b" / "c")


def test_a_folder_that_is_there_stays_as_its_owner_made_it(tmp_path):
    (tmp_path / "shared").mkdir(mode=0o755)
    make_private(tmp_path / "shared" / "state")
    assert (mode(tmp_path / "shared"), mode(tmp_path / "shared" / "state")) == (0o755, 0o700)


@pytest.mark.parametrize("what", ["file", "link to nowhere"])
def test_what_is_no_folder_is_an_error(tmp_path, what):
    there = tmp_path / "state"
    there.write_text("") if what == "file" else there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="state"):
        make_private(there)


async def test_the_state_folder_is_private_where_the_store_is_the_first_to_write_there(tmp_path):
    store = Store(tmp_path / "state" / "store", StoreSettings())
    await store.open(["sqlite"])
    await store.close()
    assert mode(tmp_path / "state") == 0o700


def test_the_state_folder_is_private_where_a_dead_letter_is_the_first_there(tmp_path):
    letters = DeadLetters(tmp_path / "house" / "state" / "deadletters.sqlite")
    letters.add("sqlite", [(Sample("o2", 3.0, 1), "refused")])
    assert [mode(tmp_path / "house"), mode(tmp_path / "house" / "state")] == [0o700] * 2
