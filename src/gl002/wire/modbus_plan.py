"""The fewest legal requests that read a set of registers of one device.

>>> plan([(0, 2), (2, 1), (90, 2), (200, 1)], most=125, gap=100)
([Request(start=0, length=92, members=[0, 1, 2]), Request(start=200, length=1, members=[3])], [])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec

from gl002.wire.modbus import Format
from gl002.wire.modbus_address import Place, Table
from gl002.wire.modbus_pdu import MOST_BITS, MOST_REGISTERS, TABLE

Span: TypeAlias = tuple[int, int]
"""First register and how many: what one value takes."""

_BIT_TABLES = {"coil", "discrete"}
_NO_WALLS: Mapping[Table, Sequence[range]] = MappingProxyType({})


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a device.

    Attributes:
        tag: its name in the gateway.
        place: where it is.
        form: how it lies there; of no meaning for coils and discrete inputs, which are bools.
        unit: of its value, '' where unknown.
        description: a plain phrase.
    """

    tag: str
    place: Place
    form: Format = Format()
    unit: str = ""
    description: str = ""

    @property
    def is_bit(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.place.table in _BIT_TABLES

    @property
    def span(self) -> Span:
        """The registers or bits it takes."""
        return self.place.address, 1 if self.is_bit else self.form.registers


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a device accepts in one request.

    Attributes:
        registers: most registers, 1 to 125.
        bits: most coils or discrete inputs, 1 to 2000.
        gap: most registers in a row that are read although nobody wants them, to save a request.
    """

    registers: int = MOST_REGISTERS
    bits: int = MOST_BITS
    gap: int = 16

    def of(self, table: Table) -> int:
        """Most that one request may ask of a table."""
        return self.bits if table in _BIT_TABLES else self.registers


class Request(NamedTuple):
    """One request of a plan.

    Attributes:
        start: first register.
        length: how many.
        members: which spans it reads, as indexes.
    """

    start: int
    length: int
    members: list[int]


def plan(
    spans: Sequence[Span], *, most: int, gap: int, forbidden: Iterable[range] = ()
) -> tuple[list[Request], list[int]]:
    """The fewest requests that read every span whole.

    A request is legal when it asks for no more than `most` registers, touches no forbidden one,
    and holds no more than `gap` registers in a row that no span wants. A span longer than `most`
    gets a request of its own.

    That the result is the least possible: whatever request reads the lowest span not yet read, one
    that starts exactly there reads at least as many of the others.

    Returns:
        The requests in ascending order, and the spans that cannot be read without touching a
        forbidden register.
    """
    walls = list(forbidden)
    lost = [i for i, span in enumerate(spans) if _touches(span, walls)]
    left = set(range(len(spans))) - set(lost)
    order = sorted(left, key=lambda i: (spans[i][0], -spans[i][1]))
    requests: list[Request] = []
    for zone in _zones(order, spans, gap, walls):
        requests += _cover(zone, spans, most)
    return requests, lost


def _touches(span: Span, walls: Iterable[range]) -> bool:
    start, count = span
    return any(start < wall.stop and wall.start < start + count for wall in walls)


def _zones(
    order: Iterable[int], spans: Sequence[Span], gap: int, walls: Sequence[range]
) -> Iterator[list[int]]:
    """Spans between which a request may run on: no wide hole, nothing forbidden."""
    zone: list[int] = []
    end = 0
    for i in order:
        start, count = spans[i]
        hole = start - end
        if zone and (hole > gap or (hole > 0 and _touches((end, hole), walls))):
            yield zone
            zone = []
        zone.append(i)
        end = max(end, start + count)
    if zone:
        yield zone


def _cover(zone: list[int], spans: Sequence[Span], most: int) -> Iterator[Request]:
    """Requests for the spans of one zone, each starting at the lowest span left."""
    left = zone
    while left:
        start, count = spans[left[0]]
        limit = start + max(most, count)
        near = next((k for k, i in enumerate(left) if spans[i][0] >= limit), len(left))
        taken = [i for i in left[:near] if sum(spans[i]) <= limit]
        yield around(taken, spans)
        left = [i for i in left[:near] if sum(spans[i]) > limit] + left[near:]


def around(members: list[int], spans: Sequence[Span]) -> Request:
    """The shortest request that reads these spans."""
    start = min(spans[i][0] for i in members)
    return Request(start, max(sum(spans[i]) for i in members) - start, members)


class Learned:
    """What a device has refused: kept so that it is asked only once.

    Found by halving: a request that is answered with 'illegal data address' is cut in two until
    the register at fault stands alone; its neighbours are read without it from then on.

    Args:
        walls: what is known from the start and never forgotten, by table.

    Attributes:
        version: grows with every change.
    """

    def __init__(self, walls: Mapping[Table, Sequence[range]] = _NO_WALLS) -> None:
        self.version = 0
        self._walls = walls
        self._forbidden: dict[Table, list[range]] = {}
        self._most: dict[Table, int] = {}

    def __bool__(self) -> bool:
        return bool(self._forbidden or self._most)

    def forbid(self, table: Table, start: int, count: int) -> None:
        """These registers must not be touched again."""
        self.version += 1
        self._forbidden.setdefault(table, []).append(range(start, start + count))

    def both_halves_answered(self, table: Table, left: Request, right: Request) -> None:
        """The whole was refused and each half was answered: what lay between them is to blame,
        or, where nothing lay between, the length of the whole.
        """  # noqa: D205 (one sentence)
        end = left.start + left.length
        if end < right.start:
            self.forbid(table, end, right.start - end)
        else:
            self.version += 1
            self._most[table] = max(left.length, right.length)

    def forbidden(self, table: Table) -> Sequence[range]:
        """Ranges not to touch."""
        return [*self._walls.get(table, ()), *self._forbidden.get(table, ())]

    def all_forbidden(self, table: Table) -> bool:
        """Whether the device does not know the table at all."""
        return any(len(wall) == TABLE for wall in self._forbidden.get(table, ()))

    def forbid_all(self, table: Table) -> None:
        """The device does not know the table."""
        self.forbid(table, 0, TABLE)

    def most(self, table: Table, configured: int) -> int:
        """Most that one request may ask of a table."""
        return min(configured, self._most.get(table, configured))

    def forget(self) -> None:
        """Start afresh: the device may have been changed."""
        self.version += 1
        self._forbidden.clear()
        self._most.clear()
