"""How a gateway that runs is found and entered: `api.json` in its state folder.

    >>> from gl002.context import default_state_dir
    >>> access = read_access(default_state_dir())  # doctest: +SKIP
    >>> urlopen(Request(f"{access.url}/api/status", headers=access.headers()))  # doctest: +SKIP

The file is readable by its owner only: whoever may read it may do what its owner may do. The
token is made once and kept, so that an open dashboard survives a restart; delete the file while
the gateway is stopped to make a new one and end every session.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gl002.errors import ConnectFailed
from gl002.security.folders import make_private
from gl002.security.secrets import Redactor

log = logging.getLogger("gl002.web")

_NAME = "api.json"
_OTHERS = 0o077
_TOKEN_BYTES = 32
_LONGEST_FILE = 4096
_LONGEST_TROUBLE = 500  # characters; six bytes each at most


@dataclass(frozen=True, slots=True)
class Access:
    """Where a gateway answers, and what lets one in.

    Attributes:
        url: 'http://127.0.0.1:8080'.
        token: goes into the header `Authorization: Bearer <token>`.
        pid: process of the gateway.
    """

    url: str
    token: str = field(repr=False)
    pid: int

    def headers(self) -> dict[str, str]:
        """What a script sends with each request."""
        return {"Authorization": f"Bearer {self.token}"}

    def browser_url(self) -> str:
        """What a person opens: the page takes the token out of the address at once."""
        return f"{self.url}/?token={self.token}"


def read_access(state_dir: Path) -> Access:
    """The access to the gateway that runs on a state folder.

    Raises:
        ConnectFailed: none runs there, it does not answer yet, or its file belongs to someone else.
    """
    path = state_dir / _NAME
    try:
        kept = _read(path)
    except OSError as error:
        raise ConnectFailed(
            f"{path}: {error.strerror or error}", hint="run this as the user who runs the gateway"
        ) from None
    url, token, pid = kept.get("url"), kept.get("token"), kept.get("pid")
    if not (isinstance(pid, int) and _lives(pid)):
        pid = None
    if pid is not None and isinstance(url, str) and isinstance(token, str):
        Redactor.remember(token)
        return Access(url, token, pid)
    if pid is not None and isinstance(trouble := kept.get("trouble"), str):
        raise ConnectFailed(
            f"the gateway runs as process {pid}, but nobody can ask it yet: {trouble}",
            hint="it tries again and again; values come and go meanwhile",
        )
    raise ConnectFailed(
        f"no gateway with a local API runs on {state_dir}",
        hint="start it with 'gl002 run', or name its configuration file; one whose log says "
        "'no dashboard' runs, but nobody can ask it",
    )


@contextmanager
def published(state_dir: Path, url: str) -> Iterator[Access]:
    """Make it known that this process answers at `url`, while in the block.

    Raises:
        ConnectFailed: another process already does so for this state folder, or the folder
            cannot be written.
    """
    with _recorded(state_dir, {"url": url}) as token:
        yield Access(url, token, os.getpid())


@contextmanager
def excused(state_dir: Path, trouble: str) -> Iterator[None]:
    """Make it known that this process runs and does not answer, and why, while in the block.

    Raises:
        ConnectFailed: as `published`.
    """
    with _recorded(state_dir, {"url": None, "trouble": trouble[:_LONGEST_TROUBLE]}):
        yield


@contextmanager
def _recorded(state_dir: Path, what: dict[str, Any]) -> Iterator[str]:
    """The file says this of us while in the block; gives the token."""
    path = state_dir / _NAME
    with ExitStack() as lock:
        try:
            make_private(state_dir)
            lock.enter_context(_only_one(path))
            token = _kept_token(path)
            _write(path, {**what, "token": token, "pid": os.getpid()})
        except ConnectFailed:
            raise
        except OSError as error:
            raise ConnectFailed(f"{path}: {error.strerror or error}") from error
        Redactor.remember(token)
        try:
            yield token
        finally:
            with suppress(OSError):  # a full disk does not hold up the stop
                _write(path, {"url": None, "token": token, "pid": None})


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """The lock goes with the process, so a crash leaves nothing behind that bars the next start."""
    guard = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(guard)
        raise ConnectFailed(
            f"{path.parent}: another gateway serves this state folder",
            hint="stop it first, or give this one its own gateway.state_dir",
        ) from None
    try:
        yield
    finally:
        os.close(guard)


def _kept_token(path: Path) -> str:
    """The token of the last run; a new one where there is none or others may have read it."""
    try:
        token = _read(path).get("token")
        exposed = path.exists() and path.stat().st_mode & _OTHERS
    except OSError:
        token, exposed = None, 0
    if exposed:
        log.warning("%s: others may read it: a new token replaces the one in it", path)
    if isinstance(token, str) and len(token) >= _TOKEN_BYTES and not exposed:
        return token
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it is missing or is no record of ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    with os.fdopen(descriptor, "rb") as file, suppress(ValueError):
        kept = json.loads(file.read(_LONGEST_FILE))
        return kept if isinstance(kept, dict) else {}
    return {}


def _write(path: Path, record: dict[str, Any]) -> None:
    """Replace the file in one step; nobody else can read it at any moment."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(record, file)
    fresh.replace(path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0
