"""The state of the gateway for Prometheus (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from gl002.flow.gateway import Gateway
from gl002.model import is_bad
from gl002.web.boilers import boilers
from gl002.web.shapes import StatusAnswer

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Labels: TypeAlias = Mapping[str, str]


class _Family(NamedTuple):
    """One metric with all its series."""

    name: str
    kind: str
    help: str
    series: Sequence[tuple[_Labels, float]]


def exposition(gateway: Gateway, status: StatusAnswer) -> str:
    """All metrics as Prometheus scrapes them."""
    families = (
        *_of_the_gateway(status),
        *_of_inputs(status),
        *_of_outputs(status),
        *_of_the_store(status),
        *_of_what_waits(status),
        _of_boilers(gateway),
    )
    return "".join(_text(family) for family in families if family.series)


def _of_the_gateway(status: StatusAnswer) -> Iterator[_Family]:
    about = {"name": status.name, "version": status.version}
    yield _Family("gl002_info", "gauge", "The gateway.", [(about, 1)])
    yield _one("gl002_uptime_seconds", "gauge", "Since start.", status.uptime)
    yield _one("gl002_loop_lag_seconds", "gauge", "Delay of the event loop.", status.lag)
    yield _one("gl002_memory_resident_bytes", "gauge", "In main memory now.", status.memory)
    yield _one("gl002_faults_total", "counter", "Parts started again.", status.faults)


def _of_inputs(status: StatusAnswer) -> Iterator[_Family]:
    def each(name: str, kind: str, help_: str, field: str, scale: float = 1.0) -> _Family:
        series = [({"input": i.name}, getattr(i, field) * scale) for i in status.inputs]
        return _Family(f"gl002_input_{name}", kind, help_, series)

    up = [({"input": i.name}, float(i.state == "up")) for i in status.inputs]
    yield _Family("gl002_input_up", "gauge", "1 while values come in.", up)
    yield each("samples_total", "counter", "Values received.", "received")
    yield each("skipped_total", "counter", "Points known to be missed.", "skipped")
    yield each("tags", "gauge", "Tags delivered so far.", "tags")
    yield each("bad_tags", "gauge", "Tags whose last value is bad.", "bad")
    yield each("last_sample_seconds", "gauge", "Time of the newest value, UTC.", "last", 1e-9)


def _of_outputs(status: StatusAnswer) -> Iterator[_Family]:
    def each(name: str, kind: str, help_: str, field: str) -> _Family:
        series = [({"output": o.name}, float(getattr(o, field))) for o in status.outputs]
        return _Family(f"gl002_output_{name}", kind, help_, series)

    up = [({"output": o.name}, float(o.state == "up")) for o in status.outputs]
    yield _Family("gl002_output_up", "gauge", "1 while values are delivered.", up)
    yield each("samples_total", "counter", "Values delivered.", "delivered")
    yield each("pending", "gauge", "Values in the store still to be delivered.", "pending")
    yield each("dead_letters", "gauge", "Values refused for good.", "dead")


def _of_the_store(status: StatusAnswer) -> Iterator[_Family]:
    store = status.store
    yield _one("gl002_store_bytes", "gauge", "On disk.", store.bytes)
    yield _one("gl002_store_limit_bytes", "gauge", "The most it may take.", store.max_bytes)
    yield _one("gl002_store_disk_free_bytes", "gauge", "Free on its disk.", store.free)
    yield _one("gl002_store_accepted_total", "counter", "Values made durable.", store.accepted)
    yield _one("gl002_store_dropped_total", "counter", "Given up undelivered.", store.dropped)
    yield _one("gl002_store_lost_total", "counter", "Damaged on disk.", store.lost)


def _of_what_waits(status: StatusAnswer) -> Iterator[_Family]:
    """What a person may have to decide on; an alarm on it is one on people."""
    yield _one(
        "gl002_write_proposals_waiting", "gauge", "Proposed writes to decide on.", status.proposals
    )
    if status.outbox is not None:
        states = ("waiting", "approved", "sending", "failed")
        series = [({"state": s}, float(getattr(status.outbox, s))) for s in states]
        yield _Family("gl002_outbox_actions", "gauge", "Actions not done yet.", series)
        yield _one(
            "gl002_outbox_done", "gauge", "Actions done, as far as kept.", status.outbox.done
        )


def _of_boilers(gateway: Gateway) -> _Family:
    series: list[tuple[_Labels, float]] = []
    for boiler in boilers(gateway):
        for basis in ("hhv", "lhv"):
            sample = gateway.hub.latest.get(f"{boiler}.efficiency_{basis}")
            if sample is None or is_bad(sample.quality) or not isinstance(sample.value, float):
                continue
            series.append(({"boiler": boiler, "basis": basis}, sample.value))
    return _Family(
        "gl002_boiler_efficiency_percent", "gauge", "Efficiency; absent while bad.", series
    )


def _one(name: str, kind: str, help_: str, value: float) -> _Family:
    return _Family(name, kind, help_, [({}, value)])


def _text(family: _Family) -> str:
    lines = [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
    lines += [f"{family.name}{_labels(labels)} {value:.15g}" for labels, value in family.series]
    return "\n".join(lines) + "\n"


def _labels(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    readable = value.encode("utf-8", "backslashreplace").decode()
    return readable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
