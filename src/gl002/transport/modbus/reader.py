"""Reading many registers of one device: the plan at work, and what the device refuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, TypeAlias

from gl002.errors import ConnectFailed, ConnectorError, RequestFailed, RequestTimeout, Unsupported
from gl002.model import Batch, Quality, Sample, Value, now_ns
from gl002.transport.modbus.session import DeviceSilent, IllegalAddress, IllegalValue
from gl002.wire import modbus_pdu as pdu
from gl002.wire.modbus import Decoder
from gl002.wire.modbus_address import Place, Table
from gl002.wire.modbus_plan import Learned, Limits, Register, Request, around, plan

log = logging.getLogger("gl002.modbus")

Ask: TypeAlias = Callable[[int, bytes, str], Awaitable[bytes]]
"""Sends a request to a unit and returns the data of the reply; the text says what, for errors."""

_RELEARN, _LONGEST_RELEARN = 60.0, 3600.0
# seconds after which a device is asked again for what it has refused: first, and at most
_TABLES: tuple[Table, ...] = ("coil", "discrete", "holding", "input")


class Outcome(NamedTuple):
    """What one reading of a device gave.

    Attributes:
        batch: a sample for every register, bad where it could not be read.
        error: why the reading was cut short; None where the device answered to the end.
    """

    batch: Batch
    error: ConnectorError | None


class _Block:
    """One request of the plan, compiled: its bytes, and how to make samples of the reply."""

    def __init__(self, table: Table, request: Request, registers: Sequence[Register]) -> None:
        members = [registers[i] for i in request.members]
        self.table = table
        self.request = request
        self.tags = [register.tag for register in members]
        self.bytes = pdu.read(table, request.start, request.length)
        self.what = f"read {request.length} from {Place(table, request.start)}"
        starts = [register.place.address - request.start for register in members]
        self._fallible = False
        if members[0].is_bit:
            self._values: Callable[[bytes], list[Value]] = _bits(starts)
        else:
            fields = [(start, r.form) for start, r in zip(starts, members, strict=True)]
            decoder = Decoder(fields, request.length)
            self._values, self._fallible = decoder.values, decoder.fallible

    def samples(self, data: bytes) -> Batch:
        """The samples in the data of a reply, all of this moment."""
        values, now = self._values(data), now_ns()
        batch = list(map(Sample, self.tags, values, repeat(now)))
        if self._fallible:
            for i, value in enumerate(values):
                if value is None:
                    batch[i] = Sample(self.tags[i], None, now, int(Quality.BAD_DECODING_ERROR))
        return batch


def _bits(starts: Sequence[int]) -> Callable[[bytes], list[Value]]:
    places = [(start >> 3, 1 << (start & 7)) for start in starts]
    return lambda data: [bool(data[byte] & mask) for byte, mask in places]


def bad(tags: Sequence[str], quality: Quality) -> Batch:
    """Samples without a value for all these tags, of this moment."""
    now, code = now_ns(), int(quality)
    return [Sample(tag, None, now, code) for tag in tags]


class Reader:
    """Reads some registers of one device again and again, with the fewest requests.

    A request refused with 'illegal data address' is halved until the register at fault is found;
    it is bad from then on and its neighbours are read without it. The device is asked again when it
    comes back after a silence, and after a minute, two, four, up to an hour.

    Args:
        ask: sends a request and returns the data of the reply.
        unit: the device.
        registers: what to read; their tags are the names of the samples.
        limits: what the device accepts.
        learned: what it has refused so far; shared by all readers of the device.
    """

    def __init__(
        self,
        ask: Ask,
        unit: int,
        registers: Sequence[Register],
        limits: Limits,
        learned: Learned,
    ) -> None:
        self.unit = unit
        self.tags = [register.tag for register in registers]
        self._ask = ask
        self._registers = list(registers)
        self._spans = [register.span for register in registers]
        self._limits = limits
        self._learned = learned
        self._told: set[str] = set()
        self._relearn = _RELEARN
        self._compile()

    def forget(self) -> None:
        """Ask the device again for what it has refused: it may have been changed."""
        self._relearn = _RELEARN
        if self._learned:
            self._learned.forget()

    def planned(self) -> Iterator[bytes]:
        """The requests of one reading, as things are known now."""
        return (block.bytes for block in self._blocks)

    async def read(self) -> Outcome:
        """Read everything once."""
        self._refresh()
        batch = bad(self._refused, Quality.BAD_NODE_ID_UNKNOWN) if self._refused else []
        try:
            for block in self._blocks:
                batch += await self._block(block)
        except (ConnectFailed, RequestTimeout, DeviceSilent) as error:
            read = {sample.tag for sample in batch}
            unread = [tag for tag in self.tags if tag not in read]
            return Outcome(batch + bad(unread, Quality.BAD_NO_COMMUNICATION), error)
        return Outcome(batch, None)

    async def _block(self, block: _Block) -> Batch:
        try:
            data = await self._data(block)
            return await self._apart(block) if data is None else block.samples(data)
        except DeviceSilent:
            raise
        except RequestFailed as error:
            log.debug("%s", error)
            return bad(block.tags, Quality.BAD_DEVICE_FAILURE)

    async def _data(self, block: _Block) -> bytes | None:
        """The data of the reply; None where the device says that there is no such register."""
        try:
            return await self._ask(self.unit, block.bytes, block.what)
        except (IllegalAddress, IllegalValue):
            return None
        except Unsupported:
            self._learned.forbid_all(block.table)
            return None

    async def _apart(self, block: _Block) -> Batch:
        """Find what was refused by halving; the samples of the rest."""
        members = block.request.members
        if len(members) == 1 or self._learned.all_forbidden(block.table):
            self._learned.forbid(block.table, block.request.start, block.request.length)
            self._tell(block)
            return bad(block.tags, Quality.BAD_NODE_ID_UNKNOWN)
        middle = len(members) // 2
        left, right = (self._compiled(block.table, m) for m in (members[:middle], members[middle:]))
        answers = [(half, await self._data(half)) for half in (left, right)]
        if all(data is not None for _, data in answers):
            self._learned.both_halves_answered(block.table, left.request, right.request)
        batch: Batch = []
        for half, data in answers:
            batch += await self._apart(half) if data is None else half.samples(data)
        return batch

    def _tell(self, block: _Block) -> None:
        """One line in the log for each register that turned out not to exist."""
        for tag in block.tags:
            if tag not in self._told:
                self._told.add(tag)
                place = Place(block.table, block.request.start)
                log.warning("%s: unit %d refuses %s; read without it", tag, self.unit, place)

    # ---- the plan ---------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Plan anew when the device has refused something, or long enough ago."""
        if self._learned and time.monotonic() - self._planned > self._relearn:
            self._relearn = min(2 * self._relearn, _LONGEST_RELEARN)
            self._learned.forget()
        if self._version != self._learned.version:
            self._compile()

    def _compile(self) -> None:
        self._version = self._learned.version
        self._planned = time.monotonic()
        self._blocks: list[_Block] = []
        self._refused: list[str] = []
        for table in _TABLES:
            self._compile_table(table)

    def _compile_table(self, table: Table) -> None:
        indexes = [i for i, r in enumerate(self._registers) if r.place.table == table]
        requests, lost = plan(
            [self._spans[i] for i in indexes],
            most=self._learned.most(table, self._limits.of(table)),
            gap=self._limits.gap,
            forbidden=self._learned.forbidden(table),
        )
        self._refused += [self.tags[indexes[k]] for k in lost]
        for request in requests:
            self._blocks.append(self._compiled(table, [indexes[k] for k in request.members]))

    def _compiled(self, table: Table, members: list[int]) -> _Block:
        return _Block(table, around(members, self._spans), self._registers)


async def read_all(readers: Iterable[Reader]) -> dict[str, Sample]:
    """Read several devices once, one after the other; tag -> sample.

    Raises:
        ConnectorError: the first, where no device answered.
    """
    outcomes = [await reader.read() for reader in readers]
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors and len(errors) == len(outcomes):
        raise errors[0]
    return {sample.tag: sample for outcome in outcomes for sample in outcome.batch}
