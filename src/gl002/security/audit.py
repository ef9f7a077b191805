"""The audit file: append-only, one JSON line an entry, each chained to the one before by SHA-256.

A line changed in one byte, taken out, put in or moved breaks the chain at that line:
`gl002 audit verify` names it. The chain alone does not show that the end was cut off or the whole
file written anew by someone who may write it; for that, copy the last hash elsewhere.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import fcntl
import hashlib
import json
import logging
import math
import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from gl002.errors import DataError, WriteRefused
from gl002.security.folders import make_private
from gl002.security.secrets import Redactor

log = logging.getLogger("gl002.audit")

_START = "0" * 64
_LONGEST = 64 * 1024  # bytes of an entry
_LOCK_PATIENCE = 5.0  # seconds another process may hold the file
_LOCK_AGAIN = 0.01  # seconds between two looks whether it still does
_WORDS = frozenset({"reason", "result"})  # of people and drivers: a driver may name a secret
_OURS = frozenset({"seq", "time", "claimed_user", "action", "subject", "prev", "hash"})
_LONGEST_NAME = 64  # characters of a claimed user


class Broken(NamedTuple):
    """The first line at which the chain does not hold."""

    line: int
    reason: str


class Audit:
    """Writes to one audit file; opens nothing before the first entry. Processes may share it.

    Args:
        path: the file; it and its folder are made with mode 0640 / 0700 where missing.
        actor: who acts, where an entry does not say; the operating system's user by default.
    """

    def __init__(self, path: Path, *, actor: str = "") -> None:
        self.path = path
        self._actor = actor
        self._worker: concurrent.futures.ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()
        self._last: tuple[int, int, str] = (0, 0, _START)  # file size, sequence number, hash
        self._failing = False

    async def record(self, action: str, subject: str, **details: object) -> int:
        """Add an entry and return its number once it is on disk.

        Args:
            action: what was done: 'write', 'connection', 'config.load'.
            subject: to what: connector and address, file name.
            details: anything JSON can hold, the rest as text: before, after, actor, reason, result.

        Raises:
            WriteRefused: the entry could not be made durable, so what it announces must not happen.
        """
        entry = self._entry(action, subject, details)
        try:
            return await asyncio.wrap_future(self._run(entry, durable=True))
        except (OSError, DataError) as error:
            raise WriteRefused(
                f"{self.path}: the audit entry could not be written: {error}",
                hint="no audit, no write: free disk space or mend the file's permissions",
            ) from error

    def note(self, action: str, subject: str, **details: object) -> None:
        """Add an entry soon, in order, without waiting; trouble is logged once."""
        future = self._run(self._entry(action, subject, details), durable=False)
        future.add_done_callback(self._report)

    def close(self) -> None:
        """Wait until every entry noted so far is in the file, and end the thread that writes them.

        Safe to call twice; a later entry starts it again.
        """
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown()

    def _report(self, future: concurrent.futures.Future[int]) -> None:
        error = future.exception()
        if error is not None and not self._failing:
            log.error("%s: cannot be written: %s", self.path, error)
        self._failing = error is not None

    def _entry(self, action: str, subject: str, details: dict[str, object]) -> dict[str, object]:
        assert not _OURS & details.keys(), f"the audit file writes {_OURS & details.keys()} itself"
        known = {key: _said(value) for key, value in details.items() if value is not None}
        for key in _WORDS & known.keys():
            known[key] = Redactor.redact(str(known[key]))
        actor = known.pop("actor", None) or self._actor or user()
        claim = claimed_user() if actor == user() else ""
        claimed = {"claimed_user": claim} if claim else {}
        about = {"time": _now(), "actor": actor, **claimed, "action": action, "subject": subject}
        return {**about, **known}

    def _run(self, entry: dict[str, object], *, durable: bool) -> concurrent.futures.Future[int]:
        try:
            with self._starting:
                if self._worker is None or self._pid != os.getpid():  # threads do not survive forks
                    self._worker = concurrent.futures.ThreadPoolExecutor(1, "gl002-audit")
                    self._pid = os.getpid()
                return self._worker.submit(self._append, entry, durable)
        except RuntimeError:  # the interpreter is ending and starts no thread any more
            return _at_once(self._append, entry, durable)

    def _append(self, entry: dict[str, object], durable: bool) -> int:  # noqa: FBT001 (executor)
        make_private(self.path.parent)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        with os.fdopen(descriptor, "r+b") as file:
            _lock(file)
            number, previous = self._end_of(file)
            line, digest = _line({"seq": number + 1, **entry, "prev": previous})
            if len(line) > _LONGEST:
                raise DataError(f"{self.path}: an entry of {len(line)} bytes is too long")
            file.write(line)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            self._last = (file.seek(0, os.SEEK_END), number + 1, digest)
        if durable and number == 0:
            _sync_folder(self.path.parent)
        return number + 1

    def _end_of(self, file: IO[bytes]) -> tuple[int, str]:
        """Number and hash of the last entry; a line torn by a crash is closed off and skipped."""
        size = file.seek(0, os.SEEK_END)
        if size == self._last[0]:
            return self._last[1:]
        if size < self._last[0]:  # the log is elsewhere: what the chain cannot show stands there
            log.error(
                "%s: entries were cut off: we have written up to number %d, hash %s",
                self.path, *self._last[1:],
            )  # fmt: skip
        file.seek(max(0, size - 2 * _LONGEST))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.write(b"\n")
        for line in reversed(tail.splitlines()):
            entry = _parse(line)
            if entry is not None:
                return int(entry["seq"]), str(entry["hash"])
        if size <= 2 * _LONGEST:
            return 0, _START
        raise DataError(f"{self.path}: no entry in its last {len(tail)} bytes; set the file aside")


def _at_once(
    append: Callable[[dict[str, object], bool], int],
    entry: dict[str, object],
    durable: bool,  # noqa: FBT001
) -> concurrent.futures.Future[int]:
    """As an executor would, but here and now."""
    done: concurrent.futures.Future[int] = concurrent.futures.Future()
    try:
        done.set_result(append(entry, durable))
    except (OSError, DataError) as error:
        done.set_exception(error)
    return done


def _lock(file: IO[bytes]) -> None:
    """Take the file for ourselves; closing it lets go.

    Raises:
        TimeoutError: another process holds it for too long.
    """
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the file") from None
            time.sleep(_LOCK_AGAIN)
        else:
            return


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify(path: Path) -> Iterator[Broken]:
    """Check the chain of a file; yields nothing where it holds.

    A line torn by a crash is reported, and the chain is followed from the next whole one.

    Raises:
        OSError: it cannot be read.
    """
    number, previous = 0, _START
    with path.open("rb") as file:
        for place, line in enumerate(file, start=1):
            entry = _parse(line)
            if entry is None:
                yield Broken(place, "is no whole entry: torn by a crash, or changed")
                continue
            digest = entry.pop("hash")
            if _line(entry) != (line, digest):
                yield Broken(place, "was changed: its hash does not fit its content")
            elif (entry["prev"], entry["seq"]) != (previous, number + 1):
                yield Broken(
                    place, "does not follow the entry before it: taken out, put in or moved"
                )
            number, previous = entry["seq"], digest


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a file, oldest first."""
    with path.open("rb") as file:
        for line in file:
            entry = _parse(line)
            if entry is not None:
                yield entry


