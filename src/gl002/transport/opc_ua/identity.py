"""Whether a node is still what it was when it was first watched, and the alarm where it is not.

A node that has another data type or another name than before, or another type than configured, is
refused, for reading and for writing: its numbers may mean something else now. That is an alarm,
told as the events of a server are, below the name of the tag:

    ....NodeChanged.active     bool   whether the tag is refused now
    ....NodeChanged.severity   int    always 700, of 1000
    ....NodeChanged.message    text   what the node was and is, and what to do

Nothing is told of a node that never changed. What was told is told again after each outage, as its
record would else stay the newest; and an alarm from before a restart of the gateway, which takes
the nodes as it finds them, is told to be over or not.

When that is looked at: on each new session, and within one when a node is gone, or gives values of
another kind (number, text, true or false) than before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value, now_ns
from gl002.transport.opc_ua.browsing import as_node, type_names
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.mapping import by_uri
from gl002.transport.opc_ua.nodes import Missing, Point, Resolved
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.values import plain

CONDITION = "NodeChanged"
SEVERITY = 700  # of 1000

_MOST_KEPT = 50  # names of tags in a position; of more it says only that there are some
_ALL = "*"

log = logging.getLogger("gl002.opc_ua")


class Print(NamedTuple):
    """What must not change of a node.

    Attributes:
        name: its browse name.
        type: node id of its data type, by the URI of its namespace: the index may change.
        type_name: for people.
    """

    name: str
    type: str
    type_name: str

    @property
    def known(self) -> bool:
        """Whether the server told it."""
        return bool(self.name and self.type)

    def __str__(self) -> str:
        return f"'{self.name}' of type {self.type_name or self.type}"

    def same(self, other: Print) -> bool:
        """Whether it is that of the same node, as far as both are known."""
        return self[:2] == other[:2]


async def prints_of(session: Session, nodes: Sequence[Any]) -> list[Print]:
    """What the nodes are now; empty fields where the server does not tell."""
    from asyncua import ua

    names = [_value(d) for d in await session.read(nodes, ua.AttributeIds.BrowseName)]
    types = [_value(d) for d in await session.read(nodes, ua.AttributeIds.DataType)]
    called = await type_names(session, types)
    return [
        Print(
            str(plain(name) or ""),
            "" if kind is None else str(by_uri(as_node(kind), session.namespaces)),
            type_name,
        )
        for name, kind, type_name in zip(names, types, called, strict=True)
    ]


def refusal(point: Point, now: Print, prints: dict[str, Print]) -> str:
    """Why a node is refused; '' where it is not.

    Args:
        point: the tag.
        now: what its node is now.
        prints: what each node was when it was first met; one that is new is added.
    """
    where = _where(point)
    if point.type and now.type_name and point.type != now.type_name:
        return (
            f"{point.text} is to be of type {point.type} and is of type {now.type_name}{where}; "
            "correct data_mapping if that is meant"
        )
    before = prints.setdefault(point.text, now) if now.known else now
    if before.same(now):
        return ""
    return (
        f"{point.text} was {before} and is now {now}{where}; restart the gateway if that is meant"
    )


class Identities:
    """The nodes of one source over sessions: which are refused, and what is to be told of it.

    Args:
        name: connector instance, for messages.
        tags: table to declare the tags of alarms in.
        prints: what each node was when it was first met, by what the user calls it.
        clock: ns since 1970.
    """

    def __init__(
        self,
        name: str,
        tags: TagTable,
        prints: dict[str, Print],
        *,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._name = name
        self._tags = tags
        self._prints = prints
        self._clock = clock
        self._alarms: dict[str, str] = {}  # tag -> why it is refused; '' where it was and is not
        self._words: dict[str, str] = {}  # tag -> what to tell of it
        self._untold: dict[str, None] = {}
        self._before: set[str] = set()  # tags, or _ALL, of alarms from before a restart

    async def checked(
        self, session: Session, points: Mapping[int, Point], nodes: Mapping[int, Resolved]
    ) -> dict[int, Resolved]:
        """The nodes, with a `Missing` for each that is another one than it has to be."""
        there = {h: node for h, node in nodes.items() if not isinstance(node, Missing)}
        now = await prints_of(session, list(there.values()))
        checked = dict(nodes)
        for handle, print_now in zip(there, now, strict=True):
            point = points[handle]
            reason = refusal(point, print_now, self._prints)
            if reason:
                checked[handle] = Missing(reason, int(Quality.BAD_CONFIGURATION_ERROR))
            if reason or print_now.known:
                self._note(point, reason, f"{point.text} is {print_now}{_where(point)}")
        return checked

    # ---- the alarm --------------------------------------------------------------------------

    def _note(self, point: Point, reason: str, otherwise: str) -> None:
        """Remember what is to be told of a tag, if it is news."""
        tag = point.tag
        told = self._alarms.get(tag)
        if told is None and not reason and not self._before & {tag, _ALL}:
            return
        self._before.discard(tag)
        if told == reason:
            return
        self._alarms[tag], self._words[tag] = reason, reason or otherwise
        self._untold[tag] = None
        if not reason:
            log.info("%s: %s: no longer refused: %s", self._name, tag, otherwise)

    def repeat(self) -> None:
        """Tell all of it again: there was an outage."""
        self._untold = dict.fromkeys(self._alarms)

    def news(self, after: int = 0) -> Batch:
        """What has not been told yet, with the time now, or just after `after` (ns)."""
        untold, self._untold = self._untold, {}
        time = max(self._clock(), after + 1_000)  # one microsecond, as most databases resolve
        batch: Batch = []
        for tag in untold:
            fields: dict[str, Value] = {
                "active": bool(self._alarms[tag]),
                "severity": SEVERITY,
                "message": self._words[tag],
            }
            for field, value in fields.items():
                name = f"{tag}.{CONDITION}.{field}"
                self._tags.declare(Tag(name=name, source=self._name, address=tag))
                batch.append(Sample(name, value, time))
        return batch

    # ---- over restarts ----------------------------------------------------------------------

    def position(self) -> str:
        """The tags whose alarm is active, for `resume`; '' where there is none."""
        active = [tag for tag, reason in self._alarms.items() if reason]
        if not active:
            return ""
        return json.dumps(active if len(active) <= _MOST_KEPT else [_ALL])

    def resume(self, position: str, names: Sequence[str]) -> list[int]:
        """Which alarms were active when the gateway ended.

        Returns:
            Which of the tags were refused, by their place among `names`.
        """
        with suppress(ValueError):  # another version's
            kept = json.loads(position or "[]")
            self._before = {tag for tag in kept if isinstance(tag, str)}
        everything = _ALL in self._before
        return [i for i, name in enumerate(names) if everything or name in self._before]


class Doubts:
    """Which nodes may have become others since the session began, by what they deliver.

    Args:
        count: of handles.

    Attributes:
        kinds: handle -> type of its good values; a value of another one is told to `other_kind`.
        unlike: handles that gave a value of another kind than before.
    """

    def __init__(self, count: int) -> None:
        self.kinds: list[type | None] = [None] * count
        self.unlike: set[int] = set()
        self._gone: dict[int, Missing] = {}
        self._varying: set[int] = set()  # nodes that may hold values of several kinds

    @property
    def any(self) -> bool:
        """Whether there is one to look at."""
        return bool(self.unlike or self._gone)

    def other_kind(self, handle: int, value: Value) -> None:
        """A good value is of another kind than the one before, or the first after `gone`."""
        known = self.kinds[handle]
        if value is None:
            return
        self.kinds[handle] = type(value)
        if known is None:
            return
        if known in _NO_KINDS or handle not in self._varying:
            self.unlike.add(handle)
        if known not in _NO_KINDS:
            self._varying.add(handle)

    def gone(self, handle: int, status: int) -> None:
        """The server has no such node any more; a good value of it is to be looked at.

        Where it says so again though it has taken the node to watch, it will tell by itself.
        """
        if self.kinds[handle] is not _Gone:
            self.kinds[handle] = _Gone
            self._gone[handle] = Missing(status_name(status), status)

    def take(self) -> tuple[dict[int, Missing], list[int]]:
        """Those that are gone, and those to be looked at; the latter are no news after that."""
        gone, unlike = self._gone, list(self.unlike)
        self._gone, self.unlike = {}, set()
        return gone, unlike

    def refused(self, handle: int) -> None:
        """It is another node now: what still comes of it is to be looked at, and the next ones."""
        self.kinds[handle] = _Refused
        self._varying.discard(handle)


class _Gone:
    """The kind of a node that is gone; no value is of it."""


class _Refused:
    """The kind of a node that has become another one; no value is of it."""


_NO_KINDS = (_Gone, _Refused)


def _where(point: Point) -> str:
    """For a message: the node id, where the user calls it something else."""
    node = str(point.node or point.text)
    return "" if node == point.text else f" ({node})"


def _value(data: Any) -> Any:
    return data.Value.Value if data.Value is not None else None
