"""Both colours: every rule in the docstring of gl002.bridge, one test each."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType

import pytest

from gl002 import bridge
from gl002.bridge import (
    Blocking,
    Portal,
    blocking,
    iterating,
    on_callback_thread,
    plain,
    portal,
)
from gl002.errors import RequestTimeout


class AsyncThing:
    """Twin of the tests."""

    def __init__(self) -> None:
        self.open = False
        self.cancelled = threading.Event()
        self.threads: list[str] = []

    async def connect(self) -> None:
        self.open = True

    async def close(self) -> None:
        self.open = False

    async def add(self, left: int, right: int = 1, *, scale: float = 1.0) -> float:
        """Add two numbers."""
        await asyncio.sleep(0)
        self.threads.append(threading.current_thread().name)
        return (left + right) * scale

    async def fail(self, error: BaseException) -> None:
        """Raise it."""
        raise error

    async def hang(self, started: threading.Event) -> None:
        """Wait until cancelled."""
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def call_back(self, callback: Callable[[int], object], count: int) -> list[object]:
        """Call a callback some times."""
        return [await callback(i) for i in range(count)]  # type: ignore[misc]

    def name(self) -> str:
        """A name."""
        return "thing"


class Thing(Blocking[AsyncThing]):
    """Face of the tests."""

    def __init__(self) -> None:
        super().__init__(AsyncThing())

    add = blocking(AsyncThing.add)
    fail = blocking(AsyncThing.fail)
    hang = blocking(AsyncThing.hang)
    call_back = blocking(AsyncThing.call_back)
    close = blocking(AsyncThing.close)
    name = plain(AsyncThing.name)


def test_a_blocking_call_returns_what_the_coroutine_returns() -> None:
    thing = Thing()
    assert thing.add(2, right=3, scale=0.5) == 2.5
    assert thing.aio.threads == ["gl002-portal"]


def test_a_face_has_the_signature_and_docstring_of_its_twin() -> None:
    assert inspect.signature(Thing.add) == inspect.signature(AsyncThing.add)
    assert Thing.add.__doc__ == "Add two numbers."
    assert inspect.signature(Thing.name) == inspect.signature(AsyncThing.name)


def test_a_plain_method_is_forwarded_without_the_loop() -> None:
    assert Thing().name() == "thing"


@pytest.mark.parametrize("error", [ValueError("wrong"), TimeoutError("own"), RequestTimeout("t")])
def test_the_error_of_the_coroutine_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        Thing().fail(error)
    assert type(caught.value) is type(error)
    assert caught.value.args == error.args


def test_a_call_that_ends_just_as_a_slice_is_over_has_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge, "_SLICE", 0.0)  # every look finds the slice over
    thing = Thing()
    assert [thing.add(i) for i in range(200)] == list(range(1, 201))


def test_a_call_works_while_the_calling_thread_runs_a_loop() -> None:
    async def main() -> float:
        return Thing().add(1)

    assert asyncio.run(main()) == 2


def test_a_call_from_the_loops_own_thread_is_refused_instead_of_hanging() -> None:
    async def on_the_portal() -> None:
        Thing().add(1)

    with pytest.raises(RuntimeError, match=r"\.aio"):
        portal().run(on_the_portal())


def test_callbacks_run_in_order_on_a_thread_of_their_own_and_may_call_back() -> None:
    thing = Thing()
    seen: list[tuple[int, float, str]] = []

    def callback(i: int) -> int:
        seen.append((i, thing.add(i), threading.current_thread().name))
        return i

    assert thing.call_back(on_callback_thread(callback), 5) == [0, 1, 2, 3, 4]
    assert [(i, total) for i, total, _ in seen] == [(i, i + 1) for i in range(5)]
    assert {name for *_, name in seen} == {"gl002-callbacks_0"}


def test_the_error_of_a_callback_reaches_the_caller() -> None:
    def callback(_: int) -> None:
        raise LookupError("in the callback")

    with pytest.raises(LookupError, match="in the callback"):
        Thing().call_back(on_callback_thread(callback), 1)


def test_many_threads_may_call_at_once() -> None:
    thing = Thing()
    results: list[float] = []
    threads = [threading.Thread(target=lambda i=i: results.append(thing.add(i))) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == list(range(1, 21))


def test_the_with_block_connects_and_closes() -> None:
    with Thing() as thing:
        assert thing.aio.open
    assert not thing.aio.open


def _waits(thread: threading.Thread) -> bool:
    """Whether a thread waits for the outcome of a call."""
    frame: FrameType | None = sys._current_frames()[thread.ident]
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[0] == "wait" and "_outcome" in names


def test_ctrl_c_interrupts_the_call_and_cancels_the_coroutine() -> None:
    thing, started = Thing(), threading.Event()

    def interrupt() -> None:
        started.wait(30)
        while not _waits(threading.main_thread()):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # A shell starts what it runs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            thing.hang(started)
        thread.join(30)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 30
    assert thing.aio.cancelled.wait(30)


def test_a_portal_whose_thread_has_ended_says_so() -> None:
    own, thing, started = Portal(), AsyncThing(), threading.Event()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            own.run(thing.hang(started))
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert started.wait(30)
    own.loop.call_soon_threadsafe(own.loop.stop)
    thread.join(30)
    assert [str(error) for error in errors] == ["the portal's thread has ended"]
    with pytest.raises(RuntimeError, match="has ended"):
        own.run(thing.add(1))
    for task in asyncio.all_tasks(own.loop):
        task.cancel()
    own.loop.run_until_complete(asyncio.sleep(0.01))
    own.loop.close()


def test_stopping_a_portal_is_safe_twice() -> None:
    own = Portal()
    own.stop()
    own.stop()
    assert not own.usable
    assert own.loop.is_closed()


def _run(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, with the classes above at hand."""
    here = Path(__file__)
    preamble = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('classes', {str(here)!r})\n"
        "classes = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(classes)\n"
        "Thing, AsyncThing = classes.Thing, classes.AsyncThing\n"
    )
    return subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    done = _run("""
        import os
        thing = Thing()
        unused = Thing()
        assert thing.add(1) == 2
        if (child := os.fork()) == 0:
            assert unused.add(2) == 3
            assert Thing().add(3) == 4
            try:
                thing.add(1)
            except RuntimeError as error:
                assert "fork" in str(error), error
                print("refused", flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert thing.add(4) == 5
        print("parent", flush=True)
    """)
    assert (done.stdout.split(), done.stderr) == (["refused", "parent"], "")


