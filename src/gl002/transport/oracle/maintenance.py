"""What both products of Oracle can do: make a work order, record readings of an asset's meters.

Each is done once for each key: the key is kept in what was made, and is looked for there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, Self

import msgspec
from pydantic import Field, PrivateAttr, model_validator

from gl002.action import ActionForm
from gl002.errors import RequestFailed

_LONGEST_DESCRIPTION = 240  # characters, in both products


def _now() -> datetime:
    return datetime.now(UTC)


class WorkOrderForm(ActionForm):
    """A work order for an asset."""

    asset_number: str = Field(min_length=1, max_length=80, description="Asset, as Oracle names it.")
    description: str = Field(
        min_length=1, max_length=_LONGEST_DESCRIPTION, description="What is to be done."
    )
    type: str = Field("", max_length=80, description="Code or meaning: 'PREVENTIVE', 'CORRECTIVE'.")
    priority: int | None = Field(None, ge=0, description="Code of the priority there.")
    scheduled_date: datetime | None = Field(None, description="Start; now where absent.")
    completion_date: datetime | None = Field(
        None, description="End; where absent, as Oracle schedules it."
    )
    status: str = Field("", max_length=80, description="Code or meaning; as configured if absent.")
    _made: datetime = PrivateAttr(default_factory=_now)

    @property
    def start(self) -> datetime:
        """When it starts, with its zone."""
        return (self.scheduled_date or self._made).astimezone()


class AssetPerformanceForm(ActionForm):
    """How an asset has performed: a reading for each of its meters."""

    asset_number: str = Field(min_length=1, max_length=80, description="Asset, as Oracle names it.")
    efficiency: float | None = Field(None, description="Of the boiler, in percent.")
    runtime_hours: float | None = Field(None, description="What the hour meter shows.")
    fuel_consumption: float | None = Field(None, description="What the fuel meter shows.")
    other: dict[str, float] = Field({}, description="Further quantities, by name.")
    time: datetime | None = Field(None, description="Of the readings; now where absent.")
    _made: datetime = PrivateAttr(default_factory=_now)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.quantities:
            raise ValueError(
                "no reading: give efficiency, runtime_hours, fuel_consumption or other"
            )
        return self

    @property
    def quantities(self) -> Mapping[str, float]:
        """Quantity -> reading."""
        named: dict[str, float | None] = {
            "efficiency": self.efficiency,
            "runtime_hours": self.runtime_hours,
            "fuel_consumption": self.fuel_consumption,
        }
        return {name: v for name, v in (named | self.other).items() if v is not None}

    @property
    def at(self) -> datetime:
        """When the meters were read, with its zone."""
        return (self.time or self._made).astimezone()


class WorkOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A work order there.

    Attributes:
        number: as people there search for it.
        id: Oracle's own.
        status: in the words of that system.
        warnings: what Oracle said besides.
    """

    number: str
    id: int
    status: str
    warnings: tuple[str, ...] = ()


class MeterReading(msgspec.Struct, frozen=True, kw_only=True):
    """A reading there.

    Attributes:
        id: Oracle's own.
        meter: name of the meter.
        value: as recorded.
        waiting: it is handed over and not recorded yet; `id` is that of its row until then.
    """

    id: int
    meter: str
    value: float
    waiting: bool = False


class Maintenance(Protocol):
    """One product. Called within a request of the connector's, which limits its time."""

    async def open(self) -> None:
        """Connect and log in."""

    async def shut(self) -> None:
        """Disconnect; safe twice."""

    async def ping(self) -> str:
        """One round trip; a phrase about the other side."""

    def rehearse_order(self, form: WorkOrderForm, key: str) -> str:
        """What would be sent, for people."""

    async def find_order(self, key: str) -> WorkOrder | None:
        """The order that was made with this key."""

    async def create_order(self, form: WorkOrderForm, key: str) -> WorkOrder:
        """Make it; with a key, that is its number.

        Raises:
            DataError: Oracle refuses it.
        """

    def rehearse_readings(self, form: AssetPerformanceForm, key: str) -> str:
        """What would be sent, for people."""

    async def find_readings(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """The readings that were recorded with this key."""

    async def record(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """Record those readings that are not there yet.

        Raises:
            DataError: the asset has no such meter, or Oracle refuses the reading.
        """


def key_or_text(code: object, meaning: str, wanted: str) -> bool:
    """Whether a lookup's code or meaning is what was asked for, in whatever letters."""
    return wanted.strip().casefold() in {str(code).casefold(), meaning.strip().casefold()}


def numbered_otherwise(number: str, wanted: str) -> tuple[str, ...]:
    """A warning where an order did not get the number that it was to be found by."""
    if wanted in {"", number}:
        return ()
    warning = (
        f"it is numbered there, not '{wanted}', and cannot be found again by that key: "
        "allow numbers to be given by hand"
    )
    return (warning,)


def several(count: int, number: str) -> RequestFailed:
    """Which order is meant cannot be told: a number is unique in an organization only."""
    return RequestFailed(f"{count} organizations have a work order '{number}'")
