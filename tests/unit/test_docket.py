"""The docket: what waits is on disk, changes state once, and is not forgotten too soon."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from gl002.docket import Docket, DocketUnreadable, Draft
from gl002.errors import BufferFull
from gl002.model import now_ns
from gl002.security.secrets import Secret

ENDS = ("done", "dropped", "expired")
HOUR = 3_600_000_000_000


@pytest.fixture
def docket(tmp_path):
    return Docket(tmp_path / "state" / "docket.sqlite", ends=ENDS, most=5)


def draft(key: str, **changes) -> Draft:
    return Draft(**{"key": key, "subject": "desk order", "body": {"n": 1}, **changes})


def test_the_same_key_is_put_once(docket):
    first, new = docket.add(draft("a"))
    assert (first.id, first.state, first.body, new) == (1, "waiting", {"n": 1}, True)
    again, new = docket.add(draft("a", body={"n": 2}))
    assert (again, new) == (first, False)


def test_nothing_is_there_before_the_first_entry_and_no_file_is_made_by_looking(docket):
    assert (docket.list(), docket.get("a"), docket.counts(), docket.marks()) == ([], None, {}, {})
    assert not docket.path.exists()


def test_a_secret_in_what_was_wrong_is_not_kept(docket):
    Secret("hunter2hunter2")
    docket.add(draft("a"))
    moved = docket.move("a", ["waiting"], "failed", detail="apps/hunter2hunter2@X is refused")
    assert (moved.detail, docket.get("a").detail) == ("apps/***@X is refused",) * 2


def test_words_that_are_no_text_are_kept_readable(docket):
    """A redirect may name any bytes; what cannot be kept would be tried every second."""
    docket.add(draft("a"))
    moved = docket.move("a", ["waiting"], "sending", detail="302 -> /\udcff", number="7\udcff")
    assert (moved.detail, moved.number) == ("302 -> /\\udcff", "7\\udcff")


def test_nothing_has_a_number_of_a_thousand_digits(docket):
    docket.add(draft("a"))
    assert docket.get("9" * 5_000) is None
    assert docket.get(2**63) is None


def test_an_entry_is_found_by_its_number_and_by_its_key(docket):
    docket.add(draft("a"))
    entry, _ = docket.add(draft("b"))
    assert docket.get("2") == docket.get(2) == docket.get("b") == entry
    assert docket.get("3") is docket.get("c") is docket.get("9" * 40) is None


def test_a_state_changes_only_from_the_state_that_is_named(docket):
    docket.add(draft("a"))
    moved = docket.move("a", ["waiting"], "approved", actor="ann", detail="looks right")
    assert (moved.state, moved.actor, moved.detail) == ("approved", "ann", "looks right")
    assert docket.move("a", ["waiting"], "dropped") is None
    assert docket.get("a").state == "approved"
    sent = docket.move("a", ["approved"], "sending", tried=True)
    assert (sent.tries, sent.actor) == (1, "ann")
    assert sent.since >= moved.since


def test_of_many_who_take_an_entry_at_the_same_time_one_has_it(docket):
    docket.add(draft("a"))
    taken = []
    threads = [
        threading.Thread(target=lambda: taken.append(docket.move("a", ["waiting"], "approved")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in taken if one is not None]) == 1


def test_too_many_that_wait_are_refused_and_what_is_done_does_not_count(docket):
    for n in range(5):
        docket.add(draft(str(n)))
    with pytest.raises(BufferFull):
        docket.add(draft("6"))
    assert docket.add(draft("3"))[1] is False, "what is there already is no more"
    docket.move("0", ["waiting"], "done")
    assert docket.add(draft("6"))[1] is True


def test_what_was_remembered_is_there_exactly_when_the_entries_are(docket):
    for n in range(4):
        docket.add(draft(str(n)))
    with pytest.raises(BufferFull):
        docket.add_marked([draft("5"), draft("6")], {"seen": 7})
    assert docket.marks() == {}
    assert docket.get("5") is None
    docket.add_marked([draft("5")], {"seen": 7, "begun": [1, 2]})
    assert docket.marks() == {"seen": 7, "begun": [1, 2]}


def test_a_known_entry_takes_the_later_end_while_it_waits_and_not_after(docket):
    docket.add(draft("a", expires=10))
    for expires in (20, 15):
        assert docket.add_marked([draft("a", expires=expires)], {}, renew=["waiting"]) == []
    assert docket.get("a").expires == 20
    docket.move("a", ["waiting"], "done")
    docket.add_marked([draft("a", expires=30)], {}, renew=["waiting"])
    assert docket.get("a").expires == 20


def test_what_expired_untried_begins_again_and_what_was_tried_does_not(docket):
    for key in ("a", "b"):
        docket.add(draft(key, expires=10))
    docket.move("b", ["waiting"], "sending", tried=True)
    for key in ("a", "b"):
        docket.move(key, ["waiting", "sending"], "expired")
    drafts = [draft(key, expires=20, body={"n": 2}) for key in ("a", "b")]
    (again,) = docket.add_marked(drafts, {})
    assert (again.key, again.state, again.body, again.expires) == ("a", "waiting", {"n": 2}, 20)
    assert docket.get("b").state == "expired"


def test_a_list_is_narrowed_by_state_subject_time_and_number(docket):
    now = now_ns()
    docket.add(draft("a", subject="desk order", expires=now + HOUR))
    docket.add(draft("b", subject="desk.two order", expires=now - HOUR))
    docket.add(draft("c", subject="desk reading"))
    docket.move("c", ["waiting"], "sending", due=now + HOUR)

    def keys(*args, **wanted):
        return [entry.key for entry in docket.list(*args, **wanted)]

    assert keys() == ["a", "b", "c"]
    assert keys(["sending"]) == ["c"]
    assert keys(["sending"], due_by=now) == []
    assert keys(subject="desk") == ["a", "c"], "'desk.two' is another connection"
    assert keys(subject="desk order") == ["a"]
    assert keys(expired_by=now) == ["b"], "0 is never"
    assert keys(limit=2) == ["a", "b"]
    assert keys(limit=2, after=2) == ["c"]
    assert keys(limit=2, newest=True) == ["b", "c"]
    assert docket.counts() == {"waiting": 2, "sending": 1}


def test_what_ended_long_ago_is_forgotten_and_what_is_open_never(tmp_path):
    docket = Docket(tmp_path / "docket.sqlite", ends=ENDS, keep=0.0)
    docket.add(draft("open"))
    docket.add(draft("ended"))
    docket.move("ended", ["waiting"], "done")
    docket.add(draft("next"))
    assert [entry.key for entry in docket.list()] == ["open", "next"]


def test_a_damaged_file_is_an_error_of_ours_that_names_it(docket):
    docket.path.parent.mkdir()
    docket.path.write_bytes(b"no database " * 100)
    with pytest.raises(DocketUnreadable, match=r"docket\.sqlite") as caught:
        docket.add(draft("a"))
    assert caught.value.retryable


def test_every_change_is_on_disk_when_it_returns(docket):
    """What SQLite promises for FULL, asked of the file as it is written."""
    docket.add(draft("a"))
    with docket._open() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other = sqlite3.connect(docket.path)
    assert other.execute("SELECT key FROM entry").fetchall() == [("a",)]
    other.close()