def _line(entry: dict[str, Any]) -> tuple[bytes, str]:
    """The one way to write an entry, and its hash."""
    canonical = json.dumps(_plain(entry), sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    return canonical[:-1] + b',"hash":"' + digest.encode() + b'"}\n', digest


def _plain(entry: dict[str, Any]) -> Any:
    """As it will be read back: keys are text, and what JSON cannot hold is its text."""
    try:
        return json.loads(json.dumps(entry, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"an audit entry cannot be written: {error}") from None


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(entry, dict)
        and {"seq", "prev", "hash"} <= entry.keys()
        and isinstance(entry["seq"], int)
        and isinstance(entry["hash"], str)
    )
    return entry if whole else None


def _said(value: object) -> object:
    """NaN and infinity as text: JSON has no numbers for them, and who reads the file else fails."""
    if isinstance(value, list | tuple):
        return [_number(item) for item in value]
    return _number(value)


def _number(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def user() -> str:
    """Whose process this is, as the kernel knows it; the environment may say anybody."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, users may have no names
        return f"uid {os.getuid()}"


def claimed_user() -> str:
    """Who called sudo for this process, '' where nobody did.

    A variable of the environment says so, and whoever runs as this user may set it: a hint for
    people who read the record, and nothing to decide by.
    """
    claim = os.environ.get("SUDO_USER", "")[:_LONGEST_NAME]
    return "" if claim == user() else claim
