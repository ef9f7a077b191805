"""What the API answers: the form of every JSON document, also in its OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gl002.flow.status import GatewayStatus
from gl002.model import (
    Quality,
    Sample,
    Severity,
    Tag,
    TagTable,
    Value,
    quality_name,
    severity,
    to_datetime,
)
from gl002.security.secrets import Redactor
from gl002.trend import Bucket


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused.

    Attributes:
        error: what is wrong.
        hint: what to do about it, '' where nothing useful is known.
    """

    error: str
    hint: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one tag.

    Attributes:
        tag: the gateway's name.
        value: in `unit`; null where there is none.
        unit: '' where unknown.
        time: when the source measured it, ISO 8601 in UTC, microseconds.
        quality: OPC UA status code.
        quality_name: its name, 'BadNoCommunication'.
        severity: 'good', 'uncertain' or 'bad'.
    """

    tag: str
    value: Value
    unit: str
    time: str
    quality: int
    quality_name: str
    severity: Severity


class TagState(msgspec.Struct, frozen=True, kw_only=True):
    """A tag and the last value accepted of it.

    Attributes:
        tag: the gateway's name.
        value: in `unit`; null where there is none.
        unit: '' where unknown.
        time: when the source measured it, ISO 8601 in UTC; null where no value has come yet.
        age_s: seconds since then; null where no value has come yet.
        stale: older than three times the usual time between two values of this tag.
        quality: OPC UA status code.
        quality_name: its name, 'BadNoCommunication'.
        severity: 'good', 'uncertain' or 'bad'.
        source: connector that delivers it.
        address: what the other side calls it.
        description: a plain phrase.
    """

    tag: str
    value: Value
    unit: str
    time: str | None
    age_s: float | None
    stale: bool
    quality: int
    quality_name: str
    severity: Severity
    source: str
    address: str
    description: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a trend that has values.

    Attributes:
        start: ISO 8601 in UTC.
        end: not part of it.
        low: lowest value; null where none is usable.
        mean: of the values, not weighted with time.
        high: highest value.
        samples: how many there are.
        severity: of the gravest.
    """

    start: str
    end: str
    low: float | None
    mean: float | None
    high: float | None
    samples: int
    severity: Severity


class TrendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a tag did, from the history that an output keeps.

    Attributes:
        tag: the gateway's name.
        unit: '' where unknown.
        stretches: oldest first; where the tag has no values there is none.
    """

    tag: str
    unit: str
    stretches: list[Stretch]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A loss or a credit of a boiler.

    Attributes:
        name: 'dry_gas'.
        description: a plain phrase.
        reading: percent of the fuel's higher heating value; null where none has come yet.
        tag: the tag it is taken from.
    """

    name: str
    description: str
    reading: Reading | None
    tag: str


class BoilerState(msgspec.Struct, frozen=True, kw_only=True):
    """Efficiency of a boiler now, and where the rest of the fuel's heat goes.

    `efficiency_hhv` is 100 less all `losses` plus all `credits`.

    Attributes:
        boiler: its name, the prefix of its tags.
        efficiency_hhv: percent of the higher heating value.
        efficiency_lhv: percent of the lower heating value.
        excess_air: percent above the theoretical.
        flue_o2_dry: percent of the dry flue gas.
        losses: percent of the higher heating value.
        credits: heat that does not come from the fuel, percent of the higher heating value.
        note: why it is good, uncertain or bad; '' where nothing is known.
        normal_low: lower end of the normal band of `efficiency_hhv`; null where none is given.
        normal_high: upper end.
    """

    boiler: str
    efficiency_hhv: Reading | None
    efficiency_lhv: Reading | None
    excess_air: Reading | None
    flue_o2_dry: Reading | None
    losses: list[Share]
    credits: list[Share]
    note: str
    normal_low: float | None
    normal_high: float | None


class StatusAnswer(GatewayStatus, frozen=True, kw_only=True):
    """State of the gateway, and what only the API knows.

    Attributes:
        measured: time of the newest value that was measured, not calculated; nanoseconds UTC, 0
            where there is none.
        full_in_s: seconds until the store is full at the rate of the last two minutes; null while
            it is not filling.
    """

    measured: int
    full_in_s: float | None


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A work order or document in the outbox. Texts end after 300 characters.

    Attributes:
        id: number for people; grows with time.
        state: 'waiting', 'approved', 'sending', 'failed', 'done', 'rehearsed', 'expired' or
            'dropped'.
        destination: connection that does it.
        action: in that connection's words.
        text: what it is about.
        dry_run: shown when its turn comes, not sent.
        made: when it came into the outbox, ISO 8601 in UTC, microseconds.
        since: when it came into its state.
        expires: when it becomes pointless; null for never.
        tries: begun so far.
        actor: who put it into its state.
        number: of the document that was made; '' where there is none.
        detail: the outcome, or what was wrong last.
        command: what a person types who approves or retries it; '' where nobody needs to.
    """

    id: int
    state: str
    destination: str
    action: str
    text: str
    dry_run: bool
    made: str
    since: str
    expires: str | None
    tries: int
    actor: str
    number: str
    detail: str
    command: str


class OutboxAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outbox, at most a second old.

    Attributes:
        configured: `actions` are configured.
        counts: state -> entries in it.
        person: entries that wait for a person: to be approved, or because they failed.
        command: what a person types to see all of it.
        entries: those that wait for a person first, then the others; the newest first in each.
    """

    configured: bool
    counts: dict[str, int]
    person: int
    command: str
    entries: list[OutboxEntry]


class ProposalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A write to the plant that somebody outside asks for. Texts end after 300 characters.

    Attributes:
        id: number for people; grows with time.
        state: 'waiting', 'writing', 'written', 'differs', 'unknown', 'failed', 'rehearsed',
            'rejected', 'replaced' or 'expired'.
        point: that would be written.
        value: that it would get.
        unit: of the value; where none was given that of the point, '' where it is not known.
        origin: connection it came through.
        asker: who asks, as far as the message said.
        reason: why, in the words of the message.
        made: when it came, ISO 8601 in UTC, microseconds.
        since: when it came into its state.
        expires: when it lapses; null for never.
        actor: who put it into its state.
        detail: the outcome, or what was wrong.
        command: what a person types who approves it; '' where it does not wait.
    """

    id: int
    state: str
    point: str
    value: float
    unit: str
    origin: str
    asker: str
    reason: str
    made: str
    since: str
    expires: str | None
    actor: str
    detail: str
    command: str


class ProposalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The write proposals, at most a second old.

    Attributes:
        configured: some connection may propose, and writes are not off.
        counts: state -> proposals in it.
        person: proposals that wait for a person.
        command: what a person types to see all of them.
        entries: those that wait for a person first, then the others; the newest first in each.
    """

    configured: bool
    counts: dict[str, int]
    person: int
    command: str
    entries: list[ProposalEntry]


def iso(nanoseconds: int) -> str:
    """A moment as every document of the API writes it."""
    return to_datetime(nanoseconds).isoformat(timespec="microseconds")


def reading(sample: Sample, table: TagTable) -> Reading:
    """A sample as the API shows it."""
    return Reading(
        tag=sample.tag,
        value=sample.value,
        unit=table.unit(sample.tag),
        time=iso(sample.time),
        quality=sample.quality,
        quality_name=quality_name(sample.quality),
        severity=severity(sample.quality),
    )


def tag_state(tag: Tag, sample: Sample | None, *, now: int, stale: bool) -> TagState:
    """What is known of a tag at the moment `now` (nanoseconds UTC)."""
    quality = Quality.BAD_WAITING_FOR_INITIAL_DATA if sample is None else sample.quality
    return TagState(
        tag=tag.name,
        value=None if sample is None else sample.value,
        unit=tag.unit,
        time=None if sample is None else iso(sample.time),
        age_s=None if sample is None else (now - sample.time) / 1e9,
        stale=stale,
        quality=int(quality),
        quality_name=quality_name(quality),
        severity=severity(quality),
        source=tag.source,
        address=tag.address,
        description=tag.description,
    )


def trend_of(tag: str, table: TagTable, buckets: Iterable[Bucket]) -> TrendAnswer:
    """A trend as the API shows it."""
    stretches = [
        Stretch(
            start=iso(each.start), end=iso(each.end), low=each.low, mean=each.mean,
            high=each.high, samples=each.samples, severity=severity(each.quality),
        )
        for each in buckets
    ]  # fmt: skip
    return TrendAnswer(tag=tag, unit=table.unit(tag), stretches=stretches)


def status_answer(status: GatewayStatus, *, measured: int, full_in_s: float | None) -> StatusAnswer:
    """The status for whoever may see it: should a driver put a secret in an error, it ends here."""
    known = {name: getattr(status, name) for name in GatewayStatus.__struct_fields__}
    for part in ("inputs", "outputs"):
        known[part] = [
            msgspec.structs.replace(state, error=Redactor.redact(state.error))
            for state in known[part]
        ]
    if status.outbox is not None:
        error = Redactor.redact(status.outbox.error)
        known["outbox"] = msgspec.structs.replace(status.outbox, error=error)
    said = {part: Redactor.redact(getattr(status.loaded, part)) for part in ("error", "hint")}
    known["loaded"] = msgspec.structs.replace(status.loaded, **said)
    return StatusAnswer(**known, measured=measured, full_in_s=full_in_s)


def as_json(data: Any) -> bytes:
    """JSON; NaN and infinity, which it has no numbers for, become null; broken text is escaped."""
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        return msgspec.json.encode(_readable(msgspec.to_builtins(data)))


def _readable(data: Any) -> Any:
    """The same with every text in a form that UTF-8 can hold."""
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_readable(key): _readable(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_readable(value) for value in data]
    return data