def test_what_is_still_open_when_the_program_ends_is_closed() -> None:
    done = _run("""
        class Loud(AsyncThing):
            async def close(self):
                print("closed", flush=True)
        thing = Thing()
        thing.aio = Loud()
        thing.add(1)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


def test_a_forked_child_does_not_close_what_is_the_parents() -> None:
    done = _run("""
        import os, sys
        class Loud(AsyncThing):
            async def close(self):
                print("closed by", "parent" if os.getpid() == parent else "child", flush=True)
        parent = os.getpid()
        thing = Thing()
        thing.aio = Loud()
        thing.add(1)
        if (child := os.fork()) == 0:
            Thing().add(1)
            sys.exit()
        os.waitpid(child, 0)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed by parent\n", "")


def test_a_close_that_hangs_does_not_keep_the_program_from_ending() -> None:
    done = _run("""
        from gl002 import bridge
        bridge._LAST_WORDS = 0.2
        class Stuck(AsyncThing):
            async def close(self):
                import asyncio
                await asyncio.sleep(600)
        thing = Thing()
        thing.aio = Stuck()
        thing.add(1)
    """)
    assert (done.returncode, done.stderr) == (0, "")


class AsyncCounter(AsyncThing):
    """Counts, and says when its iterator was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = threading.Event()

    async def count(self, end: int) -> AsyncIterator[int]:
        """Count up."""
        try:
            for i in range(end):
                await asyncio.sleep(0)
                yield i
        finally:
            self.closed.set()


class Counter(Blocking[AsyncCounter]):
    def __init__(self) -> None:
        super().__init__(AsyncCounter())

    count = iterating(AsyncCounter.count)


def test_an_async_iterator_becomes_a_plain_one() -> None:
    assert list(Counter().count(5)) == [0, 1, 2, 3, 4]


def test_an_iterator_left_early_is_closed() -> None:
    counter = Counter()
    for i in counter.count(1000):
        if i == 2:
            break
    assert counter.aio.closed.wait(30)
