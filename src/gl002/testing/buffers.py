"""The buffer contract: what the store between inputs and outputs promises, whatever holds it.

    from gl002.testing.buffers import *
    BUFFERS = {"store": Store}  # name -> makes a buffer in a folder

Each test runs for each entry. One test draws any order of puts, leases, failures and restarts and
compares with a list in memory.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.errors import GL002Error
from gl002.model import Batch, Sample, Value

OUTPUTS = ("a", "b")


class Leased(Protocol):
    """What a lease gives."""

    @property
    def batch(self) -> Batch:
        """The oldest samples not yet passed, in order."""


class Buffer(Protocol):
    """What the flow asks of a buffer; `gl002.flow.store.Store` is one."""

    async def open(self, outputs: Sequence[str]) -> None:
        """Take up what an earlier run left."""

    async def put(self, batch: Batch, *, source: str = "", position: bytes = b"") -> None:
        """Accept a batch: it is durable when this returns."""

    def lease(self, output: str, limit: int) -> AbstractAsyncContextManager[Leased]:
        """Leave the block normally and its samples are passed; raise and they stay."""

    def pending(self, output: str) -> int:
        """Samples not yet passed."""

    async def wait(self, output: str) -> None:
        """Return when there is something."""

    def position(self, source: str) -> bytes:
        """Kept with the last batch of a source."""

    async def close(self) -> None:
        """Safe to call twice."""


Make: TypeAlias = Callable[[Path], Buffer]


class _Step(NamedTuple):
    """What the drawn test does: `what`, to which output, with how many samples."""

    what: Literal["put", "pass", "fail", "reopen"]
    output: str
    size: int


_steps = st.lists(
    st.builds(
        _Step,
        st.sampled_from(["put", "put", "pass", "pass", "fail", "reopen"]),
        st.sampled_from(OUTPUTS),
        st.integers(1, 40),
    ),
    max_size=40,
)


def _numbers(first: int, count: int) -> Batch:
    return [Sample("counter", i, 1_000 + i) for i in range(first, first + count)]


@asynccontextmanager
async def _opened(make: Make, folder: Path) -> AsyncIterator[Buffer]:
    buffer = make(folder)
    await buffer.open(OUTPUTS)
    try:
        yield buffer
    finally:
        await buffer.close()


async def _taken(buffer: Buffer, output: str, limit: int = 7) -> list[Value]:
    values: list[Value] = []
    while buffer.pending(output):
        async with buffer.lease(output, limit) as lease:
            assert 0 < len(lease.batch) <= limit
            values += [sample.value for sample in lease.batch]
    return values


async def test_an_empty_buffer_has_nothing_pending(make_buffer: Make, tmp_path: Path) -> None:
    """Opening is no news for anybody."""
    async with _opened(make_buffer, tmp_path) as buffer:
        assert [buffer.pending(output) for output in OUTPUTS] == [0, 0]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(buffer.wait("a"), 0.05)


async def test_every_output_gets_everything_in_order(make_buffer: Make, tmp_path: Path) -> None:
    """Whatever the sizes of batches and leases."""
    async with _opened(make_buffer, tmp_path) as buffer:
        for first in range(0, 100, 10):
            await buffer.put(_numbers(first, 10))
        assert await _taken(buffer, "a", 3) == list(range(100))
        assert await _taken(buffer, "b", 64) == list(range(100))


async def test_a_sample_comes_out_as_it_went_in(make_buffer: Make, tmp_path: Path) -> None:
    """Value, type, time and quality."""
    values: list[Value] = [True, 0, -(2**63), 1e-300, -0.0, "", "läuft ✓", None]
    batch = [Sample(f"t{i}", v, i, 0x8000_0000 + i) for i, v in enumerate(values)]
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put(batch)
        async with buffer.lease("a", 100) as lease:
            assert repr(lease.batch) == repr(batch)


async def test_who_waits_is_told(make_buffer: Make, tmp_path: Path) -> None:
    """At once, and also when something was there before."""
    async with _opened(make_buffer, tmp_path) as buffer:
        waiting = asyncio.create_task(buffer.wait("a"))
        await asyncio.sleep(0)
        await buffer.put(_numbers(0, 1))
        await asyncio.wait_for(waiting, 30)
        await asyncio.wait_for(buffer.wait("b"), 30)


async def test_a_failed_lease_passes_nothing(make_buffer: Make, tmp_path: Path) -> None:
    """However it fails."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put(_numbers(0, 20))
        for error in (GL002Error("sink"), ValueError("bug"), asyncio.CancelledError()):
            with pytest.raises(type(error)):
                async with buffer.lease("a", 5):
                    raise error
        assert await _taken(buffer, "a") == list(range(20))


