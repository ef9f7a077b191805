"""Faces: the blocking class is the async class, method for method."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.bridge import Blocking, portal
from gl002.connector import Capability, State
from gl002.context import Context
from gl002.registry import connector, face
from gl002.testing.contract.requests import is_in
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_INSIDE = {
    "source", "sink", "endpoints", "warnings", "trend", "entry_of", "drift", "rehearse", "find",
    "perform", "step_aside", "keeps",
}  # fmt: skip
"""What only the flow, the outbox, the pool, the command line and the base class ask for."""


def _public(cls: type, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(cls, wanted)
        if not name.startswith("_") and name not in _INSIDE
    }


def _promised(twin: Any, name: str) -> bool:
    """Whether people may call it: what the base class only refuses is not promised."""
    ability = Capability.__members__.get(name.upper())
    return ability is None or ability in twin.can


def _methods(kind: str) -> Iterator[tuple[str, Any, Any]]:
    """Name, twin's method and face's method of all that people call."""
    twin, blocking = connector(kind), face(kind)
    for name, method in _public(twin, inspect.isfunction).items():
        if _promised(twin, name):
            yield name, method, getattr(blocking, name, None)


@pytest.fixture
def blocking(rig: Rig, make: Maker) -> Iterator[Any]:
    """A blocking connector to the rig, closed at the end."""
    made = face(rig.kind)(rig.config(), context=make.context)
    yield made
    made.close()


def test_the_face_has_every_method_of_the_async_class(rig: Rig) -> None:
    assert issubclass(face(rig.kind), Blocking)
    missing = [name for name, _, method in _methods(rig.kind) if method is None]
    assert missing == []


def test_methods_of_both_classes_have_one_signature_and_one_docstring(rig: Rig) -> None:
    for name, of_twin, of_face in _methods(rig.kind):
        if of_face is None:
            continue  # the test above names it
        assert inspect.signature(of_face) == inspect.signature(of_twin), name
        assert of_face.__doc__, f"{name} has no docstring"
        assert of_face.__doc__ == of_twin.__doc__, name
        assert not inspect.iscoroutinefunction(of_face), name


def test_the_face_offers_nothing_the_async_class_lacks(rig: Rig) -> None:
    extra = set(_public(face(rig.kind), inspect.isfunction)) - set(
        _public(connector(rig.kind), inspect.isfunction)
    )
    assert extra == set()


def test_both_classes_are_constructed_alike(rig: Rig) -> None:
    of_twin = inspect.signature(connector(rig.kind).__init__).parameters
    of_face = inspect.signature(face(rig.kind).__init__).parameters
    assert list(of_twin) == list(of_face)
    for name, parameter in of_twin.items():
        assert parameter.kind is of_face[name].kind, name
        assert parameter.default == of_face[name].default, name


def test_the_face_connects_works_and_closes(blocking: Any) -> None:
    blocking.connect()
    assert blocking.check().ok
    assert is_in(blocking.aio, State.UP)
    blocking.close()
    assert is_in(blocking.aio, State.CLOSED)


def test_the_face_connects_with_its_first_request(blocking: Any) -> None:
    assert blocking.check().ok


def test_the_with_block_of_a_face_closes(rig: Rig, make: Maker) -> None:
    with face(rig.kind)(rig.config(), context=make.context) as blocking:
        assert blocking.check().ok
    assert is_in(blocking.aio, State.CLOSED)


async def test_the_face_works_under_a_running_loop(blocking: Any) -> None:
    assert blocking.check().ok


def test_the_face_works_from_many_threads_at_once(blocking: Any) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(blocking.check().ok)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [True] * 8


def test_a_blocking_call_from_the_gateways_own_loop_is_refused(blocking: Any) -> None:
    async def call() -> None:
        with pytest.raises(RuntimeError, match="aio"):
            blocking.check()

    portal().run(call())


@needs(Capability.READ)
def test_the_face_reads_what_the_async_class_reads(rig: Rig, blocking: Any, make: Maker) -> None:
    tags = list(rig.readable)
    by_face = blocking.read(tags)

    async def read() -> list[Any]:
        async with make() as twin:
            return list(await twin.read(tags))

    by_twin = asyncio.run(read())
    assert [(s.tag, s.value) for s in by_face] == [(s.tag, s.value) for s in by_twin]


def test_a_face_made_without_a_context_makes_its_own(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    with face(rig.kind)(rig.config()) as blocking:
        assert blocking.check().ok
        context: Context = blocking.aio.context
    context.audit.close()
    assert (tmp_path / "audit.jsonl").exists()
