"""What the instruments of a boiler showed, read back from any connector that keeps a history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gl002.connector import Capability, Connector
from gl002.flow.bindings import Bindings
from gl002.model import Batch, Tag, TagTable

if TYPE_CHECKING:
    from gl002.boiler.record import Record, Series

_HOUR = 3_600_000_000_000


async def stored_units(history: Connector[Any], known: TagTable) -> TagTable:
    """The units that values are stored in: what the history says, else what is configured."""
    table = TagTable()
    for name in known:
        table.declare(known[name])
    if Capability.BROWSE in history.can:
        async for found in history.browse():
            table.declare(Tag(name=found.address, unit=found.unit))
    return table


async def read_record(
    history: Connector[Any],
    bindings: Bindings,
    start: int,
    end: int,
    *,
    step: float = 60.0,
    means: bool = True,
    roles: Iterable[str] | None = None,
) -> Record:
    """A record of one boiler from stored values.

    Args:
        history: can HISTORY.
        bindings: of the boiler, with the units that values are stored in.
        start: ns since 1970.
        end: ns since 1970.
        step: seconds of an interval.
        means: means over each interval, else its last values.
        roles: those wanted; all that are bound where absent.

    Raises:
        UnitError: a tag whose unit does not fit its role.
        ConnectorError: the history cannot be read.
    """
    from gl002.boiler.record import completed, record

    wanted = set(bindings.roles if roles is None else roles)
    tags = {role: tag for role, tag in bindings.tags.items() if role in wanted}
    batches: dict[str, list[Batch]] = {tag: [] for tag in tags.values()}
    async for batch in history.history(list(batches), start - _HOUR, end):
        if batch:
            batches[batch[0].tag].append(batch)
    series = {role: _series(batches[tag], bindings, role) for role, tag in tags.items()}
    fixed = {
        role: value
        for role in bindings.roles
        if role in wanted and (value := bindings.fixed(role)) is not None
    }
    found = record(series, start, end, step=step, means=means, fixed=fixed)
    return completed(found, bindings.boiler())


async def read_series(history: Connector[Any], tag: str, start: int, end: int) -> Batch:
    """All samples of one tag, oldest first."""
    found: Batch = []
    async for batch in history.history([tag], start, end):
        found += batch
    return found


def _series(batches: list[Batch], bindings: Bindings, role: str) -> Series:
    """Samples of one role as arrays, in the engine's unit."""
    from gl002.boiler.arrays import np
    from gl002.boiler.record import Series

    count = sum(map(len, batches))
    samples = [sample for batch in batches for sample in batch]
    time = np.fromiter((s.time for s in samples), np.int64, count)
    quality = np.fromiter((s.quality for s in samples), np.int64, count)
    value = np.fromiter(
        (s.value if isinstance(s.value, float | int) else np.nan for s in samples), float, count
    )
    line = bindings.line(role)
    return Series(
        time=time, value=line.slope * value + line.offset,
        sound=(quality >> 31 == 0) & np.isfinite(value), doubted=quality >> 30 == 1,
    )  # fmt: skip
