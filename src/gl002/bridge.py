"""Both colours from one implementation: blocking faces of async classes.

Connectors are written once, as async classes. A face runs them on one background loop, so a
script, a notebook cell or a thread can call them without knowing asyncio:

    class ModbusConnector(Blocking[AsyncModbusConnector]):
        read_coils = blocking(AsyncModbusConnector.read_coils)
        browse = iterating(AsyncModbusConnector.browse)
        set_timeout = plain(AsyncModbusConnector.set_timeout)

Rules (each one is a test): a call from the loop's own thread is refused instead of hanging;
callbacks run on a thread of their own, in order, so they may call back; Ctrl-C cancels the call;
a forked child gets a loop of its own, and a face used before the fork refuses to share its session
with the parent; what is still open when the program ends is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import functools
import os
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")

_SLICE = 1.0  # seconds between looks at whether the loop's thread still lives
_LAST_WORDS = 5.0  # seconds that faces may take to close when the program ends


class Portal:
    """One daemon thread with one event loop, for calls from outside it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._ready = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._main, name="gl002-portal", daemon=True)
        self.callbacks = concurrent.futures.ThreadPoolExecutor(1, "gl002-callbacks")
        self.thread.start()
        self._ready.wait()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._ready.set)
        self.loop.run_forever()

    @property
    def usable(self) -> bool:
        """False after a fork or once the thread has ended."""
        return self._pid == os.getpid() and self.thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the portal's loop and wait for it.

        Raises:
            RuntimeError: called from the portal's own thread, where waiting would never end; or
                that thread has ended.
        """
        if threading.current_thread() is self.thread:
            coroutine.close()
            raise RuntimeError(
                "blocking call from the gateway's own loop: await the async twin (.aio) instead"
            )
        if not self.usable:
            coroutine.close()
            raise RuntimeError("the portal's thread has ended")
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return self._outcome(future)
        except BaseException:
            future.cancel()
            raise

    def soon(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine on the portal's loop without waiting; from any thread, also its own."""
        if self.usable:
            asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        else:
            coroutine.close()

    def _outcome(self, future: concurrent.futures.Future[R]) -> R:
        """Wait in slices, so that the death of the thread is noticed."""
        while True:
            try:
                return future.result(timeout=_SLICE)
            except TimeoutError:  # of the slice, or of the coroutine itself
                if future.done():
                    return future.result()
            if not self.usable:
                raise RuntimeError("the portal's thread has ended")

    def stop(self) -> None:
        """End the loop and its thread; safe to call twice."""
        if not self.usable:
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=5)
        self.callbacks.shutdown(wait=False, cancel_futures=True)
        if not self.thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_portal: Portal | None = None


def portal() -> Portal:
    """The process's portal, started on first use and again after a fork."""
    global _portal  # noqa: PLW0603 (one per process is the point)
    with _lock:
        if _portal is None or not _portal.usable:
            _portal = Portal()
        return _portal


def _forget_after_fork() -> None:
    global _portal, _lock
    _portal, _lock = None, threading.Lock()
    _faces.clear()  # they are the parent's to close


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@atexit.register
def _stop_at_exit() -> None:
    if _portal is not None and _portal.usable:
        with suppress(TimeoutError):
            _portal.run(asyncio.wait_for(_close_all(list(_faces)), _LAST_WORDS))
        _portal.stop()


async def _close_all(faces: Iterable[Blocking[Any]]) -> None:
    await asyncio.gather(*(face.aio.close() for face in faces), return_exceptions=True)


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """The blocking form of an async method: same signature, same docstring."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        here: Portal = self._portal()
        return here.run(method(self.aio, *args, **kwargs))

    return call


def iterating(
    method: Callable[Concatenate[Any, P], AsyncIterator[R]],
) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """The blocking form of a method that gives an async iterator: each step is one call."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        here: Portal = self._portal()
        iterator = method(self.aio, *args, **kwargs)
        try:
            while (item := here.run(_step(iterator))) is not _END:
                yield item  # type: ignore[misc]  # _END is the only object that is no R
        finally:
            here.soon(_close(iterator))

    return call


_END = object()


async def _step(iterator: AsyncIterator[R]) -> R | object:
    return await anext(iterator, _END)


async def _close(iterator: AsyncIterator[Any]) -> None:
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()


def plain(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Forward a method that does not wait: same signature, same docstring."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.aio, *args, **kwargs)

    return call


def on_callback_thread(callback: Callable[P, Any]) -> Callable[P, Any]:
    """A callback that a blocking face hands to its twin: runs in order on the callback thread."""

    @functools.wraps(callback)
    async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        running = asyncio.get_running_loop()
        work = functools.partial(callback, *args, **kwargs)
        return await running.run_in_executor(portal().callbacks, work)

    return call


class Blocking(Generic[A]):
    """Base of blocking faces. `.aio` is the async twin that does the work."""

    _home: Portal | None = None

    def __init__(self, aio: A) -> None:
        self.aio = aio
        _faces.add(self)

    def __enter__(self) -> Self:
        self._portal().run(self.aio.connect())  # type: ignore[attr-defined]  # every twin has it
        return self

    def __exit__(self, *_: object) -> None:
        self._portal().run(self.aio.close())  # type: ignore[attr-defined]  # every twin has it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.aio!r})"

    def _portal(self) -> Portal:
        """The portal this face lives on, from its first call to its end.

        Raises:
            RuntimeError: it was used before a fork; its session belongs to the parent.
        """
        here = portal()
        if self._home is None:
            self._home = here
        if self._home is not here:
            raise RuntimeError(
                "this connector was used before the fork: make a new one in the child"
            )
        return here


_faces: weakref.WeakSet[Blocking[Any]] = weakref.WeakSet()
