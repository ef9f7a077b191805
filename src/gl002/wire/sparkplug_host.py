"""A host application of Sparkplug B: births, data and deaths of edge nodes as samples.

Source: Eclipse Sparkplug Specification 3.0.0, chapters 5 (Operational Behavior) and 6 (Payloads).

A birth says what the aliases of later messages stand for. Whoever missed it, or a message, asks the
edge node for another one (`rebirths`). When a node or a device dies, each of its tags gets a bad
sample without a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from gl002.errors import DataError, UnitError
from gl002.model import Quality, Sample, Value, worst
from gl002.units import unit as known_unit
from gl002.wire.mqtt_topic import Template, readable
from gl002.wire.sparkplug import DataType, Metric, Payload, as_type, decode, encode
from gl002.wire.sparkplug_edge import BD_SEQ, REBIRTH, SEQUENCE, Outgoing
from gl002.wire.sparkplug_topic import Place, parse

_QUALITIES = {192: Quality.GOOD, 500: Quality.UNCERTAIN_LAST_USABLE_VALUE, 0: Quality.BAD}
_PAUSE = 5_000_000_000  # nanoseconds between two requests to one edge node
_MOST_NODES = 1000
_MOST_METRICS = 100_000  # of one edge node
_MOST_HELD = 100  # messages of one edge node that wait for one before them, and
_MOST_HELD_BYTES = 16 * 1024 * 1024  # of all
_LONGEST_TEXT = 4096
_END_OF_TIME = 1 << 63  # nanoseconds UTC: the year 2262
_KNOWN = {int(datatype) for datatype in DataType}


def tag_template(text: str) -> Template:
    """The template of tags: `{group}`, `{node}`, `{device}`, and `{key}`, the metric.

    Raises:
        ConfigError: another field, or braces that do not fit.
    """
    fields = {"group", "node", "device", "key"}
    return Template(text, fields.__contains__, "{group}, {node}, {device}, {key}")


@dataclass(slots=True)
class _Met:
    """A metric that a birth has told of."""

    name: str
    device: str
    datatype: int
    tag: str


class _Held(NamedTuple):
    """A message that came before its turn."""

    topic: str
    place: Place
    payload: Payload
    size: int
    received: int


@dataclass(slots=True)
class _Node:
    """What is known about one edge node since its last birth."""

    bd_seq: int | None = None
    sequence: int = 0
    born: bool = False
    asked: int = -_PAUSE  # when it was asked for a birth, nanoseconds UTC
    aliases: dict[int, _Met] = field(default_factory=dict)
    names: dict[tuple[str, str], _Met] = field(default_factory=dict)
    held: dict[int, _Held] = field(default_factory=dict)  # by sequence number
    until: int = 0  # how long they are held, nanoseconds UTC


@dataclass(slots=True, kw_only=True)
class SparkplugDecoder:
    """Makes samples of Sparkplug messages; keeps what births have said.

    Attributes:
        filters: the topic filters subscribed to.
        tag: how tags are named; None gives node, device and metric, dots between.
        prefix: put before each tag.
        units: of tags, as births tell them, where this gateway knows the unit.
        reorder_timeout: seconds that a message which came too early waits for those before it;
            0 takes each as it comes.
        types_in_commands: the type of a metric goes with its value in what is sent to edge nodes.
    """

    filters: tuple[str, ...]
    tag: Template | None = None
    prefix: str = ""
    units: dict[str, str] = field(default_factory=dict)
    reorder_timeout: float = 0.0
    types_in_commands: bool = True
    _held_bytes: int = 0
    _nodes: dict[tuple[str, str], _Node] = field(default_factory=dict)
    _wanted: dict[tuple[str, str], int] = field(default_factory=dict)

    def samples(
        self, topic: str, payload: bytes, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        """The samples of one message, and what was wrong with it ('' where nothing was).

        Args:
            topic: it came under.
            payload: as it came.
            retained: such a message is old, and the specification knows none: it is left out.
            received: when it arrived, nanoseconds UTC.
        """
        place = parse(topic)
        if retained or place is None or place.message.endswith("CMD"):
            return [], ""
        try:
            message = _Held(topic, place, decode(payload), len(payload), received)
            return self._in_turn(message)
        except DataError as error:
            self._ask(place, received)
            return [], str(error)

    # ---- the order of messages (section 5.9) ------------------------------------------------

    def _in_turn(self, message: _Held) -> tuple[list[Sample], str]:
        """Its samples, and those of what waited for it; none where it must wait itself."""
        place, node = message.place, self._node(message.place)
        if self._is_early(node, message):
            node.until = node.until if node.held else message.received + self._patience
            node.held[message.payload.seq or 0] = message
            self._held_bytes += message.size
            return [], ""
        samples, troubles = [], []
        if place.message in {"NBIRTH", "NDEATH"}:  # nothing of before can come any more
            for _, found, trouble in self._let_go(node):
                samples += found
                troubles.append(trouble)
            self._wanted.pop((place.group, place.node), None)
        found, trouble = self._handled(place, message.payload, message.received)
        samples += found
        while (due := node.held.pop((node.sequence + 1) % SEQUENCE, None)) is not None:
            self._held_bytes -= due.size
            node.until = message.received + self._patience  # for what may be missing behind it
            more, word = self._handled(due.place, due.payload, due.received)
            samples += more
            troubles.append(word)
        return samples, next(filter(None, [trouble, *troubles]), "")

    @property
    def _patience(self) -> int:
        return int(self.reorder_timeout * 1e9)

    def _is_early(self, node: _Node, message: _Held) -> bool:
        """Whether it may only be waiting for one before it, and there is room to hold it."""
        seq = message.payload.seq
        if not self._patience or not node.born or seq is None or message.place.message == "NBIRTH":
            return False
        ahead = (seq - node.sequence) % SEQUENCE
        room = self._held_bytes + message.size <= _MOST_HELD_BYTES
        return room and 1 < ahead <= _MOST_HELD and seq not in node.held

    def _let_go(self, node: _Node) -> Iterator[tuple[str, list[Sample], str]]:
        """What waited in vain, in its order: topic, samples and what was wrong."""
        held, node.held = node.held, {}
        for seq in sorted(held, key=lambda seq: (seq - node.sequence) % SEQUENCE):
            message = held[seq]
            self._held_bytes -= message.size
            try:
                samples, trouble = self._handled(message.place, message.payload, message.received)
            except DataError as error:
                samples, trouble = [], str(error)
            yield message.topic, samples, trouble

    def waits(self, now: int) -> float | None:
        """Seconds until `late` has something to do; None where nothing is held.

        Args:
            now: nanoseconds UTC.
        """
        until = [node.until for node in self._nodes.values() if node.held]
        return max(0.0, (min(until) - now) / 1e9) if until else None

    def late(self, now: int) -> Iterator[tuple[str, list[Sample], str]]:
        """What has waited long enough for messages that are lost; each node is asked for a birth.

        Args:
            now: nanoseconds UTC.

        Yields:
            Topic of a message, its samples, and what was wrong with it.
        """
        for node in list(self._nodes.values()):
            if node.held and node.until <= now:
                yield from self._let_go(node)

    def rebirths(self) -> list[Outgoing]:
        """Requests for a birth that are due, one for each edge node (section 5.4); with QoS 0."""
        wanted, self._wanted = self._wanted, {}
        ask = Metric(name=REBIRTH, value=True, datatype=DataType.BOOLEAN)
        return [
            Outgoing(
                Place(group, "NCMD", node).topic,
                encode(Payload(metrics=[ask], time=time), types=self.types_in_commands),
            )
            for (group, node), time in wanted.items()
        ]

    def _handled(self, place: Place, payload: Payload, now: int) -> tuple[list[Sample], str]:
        node = self._node(place)
        if place.message == "NDEATH":
            return list(self._died(node, payload, now)), ""
        if place.message == "NBIRTH":
            self._nodes[place.group, place.node] = node = _Node(
                _bd_seq(payload), payload.seq or 0, born=True, asked=node.asked
            )
        elif not node.born:
            self._ask(place, now)
            return [], f"'{place.node}' speaks, and its birth was missed: asked for another one"
        trouble = self._numbered(place, node, payload, now)
        if place.message == "DDEATH":
            return list(_gone(node, place.device, payload.time or now)), trouble
        samples, lost = [], ""
        for metric in payload.metrics:
            met = self._met(place, node, metric)
            if met is None:
                self._ask(place, now)
                lost = f"'{place.node}' sends alias {metric.alias}, which no birth has told of"
            elif met.tag:
                samples.append(_sample(met, metric, payload.time, now))
        return samples, trouble or lost

    def _node(self, place: Place) -> _Node:
        node = self._nodes.get((place.group, place.node))
        if node is None:
            if len(self._nodes) >= _MOST_NODES:
                raise DataError(f"more than {_MOST_NODES} edge nodes")
            node = self._nodes[place.group, place.node] = _Node()
        return node

    def _ask(self, place: Place, now: int) -> None:
        """Want a birth of an edge node, unless it was asked just now."""
        node = self._nodes.get((place.group, place.node))
        if node is not None and now - node.asked >= _PAUSE:
            node.asked = now
            self._wanted[place.group, place.node] = now

    def _numbered(self, place: Place, node: _Node, payload: Payload, now: int) -> str:
        """Follow the sequence numbers; a hole means that something was missed (section 6.4.5)."""
        if place.message == "NBIRTH" or payload.seq is None:
            return ""
        due = (node.sequence + 1) % SEQUENCE
        if self._patience and (node.sequence - payload.seq) % SEQUENCE <= _MOST_HELD:
            return ""  # one that others no longer waited for
        node.sequence = payload.seq
        if payload.seq == due:
            return ""
        self._ask(place, now)
        return f"'{place.node}' went from message {(due - 1) % SEQUENCE} to {payload.seq}"

    def _met(self, place: Place, node: _Node, metric: Metric) -> _Met | None:
        """The metric meant; a birth introduces it."""
        if place.message.endswith("BIRTH") and metric.name:
            return self._introduced(place, node, metric)
        if metric.name:
            return node.names.get((place.device, metric.name))
        return node.aliases.get(metric.alias) if metric.alias is not None else None

    def _introduced(self, place: Place, node: _Node, metric: Metric) -> _Met:
        if len(node.names) >= _MOST_METRICS:
            raise DataError(f"'{place.node}' has more than {_MOST_METRICS} metrics")
        ours = metric.name == BD_SEQ or metric.name.startswith("Node Control/")
        tag = "" if ours and not place.device else self._name(place, metric.name)
        met = _Met(metric.name, place.device, metric.datatype, tag)
        node.names[place.device, metric.name] = met
        if metric.alias is not None:
            node.aliases[metric.alias] = met
        told = metric.properties.get("engUnit")
        if tag and told is not None and isinstance(told.value, str):
            try:
                self.units[tag] = known_unit(told.value).name
            except UnitError:
                self.units.pop(tag, None)
        return met

    def _name(self, place: Place, metric: str) -> str:
        key = metric.replace("/", ".")
        if self.tag is None:
            name = ".".join(part for part in (place.node, place.device, key) if part)
        else:
            fields = {"group": place.group, "node": place.node, "device": place.device}
            name = self.tag.fill(fields | {"key": key}).strip(".")
        return readable(self.prefix + name)

    @staticmethod
    def _died(node: _Node, payload: Payload, now: int) -> Iterator[Sample]:
        """The end of the birth that it names; that of an earlier one says nothing (5.5)."""
        if node.born and _bd_seq(payload) in {None, node.bd_seq}:
            node.born = False
            yield from _gone(node, None, now)


def _gone(node: _Node, device: str | None, now: int) -> Iterator[Sample]:
    """A bad sample for each tag of a device, or of the whole node."""
    for met in node.names.values():
        if met.tag and device in {None, met.device}:
            yield Sample(met.tag, None, now, Quality.BAD_NO_COMMUNICATION)


def _bd_seq(payload: Payload) -> int | None:
    found = next((m.value for m in payload.metrics if m.name == BD_SEQ), None)
    return found if isinstance(found, int) else None


def _sample(met: _Met, metric: Metric, sent: int | None, now: int) -> Sample:
    """A metric as a sample.

    Args:
        met: what its birth has said.
        metric: as it came.
        sent: time of the message, nanoseconds UTC.
        now: nanoseconds UTC, for a time that is none.
    """
    moment, quality = metric.time or sent or now, _quality(metric)
    if not moment < _END_OF_TIME:
        moment, quality = now, worst((quality, Quality.UNCERTAIN))
    value = metric.value
    if not metric.datatype:
        value = as_type(value, met.datatype)
    if value is None:
        return Sample(met.tag, None, moment, quality if quality >> 31 else Quality.BAD_NO_DATA)
    # Another type than the birth's is told by a birth; in data it is a fault, and the value none.
    same = metric.datatype in {DataType.UNKNOWN, met.datatype}
    if not same or met.datatype not in _KNOWN or not _fits(value):
        return Sample(met.tag, None, moment, Quality.BAD_TYPE_MISMATCH)
    return Sample(met.tag, value, moment, quality)


def _quality(metric: Metric) -> int:
    """As its property says (section 6.4.14); uncertain where that is none of the three."""
    told = metric.properties.get("Quality")
    if told is None:
        return Quality.GOOD
    known = isinstance(told.value, int) and not isinstance(told.value, bool)
    return _QUALITIES.get(told.value, Quality.UNCERTAIN) if known else Quality.UNCERTAIN


def _fits(value: object) -> TypeGuard[bool | int | float | str]:
    """Whether a sample can hold it: no data set, template, bytes, or number beyond 64 bits."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, bool | float)


__all__ = ["SparkplugDecoder", "Value", "tag_template"]
