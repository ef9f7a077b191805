"""What all tests share."""

from __future__ import annotations

import itertools
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gl002.security.secrets import Redactor

# How fast a machine is decides no test: neither how long an example takes nor how long its making.
# Nor does chance: everybody has the same examples; `--hypothesis-profile=explore` looks for others.
settings.register_profile(
    "gl002", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("explore", settings.get_profile("gl002"), derandomize=False)
settings.load_profile("gl002")

pytest_plugins = ["gl002.testing.plugin"]
pytest.register_assert_rewrite("gl002.testing.buffers", "gl002.testing.delivery")
# What test files of a family share, in modules beside them, tells of failures as the tests do.
pytest.register_assert_rewrite("integrations", "unit")


@pytest.fixture(scope="session")
def _states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New state folders; each is made by who writes into it."""
    return (tmp_path_factory.getbasetemp() / "state" / str(number) for number in itertools.count())


@pytest.fixture(scope="session", autouse=True)
def _no_state_of_the_user(_states: Iterator[Path]) -> Iterator[None]:
    """No test reads or writes the state folder or the variables of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GL002_") or name == "SUDO_USER":
                patch.delenv(name)
        patch.setenv("GL002_STATE_DIR", str(next(_states)))
        yield


@pytest.fixture(autouse=True)
def _no_state_of_another_test(monkeypatch: pytest.MonkeyPatch, _states: Iterator[Path]) -> None:
    """History, certificates, names and audit that one test leaves are no matter to the next."""
    monkeypatch.setenv("GL002_STATE_DIR", str(next(_states)))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """The command line sets up logging for its process; the next test is none of its business."""
    root, ours = logging.getLogger(), logging.getLogger("gl002")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(autouse=True)
def _no_secrets_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that was a password before is shown in messages again."""
    known, passing = set(Redactor._known), OrderedDict(Redactor._passing)
    monkeypatch.setattr(Redactor, "_known", known)
    monkeypatch.setattr(Redactor, "_passing", passing)
    monkeypatch.setattr(Redactor, "_forms", None)


@pytest.fixture
def unhurried_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that try once: an OPC UA server that stands still while it is dialled is there."""
    monkeypatch.setattr("gl002.transport.opc_ua.security._GREETING", 30.0)
