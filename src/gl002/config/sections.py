"""The parts of `integrations.yaml` beside the connectors: store, tags, network, web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gl002.config.expression import Expression
from gl002.config.settings import Port, Seconds, Settings
from gl002.model import ValueType
from gl002.units import conversion, unit

MIB = 1024 * 1024


class GatewaySettings(Settings):
    """The gateway itself."""

    name: str = Field("gl002", description="Name of this gateway in messages it sends.")
    state_dir: str | None = Field(
        None,
        description="Folder for store, audit file and certificates; relative to this file. "
        "$GL002_STATE_DIR or the user's state folder where absent.",
    )
    drain: Seconds = Field(10.0, description="On stop: how long outputs may go on delivering.")


class NetworkSettings(Settings):
    """What may be reached. The endpoints named by the connectors are the list; this narrows it."""

    allow: list[str] | None = Field(
        None, description="'host', 'host:port', 'scheme://host:port', '10.20.0.0/16', "
        "'10.20.0.50-59:502'. Absent: everything the connectors name."
    )  # fmt: skip


class StoreSettings(Settings):
    """The durable store between inputs and outputs."""

    max_bytes: int = Field(
        1024 * MIB, ge=4 * MIB, le=1 << 62, description="Most disk space it may take."
    )
    segment_bytes: int = Field(16 * MIB, ge=1 * MIB, description="Size at which a new file starts.")
    commit_interval: Seconds = Field(
        0.02, le=1.0, description="Longest wait to put several batches on disk with one fsync."
    )
    on_full: Literal["drop_oldest", "refuse"] = Field(
        "drop_oldest",
        description="drop_oldest makes room and leaves a gap record; refuse lets inputs wait, "
        "so that a broker keeps what is not accepted.",
    )


class LedgerSettings(Settings):
    """The count of samples expected and delivered, by tag, hour and output."""

    retention: Seconds = Field(35 * 86_400.0, gt=0, description="How long it is kept.")
    max_rows: int = Field(
        5_000_000, ge=1000, description="Most entries; then the oldest hours go. 40 bytes each."
    )


class RangeSettings(Settings):
    """Limits outside of which a value is not to be trusted."""

    low: float | None = Field(None, description="Lowest credible value.")
    high: float | None = Field(None, description="Highest credible value.")

    @model_validator(mode="after")
    def _ordered(self) -> RangeSettings:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class DeadbandSettings(Settings):
    """Report by exception: pass a value on when it has moved far enough, or after a while."""

    absolute: float | None = Field(None, ge=0, description="Change in the declared unit.")
    percent: float | None = Field(None, ge=0, description="Change in percent of the last value.")
    heartbeat: Seconds = Field(60.0, description="Pass a value on at least this often.")


class TagSettings(Settings):
    """What is declared about a tag: its unit, its type, its limits."""

    unit: str = Field("", description="Unit the values are converted to, 'kg/s', 'bar(g)', 'degC'.")
    source_unit: str = Field("", description="Unit they come in, where the input does not say.")
    scale: float = Field(1.0, description="Multiplied first, before the unit is converted.")
    offset: float = Field(0.0, description="Added after scale.")
    type: ValueType | None = Field(None, description="Values of another type are marked bad.")
    range: RangeSettings = Field(
        RangeSettings(), description="Values outside are marked uncertain; NaN and infinity bad."
    )
    deadband: DeadbandSettings | None = Field(None, description="Report by exception.")
    description: str = Field("", description="A plain phrase.")

    @model_validator(mode="after")
    def _units_fit(self) -> TagSettings:
        if self.unit:
            unit(self.unit)
        if self.unit and self.source_unit:
            conversion(self.source_unit, self.unit)
        return self


class CalculatedSettings(Settings):
    """A tag computed from others."""

    expression: str = Field(description="Arithmetic over tags: 'steam_flow / fuel_flow'.")
    unit: str = Field("", description="Unit of the result.")
    interval: Seconds = Field(1.0, gt=0, description="Time between two results.")
    max_age: Seconds = Field(
        30.0, description="An input older than this makes the result uncertain."
    )
    description: str = Field("", description="A plain phrase.")

    @field_validator("expression")
    @classmethod
    def _can_be_computed(cls, text: str) -> str:
        Expression(text)
        return text


class WebSettings(Settings):
    """The dashboard and the local API."""

    enabled: bool = Field(True, description="Serve them; needs the extra 'web'.")
    host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="Loopback only: put a proxy with users and TLS in front for more."
    )
    port: Port = Field(8080, description="TCP port.")


class LimitSettings(Settings):
    """What a point may be set to. Outside is refused, never clamped."""

    min: float = Field(description="Lowest value, in the point's unit.")
    max: float = Field(description="Highest value.")
    max_step: float | None = Field(None, gt=0, description="Largest change against the value now.")
    min_interval: Seconds = Field(10.0, description="Shortest time between two writes.")

    @model_validator(mode="after")
    def _ordered(self) -> LimitSettings:
        if self.min >= self.max:
            raise ValueError(f"min {self.min:g} is not below max {self.max:g}")
        if self.max_step is not None and self.max_step >= self.max - self.min:
            raise ValueError("max_step is as large as the whole range, so it limits nothing")
        return self


class PermissiveSettings(Settings):
    """Something that must hold in the plant before a point may be written: an interlock."""

    connector: str | None = Field(
        None, description="Connection to read it through; that of the point where absent."
    )
    address: str = Field(min_length=1, description="What the connector calls it.")
    equals: bool | float | str | None = Field(None, description="Must be this: true, 1, 'run'.")
    min: float | None = Field(None, description="Must be this at least, in the source's unit.")
    max: float | None = Field(None, description="Must be this at most.")
    max_age: Seconds | None = Field(
        None, gt=0, description="Must have been measured this lately; any time where absent."
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> PermissiveSettings:
        limited = self.min is not None or self.max is not None
        if self.equals is None and not limited:
            raise ValueError("give 'equals', 'min' or 'max'")
        if self.equals is not None and limited:
            raise ValueError("give 'equals' or 'min' and 'max', not both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class PointSettings(Settings):
    """One thing in the plant that may be written."""

    id: str = Field(min_length=1, description="Name of the point in commands and audit entries.")
    connector: str = Field(description="Connection to write through: 'opc_ua.primary'.")
    address: str = Field(description="What the connector calls it: 'ns=2;s=Boiler1.SetPoint'.")
    unit: str = Field(description="Unit of the value.")
    limits: LimitSettings = Field(description="What it may be set to.")
    permissives: list[PermissiveSettings] = Field(
        default=[], description="What must hold in the plant, all of it, or nothing is written."
    )


class ProposalSettings(Settings):
    """Writes that messages from outside ask for. A person approves each; nobody else can."""

    allow: list[str] = Field(
        default=[],
        description="Connections that may propose: a kind ('aws') or one connection "
        "('mqtt.plant'). Nobody where absent.",
    )
    expires: Seconds = Field(
        600.0, gt=0, le=86_400.0, description="How long a proposal waits for a person."
    )
    most: int = Field(
        100, ge=1, le=10_000, description="Most proposals waiting; then more are refused."
    )


class WritesSettings(Settings):
    """Writes to the plant that do not come from one's own code. Off unless turned on here."""

    mode: Literal["off", "dry_run", "approve"] = Field(
        "off",
        description="off refuses; dry_run checks and shows but sends nothing; approve sends what a "
        "person has confirmed.",
    )
    points: list[PointSettings] = Field(
        default=[], description="The only points that may be written."
    )
    proposals: ProposalSettings = Field(
        ProposalSettings(), description="Writes that clouds, brokers and hosts may propose."
    )

    def connections(self) -> Iterator[tuple[tuple[int | str, ...], str]]:
        """The connections that are named: the place of the name within this section, the name."""
        for i, point in enumerate(self.points):
            yield ("points", i, "connector"), point.connector
            for j, permissive in enumerate(point.permissives):
                if permissive.connector is not None:
                    yield ("points", i, "permissives", j, "connector"), permissive.connector
        for i, name in enumerate(self.proposals.allow):
            yield ("proposals", "allow", i), name