async def test_outputs_do_not_wait_for_each_other(make_buffer: Make, tmp_path: Path) -> None:
    """One in the middle of a lease, or dead, is no matter to the others."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put(_numbers(0, 30))
        async with buffer.lease("a", 10):
            assert await _taken(buffer, "b") == list(range(30))
            await buffer.put(_numbers(30, 10))
        assert await _taken(buffer, "a") == list(range(10, 40))


async def test_what_was_accepted_survives_a_restart(make_buffer: Make, tmp_path: Path) -> None:
    """And what was passed does not come again."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put(_numbers(0, 50), source="plc", position=b"here")
        async with buffer.lease("a", 20):
            pass
    async with _opened(make_buffer, tmp_path) as buffer:
        assert buffer.position("plc") == b"here"
        assert buffer.position("never heard of") == b""
        assert await _taken(buffer, "a") == list(range(20, 50))
        assert await _taken(buffer, "b") == list(range(50))


async def test_a_position_without_samples_survives_a_restart(
    make_buffer: Make, tmp_path: Path
) -> None:
    """A source has forgotten something, and nothing has come with it."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put([], source="plc", position=b"before the first")
    async with _opened(make_buffer, tmp_path) as buffer:
        assert buffer.position("plc") == b"before the first"
        await buffer.put(_numbers(0, 10), source="plc", position=b"here")
        await buffer.put([], source="plc", position=b"further")
        await buffer.put([], source="another")
        assert buffer.position("plc") == b"further"
        await buffer.put(_numbers(10, 10))
        assert await _taken(buffer, "a") == list(range(20))
    async with _opened(make_buffer, tmp_path) as buffer:
        assert buffer.position("plc") == b"further"
        assert buffer.position("another") == b""
        assert await _taken(buffer, "b") == list(range(20))


async def test_puts_at_once_keep_their_batches_together(make_buffer: Make, tmp_path: Path) -> None:
    """Several sources put without waiting for each other."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await asyncio.gather(*(buffer.put(_numbers(i * 10, 10)) for i in range(20)))
        values = await _taken(buffer, "a")
        tens = [values[i : i + 10] for i in range(0, 200, 10)]
        assert sorted(tens, key=str) == sorted(
            [list(range(i, i + 10)) for i in range(0, 200, 10)], key=str
        )


async def test_a_closed_buffer_accepts_nothing(make_buffer: Make, tmp_path: Path) -> None:
    """Rather an error than a promise that nobody keeps."""
    async with _opened(make_buffer, tmp_path) as buffer:
        await buffer.put(_numbers(0, 1))
        await buffer.close()
        with pytest.raises(GL002Error):
            await buffer.put(_numbers(1, 1))


async def test_two_programs_do_not_share_a_buffer(make_buffer: Make, tmp_path: Path) -> None:
    """The second is told; the first goes on."""
    async with _opened(make_buffer, tmp_path) as buffer:
        with pytest.raises(GL002Error):
            await make_buffer(tmp_path).open(OUTPUTS)
        await buffer.put(_numbers(0, 5))
        assert await _taken(buffer, "a") == list(range(5))


@settings(max_examples=40, deadline=None)
@given(_steps)
def test_any_order_of_events_is_like_a_list_in_memory(
    make_buffer: Make, steps: list[_Step]
) -> None:
    """The list: all that was accepted; for each output, how much of it is passed."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live(make_buffer, Path(folder), steps))


async def _live(make: Make, folder: Path, steps: list[_Step]) -> None:
    accepted: list[int] = []
    passed = dict.fromkeys(OUTPUTS, 0)
    buffer = make(folder)
    await buffer.open(OUTPUTS)
    try:
        for step in steps:
            if step.what == "reopen":
                await buffer.close()
                buffer = make(folder)
                await buffer.open(OUTPUTS)
            elif step.what == "put":
                await buffer.put(_numbers(len(accepted), step.size))
                accepted += range(len(accepted), len(accepted) + step.size)
            elif buffer.pending(step.output):
                passed[step.output] += await _leased(buffer, step, accepted[passed[step.output] :])
            left = {output: len(accepted) - count for output, count in passed.items()}
            assert {output: buffer.pending(output) for output in OUTPUTS} == left
        for output, count in passed.items():
            assert await _taken(buffer, output) == accepted[count:]
    finally:
        await buffer.close()


async def _leased(buffer: Buffer, step: _Step, expected: list[int]) -> int:
    """Take one lease and leave it as the step says; how many samples were passed."""
    taken: list[Value] = []
    failing = pytest.raises(GL002Error) if step.what == "fail" else nullcontext()
    with failing:
        async with buffer.lease(step.output, step.size) as lease:
            taken = [sample.value for sample in lease.batch]
            _fail_if(step.what == "fail")
    assert taken
    assert taken == expected[: len(taken)]
    return 0 if step.what == "fail" else len(taken)


def _fail_if(failing: bool) -> None:  # noqa: FBT001 (its name says it)
    if failing:
        raise GL002Error("the sink failed")
