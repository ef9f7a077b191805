"""The pytest plugin of the contract suites: rigs, fresh connectors, and a look for leaks.

    # conftest.py
    pytest_plugins = ["gl002.testing.plugin"]

A module that imports a suite names its rigs in `RIGS`, or its buffers in `BUFFERS`; every test of
the suite runs once for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gl002.bridge import portal
from gl002.connector import Connector
from gl002.context import Context
from gl002.registry import connector, entry
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.leaks import Leaks
from gl002.testing.needs import met
from gl002.testing.rig import Rig

_ONCE = RetryPolicy(max_attempts=1)


def pytest_configure(config: pytest.Config) -> None:
    """Make the suite's marker known."""
    config.addinivalue_line("markers", "needs(*conditions): see gl002.testing.needs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a suite's tests once for each of the module's `RIGS`, or `BUFFERS`."""
    rigs: Sequence[type[Rig]] | None = getattr(metafunc.module, "RIGS", None)
    if "rig" in metafunc.fixturenames and rigs is not None:
        names = [rig.kind for rig in rigs]
        metafunc.parametrize("rig", rigs, indirect=True, ids=names, scope="session")
    buffers: Mapping[str, Any] | None = getattr(metafunc.module, "BUFFERS", None)
    if "make_buffer" in metafunc.fixturenames and buffers is not None:
        metafunc.parametrize("make_buffer", list(buffers.values()), ids=list(buffers))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what a rig's connector cannot do; expect its known gaps to fail."""
    left_out = [item for item in items if not _applies(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    for item in items:
        reason = _gap(item)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _rig_of(item: pytest.Item) -> type[Rig] | None:
    call = getattr(item, "callspec", None)
    rig = call.params.get("rig") if call is not None else None
    return rig if isinstance(rig, type) and issubclass(rig, Rig) else None


def _applies(item: pytest.Item) -> bool:
    rig = _rig_of(item)
    return rig is None or all(met(rig, mark.args) for mark in item.iter_markers("needs"))


def _gap(item: pytest.Item) -> str | None:
    rig = _rig_of(item)
    return None if rig is None else rig.gaps.get(getattr(item, "originalname", item.name))


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The counterpart, started once for all tests of its connector.

    The driver is loaded before: what happens once in the life of a process counts in no time-out,
    whichever test comes first.
    """
    if driver := entry(request.param.kind).driver:
        import_module(driver)
    rig: Rig = request.param()
    try:
        rig.start()
        yield rig
    finally:
        rig.stop()


class Maker:
    """Makes connectors to the rig's counterpart and closes them when the test ends.

    Attributes:
        context: what all its connectors share: network, audit file, state folder, tags.
    """

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.context = Context(
            network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder
        )
        self._made: list[Connector[Any]] = []

    def __call__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        context: Context | None = None,
        patient: bool = False,
        **changes: Any,
    ) -> Connector[Any]:
        """A connector that is not connected yet.

        Args:
            settings: its configuration; the rig's where absent.
            context: instead of the shared one.
            patient: keep its own retry policy. Else a request is tried once, so that a test sees
                the first outcome.
            changes: to the rig's configuration.
        """
        given = self.rig.config(**changes) if settings is None else settings
        made: Connector[Any] = connector(self.rig.kind)(given, context=context or self.context)
        if not patient:
            made._retry = _ONCE  # noqa: SLF001 (no public way, and none is needed elsewhere)
        self._made.append(made)
        return made

    async def close(self) -> None:
        """Close everything it made."""
        for made in self._made:
            await made.close()
        self.context.audit.close()


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fails the test when it leaves a task, a `gl002-` thread or a socket behind."""
    portal()  # the one thread that stays: before the count begins
    leaks = Leaks()
    yield
    await leaks.check()


@pytest.fixture
async def make(
    rig: Rig,
    tmp_path: Path,
    no_leaks: None,  # noqa: ARG001 (looks after everything is closed)
) -> AsyncIterator[Maker]:
    """Makes connectors to the rig; whatever the test did to the link is undone afterwards."""
    maker = Maker(rig, tmp_path)
    yield maker
    if rig.networked:
        rig.link.restore()
    await maker.close()
