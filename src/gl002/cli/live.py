"""The live table of a gateway, as `demo`, `run` and `top` show it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from gl002.cli.output import rich_table, sample_row
from gl002.flow.status import GatewayStatus
from gl002.model import Sample, TagTable

_MIB = 1024 * 1024


def display(status: GatewayStatus, latest: Mapping[str, Sample] | None = None,
            tags: TagTable | None = None, *, shown_tags: tuple[str, ...] = ()) -> Any:  # fmt: skip
    """Everything on one screen, as an object of rich."""
    from rich.console import Group

    parts = [_inputs(status), _outputs(status), _store_line(status), *_waiting_lines(status)]
    if status.loaded.error:
        parts.append(_not_taken_up(status))
    if latest is not None and tags is not None:
        chosen = [latest[tag] for tag in shown_tags if tag in latest]
        rows = [sample_row(sample, tags.unit(sample.tag)) for sample in chosen]
        # First: a terminal of 24 lines cuts off what does not fit.
        parts.insert(0, rich_table(("tag", "value", "unit", "time", "quality"), rows))
    return Group(_header(status), *parts)


def _header(status: GatewayStatus) -> Any:
    from rich.text import Text

    return Text(
        f"{status.name}  {time.strftime('%H:%M:%S')}  up {_span(status.uptime)}  "
        f"loop {status.lag * 1000:.0f} ms  memory {status.memory / _MIB:.0f} MiB  "
        f"writes {status.writes}",
        style="bold",
    )


def _inputs(status: GatewayStatus) -> Any:
    now = status.time
    return rich_table(
        ("INPUT", "STATE", "TAGS", "IN/s", "TOTAL", "LAST", "BAD", "NOTE"),
        [
            (
                i.name, _state(i.state), i.tags, round(i.rate, 1), i.received,
                f"{_span(max(0, now - i.last) / 1e9)} ago" if i.last else "",
                i.bad, _note(i.error, i.retry_in),
            )
            for i in status.inputs
        ],
    )  # fmt: skip


def _outputs(status: GatewayStatus) -> Any:
    return rich_table(
        ("OUTPUT", "STATE", "OUT/s", "TOTAL", "QUEUED", "DEAD", "NOTE"),
        [
            (
                o.name, _state(o.state), round(o.rate, 1), o.delivered, o.pending, o.dead,
                _note(o.error, o.retry_in),
            )
            for o in status.outputs
        ],
    )  # fmt: skip


def _not_taken_up(status: GatewayStatus) -> Any:
    from rich.text import Text

    text = f"CONFIGURATION  its change is not taken up: {status.loaded.error}"
    return Text(text, style="bold red")


def _store_line(status: GatewayStatus) -> Any:
    from rich.text import Text

    store = status.store
    text = (
        f"STORE  {store.accepted:,} accepted  {store.bytes / _MIB:.1f} of "
        f"{store.max_bytes / _MIB:.0f} MiB  free disk {store.free / _MIB / 1024:.0f} GiB"
    )
    trouble = f"  {store.dropped:,} given up  {store.lost:,} damaged"
    bad = bool(store.dropped or store.lost)
    return Text(text + (trouble if bad else ""), style="bold red" if bad else "")


def _waiting_lines(status: GatewayStatus) -> Iterator[Any]:
    """What people are waited for; nothing where nobody is."""
    from rich.text import Text

    if status.outbox is not None:
        box = status.outbox
        text = (
            f"OUTBOX  {box.waiting} to approve  {box.approved + box.sending} on their way  "
            f"{box.failed} failed  {box.done} done  {box.error}"
        )
        style = "bold red" if box.failed else "yellow" if box.waiting or box.error else ""
        yield Text(text.rstrip(), style=style)
    if status.proposals:
        yield Text(f"WRITES  {status.proposals} proposed: gl002 proposals list", style="yellow")


def _state(state: str) -> Any:
    from rich.text import Text

    style = {"retrying": "yellow", "failed": "bold red"}.get(state, "")
    return Text(state, style=style)


def _note(error: str, retry_in: float) -> str:
    again = f"next try in {_span(retry_in)}: " if retry_in > 0 else ""
    return f"{again}{error}" if error else ""


def _span(seconds: float) -> str:
    """'4.2 s', '12 min 3 s', '6 d 2 h'."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):  # fmt: skip  # noqa: E501
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // smaller:.0f} {small}"
    raise AssertionError("seconds are at least 60 here")
