"""What fuels cost: `tariffs:` of `integrations.yaml`."""

from __future__ import annotations

from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from gl002.boiler.tariff import Period, Tariff
from gl002.config.settings import Settings, Share, is_number


class PeriodSettings(Settings):
    """A part of the week or year with a price of its own."""

    price: Share = Field(description="Per MWh (HHV).")
    hours: tuple[float, float] = Field(
        (0.0, 24.0), description="From this hour to before that one; [22, 6] passes midnight."
    )
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [1, 2, 3, 4, 5, 6, 7], description="1 is Monday."
    )
    months: list[Annotated[int, Field(ge=1, le=12)]] = Field(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], description="1 is January."
    )


class TariffSettings(Settings):
    """What a fuel costs. A number alone is its price."""

    scalar_form: ClassVar = ("number",)

    price: Share = Field(description="Per MWh (HHV), where no period holds.")
    periods: list[PeriodSettings] = Field([], description="The first that holds counts.")
    carbon: Share = Field(0.0, description="Price of a tonne of CO2.")
    biogenic: bool = Field(
        False, description="Whether carbon is paid for CO2 from biomass, too (wood, biogas)."
    )
    currency: str = Field("EUR", description="For people.")
    time_zone: str = Field("UTC", description="Of the periods, 'Europe/Berlin'.")

    @model_validator(mode="before")
    @classmethod
    def _from_scalar(cls, data: object) -> object:
        return {"price": data} if is_number(data) else data

    @model_validator(mode="after")
    def _zone_exists(self) -> TariffSettings:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone '{self.time_zone}'") from None
        return self

    def tariff(self) -> Tariff:
        """For the engine."""
        periods = tuple(
            Period(
                price=each.price, hours=each.hours, months=frozenset(each.months),
                weekdays=frozenset(day - 1 for day in each.weekdays),
            )
            for each in self.periods
        )  # fmt: skip
        return Tariff(
            price=self.price, periods=periods, carbon=self.carbon, biogenic=self.biogenic,
            currency=self.currency,
            zone=ZoneInfo(self.time_zone),
        )  # fmt: skip
