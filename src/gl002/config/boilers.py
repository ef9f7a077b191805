"""Boilers in `integrations.yaml`: their roles, what is watched and advised, their headers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from gl002.boiler.analysis import Fuel
from gl002.boiler.atmosphere import at_altitude
from gl002.boiler.fuels import FUELS
from gl002.boiler.losses import Residue
from gl002.boiler.steadiness import Limits
from gl002.boiler.uncertainty import Accuracy
from gl002.config.fuels import FuelName, FuelSettings, ResidueSettings
from gl002.config.settings import Positive, Seconds, Settings, Share, is_number
from gl002.errors import GL002Error
from gl002.units import STANDARD_ATMOSPHERE, conversion, convert, unit

_LEAST_AIR, _MOST_AIR = 50_000.0, 110_000.0  # Pa, at 5,500 m and below the sea


class AccuracySettings(Settings):
    """How accurate an instrument is, as its data sheet says it. A number alone is `absolute`."""

    scalar_form: ClassVar = ("number",)

    absolute: Share = Field(0.0, description="Plus-minus, in the unit of the tag.")
    reading: Share = Field(0.0, description="Percent of the reading, added to `absolute`.")
    meaning: Literal["limits", "two_sigma", "standard"] = Field(
        "limits",
        description="limits: never exceeded. two_sigma: holds in 95 % of all cases. standard: one "
        "standard deviation.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_scalar(cls, data: object) -> object:
        return {"absolute": data} if is_number(data) else data

    def accuracy(self, slope: float) -> Accuracy:
        """For the engine, whose unit is `slope` times that of the tag."""
        return Accuracy(
            absolute=self.absolute * abs(slope), reading=self.reading, meaning=self.meaning
        )


class RoleSettings(Settings):
    """One input of a boiler: a tag, or a fixed value where there is no instrument."""

    scalar_form: ClassVar = ("string", "number")

    tag: str | None = Field(None, description="The tag to use.")
    value: float | None = Field(None, description="A fixed value instead of a tag.")
    unit: str = Field("", description="Unit of the fixed value, or of a tag that declares none.")
    accuracy: AccuracySettings | None = Field(
        None, description="Of the instrument; a usual one is assumed where absent."
    )
    fastest: Positive | None = Field(
        None,
        description="Largest change a second that is plausible, in the unit of the tag; needs "
        "`watch`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_scalar(cls, data: object) -> object:
        if isinstance(data, str):
            return {"tag": data}
        return {"value": data} if is_number(data) else data

    @model_validator(mode="after")
    def _one_of_both(self) -> RoleSettings:
        if (self.tag is None) == (self.value is None):
            raise ValueError("give either 'tag' or 'value'")
        if self.fastest is not None and self.tag is None:
            raise ValueError("a fixed value does not change: leave out 'fastest'")
        if self.unit:
            unit(self.unit)
        return self


class OxygenSettings(RoleSettings):
    """Flue gas oxygen. Wet and dry readings differ by half a point, so the basis has no default."""

    basis: Literal["wet", "dry"] = Field(
        description="wet for an in-situ zirconia probe, dry for an extractive analyser."
    )


class BlowdownSettings(RoleSettings):
    """Blowdown in percent. Of feedwater or of steam is 6 % apart, so the basis has no default."""

    basis: Literal["feedwater", "steam"] = Field(description="What it is a share of.")


class BandSettings(Settings):
    """Where a value normally lies; shown to people, changes nothing."""

    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")

    @model_validator(mode="after")
    def _ordered(self) -> BandSettings:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        return self


class TrapSettings(Settings):
    """A steam trap that a survey found blowing through."""

    name: str = Field(description="Where it is.")
    orifice: Positive = Field(description="Diameter, mm.")
    pressure: Positive = Field(description="Before it, MPa, absolute.")


class AdviceSettings(Settings):
    """What is needed to advise on a boiler; each kind of recommendation has keys of its own."""

    interval: Seconds = Field(3600.0, ge=60, description="Time between two looks.")
    history: Seconds = Field(7 * 86_400.0, ge=3600, description="How far back to look.")
    burner_curve: list[tuple[float, float]] = Field(
        [], description="Load (fraction) and oxygen the burner was commissioned with."
    )
    co_limit: Positive = Field(100.0, description="ppm that 95 % of all readings stay below.")
    cleaning_cost: Positive | None = Field(None, description="Of one cleaning or soot blowing.")
    cleaned: str | None = Field(
        None, description="Tag that is not 0 while the surfaces are cleaned."
    )
    solids_limit: Positive | None = Field(
        None, description="Of the boiler water, in the unit of boiler_solids."
    )
    least_pressure: Positive | None = Field(
        None, description="MPa, absolute, that the consumers need at the boiler."
    )
    projects: bool = Field(False, description="Also economizer and air heater.")
    traps: list[TrapSettings] = Field([], description="Steam traps that blow through.")
    hours: Positive = Field(8_000.0, le=8784, description="At work in a year.")


class WatchSettings(Settings):
    """Watching the instruments."""

    enabled: bool = Field(True, description="Watch them; needs the extra 'boiler'.")
    step: Seconds = Field(5.0, ge=1, le=60, description="Time between two readings compared.")
    interval: Seconds = Field(60.0, ge=1, description="Time between two looks.")


class SteadySettings(Settings):
    """When a boiler counts as at rest; live results are uncertain while it is not."""

    scalar_form: ClassVar = ("boolean",)

    enabled: bool = Field(True, description="Whether live results are judged by it.")
    window: Seconds = Field(600.0, ge=60, le=1800, description="Time over which it must be so.")
    load: Positive = Field(
        2.0, le=100, description="Standard deviation of the steam flow, percent of its mean."
    )
    pressure: Positive = Field(
        0.5, le=100, description="Change of the pressure in a minute, percent of it."
    )
    oxygen: Positive = Field(0.5, le=21, description="Standard deviation of the oxygen, percent.")

    @model_validator(mode="before")
    @classmethod
    def _from_flag(cls, data: object) -> object:
        return {"enabled": data} if isinstance(data, bool) else data

    def limits(self) -> Limits:
        """For the engine."""
        return Limits(
            window=self.window, load=self.load / 100, pressure=self.pressure / 100,
            oxygen=self.oxygen,
        )  # fmt: skip


class BoilerSettings(Settings):
    """A boiler whose efficiency is computed live by the heat loss method."""

    fuel: FuelName | FuelSettings = Field("natural_gas", description="What it burns.")
    oxygen: OxygenSettings = Field(description="Oxygen in the flue gas, percent by volume.")
    stack_temperature: RoleSettings = Field(description="Flue gas after the last heat exchanger.")
    air_temperature: RoleSettings = Field(description="Combustion air where it enters the boiler.")
    carbon_monoxide: RoleSettings | None = Field(None, description="CO in the dry flue gas.")
    nitrogen_oxides: RoleSettings | None = Field(None, description="NOx in the dry flue gas.")
    reference_oxygen: float | None = Field(
        None, ge=0, le=15, description="Of the permit, percent of dry gas; for NOx and CO."
    )
    humidity: RoleSettings | None = Field(
        None, description="Water in the air, kg per kg of dry air."
    )
    load: RoleSettings | None = Field(
        None,
        description="Share of full load, for the surface loss. Full load where absent.",
    )
    carbon_dioxide: RoleSettings | None = Field(None, description="CO2, of the oxygen's gas.")
    fuel_flow: RoleSettings | None = Field(None, description="Standard volume, mass or heat flow.")
    air_flow: RoleSettings | None = Field(None, description="Combustion air, mass flow.")
    steam_flow: RoleSettings | None = Field(None, description="Steam, mass flow.")
    pressure: RoleSettings | None = Field(None, description="Steam, gauge or absolute.")
    steam_temperature: RoleSettings | None = Field(None, description="Steam.")
    feedwater_flow: RoleSettings | None = Field(None, description="Feedwater, mass flow.")
    feedwater_temperature: RoleSettings | None = Field(
        None, description="Feedwater before the economizer."
    )
    economizer_gas_temperature: RoleSettings | None = Field(
        None, description="Flue gas before the economizer."
    )
    economizer_water_temperature: RoleSettings | None = Field(
        None, description="Feedwater behind the economizer."
    )
    blowdown: BlowdownSettings | None = Field(None, description="Blowdown, percent.")
    blowdown_flow: RoleSettings | None = Field(None, description="Blowdown, mass flow.")
    boiler_solids: RoleSettings | None = Field(
        None, description="Dissolved solids or conductivity of the boiler water."
    )
    feedwater_solids: RoleSettings | None = Field(
        None, description="The same of the feedwater, in the same unit."
    )
    makeup_temperature: RoleSettings | None = Field(
        None, description="Cold water that replaces blowdown."
    )
    saturated: bool = Field(
        True, description="Whether the steam is saturated; else give steam_temperature."
    )
    dryness: float = Field(1.0, ge=0.8, le=1, description="Of saturated steam.")
    full_steam: RoleSettings | None = Field(
        None, description="Steam flow at full load, with its unit: {value: 50, unit: t/h}."
    )
    surface_loss: float = Field(
        0.5,
        ge=0,
        le=10,
        description="Heat lost through the casing at full load, percent of HHV input.",
    )
    residues: list[ResidueSettings] = Field([], description="Ash of a solid fuel.")
    normal_efficiency: BandSettings | None = Field(
        None,
        description="Where its efficiency normally lies, percent of HHV; a band on the dashboard.",
    )
    interval: Seconds = Field(1.0, gt=0, description="Time between two results.")
    max_age: Seconds = Field(
        30.0, description="An input older than this makes the result uncertain."
    )
    altitude: RoleSettings | None = Field(
        None, description="Of the site, metres above the sea; for gauge pressures."
    )
    atmosphere: RoleSettings | None = Field(
        None, description="Mean pressure of the air at the site, kPa, instead of `altitude`."
    )
    steady: SteadySettings = Field(
        SteadySettings(), description="When the boiler counts as at rest."
    )
    tariff: str = Field("", description="Key of `tariffs:`; that of the fuel's name where absent.")
    watch: WatchSettings | None = Field(None, description="Watch the instruments.")
    advice: AdviceSettings | None = Field(None, description="Advise on its operation.")

    @model_validator(mode="after")
    def _fits_together(self) -> BoilerSettings:
        if self.blowdown is not None and self.blowdown_flow is not None:
            raise ValueError("give either 'blowdown' or 'blowdown_flow'")
        if not self.saturated and self.steam_flow is not None and self.steam_temperature is None:
            raise ValueError("superheated steam needs 'steam_temperature'")
        self.air_pressure()
        if self.nitrogen_oxides is not None and self.reference_oxygen is None:
            raise ValueError("'nitrogen_oxides' needs the 'reference_oxygen' of the permit: 3 or 6")
        watched = self.watch is not None and self.watch.enabled
        if not watched and any(getattr(each, "fastest", None) for _, each in self):
            raise ValueError("'fastest' is judged by the watch over the instruments: give 'watch'")
        shares = sum(each.share for each in self.residues)
        if self.residues and abs(shares - 1) > 0.001:  # noqa: PLR2004 - rounding of what people write
            raise ValueError(f"the shares of 'residues' make {shares:g} instead of 1")
        return self

    def burnt(self) -> Fuel:
        """The fuel, for the engine."""
        return self.fuel.fuel() if isinstance(self.fuel, FuelSettings) else FUELS[self.fuel]

    def air_pressure(self) -> float:
        """Pressure of the air around the boiler, Pa.

        Raises:
            ValueError: given twice, as a tag, or what it is nowhere on earth.
        """
        given = self.atmosphere or self.altitude
        if given is None:
            return STANDARD_ATMOSPHERE
        if self.atmosphere is not None and self.altitude is not None:
            raise ValueError("give either 'altitude' or 'atmosphere'")
        if given.value is None:
            raise ValueError("'altitude' and 'atmosphere' take a value, not a tag")
        try:
            if self.altitude is not None:
                return at_altitude(convert(given.value, given.unit or "m", "m"))
            return _air_pressure(given.value, given.unit or "kPa")
        except GL002Error as error:
            raise ValueError(str(error)) from None

    def ash(self) -> tuple[Residue, ...]:
        """The residues, for the engine."""
        return tuple(
            Residue(share=r.share, carbon=r.carbon, temperature=r.temperature)
            for r in self.residues
        )


class MemberSettings(Settings):
    """A boiler on a header; flows in the header's `unit`."""

    least: Share = Field(description="Steam below which it cannot run.")
    most: Positive = Field(description="Steam at full load.")
    start_cost: Share = Field(0.0, description="Of one start: fuel to heat it up, wear.")
    min_up: Annotated[int, Field(ge=1, le=48)] = Field(
        1, description="Hours it must run once it is on."
    )
    min_down: Annotated[int, Field(ge=1, le=48)] = Field(
        1, description="Hours it must rest once it is off."
    )

    @model_validator(mode="after")
    def _ordered(self) -> MemberSettings:
        if self.least >= self.most:
            raise ValueError(f"least {self.least:g} is not below most {self.most:g}")
        return self


class HeaderSettings(Settings):
    """Boilers that feed one header: its balance, advice on how to share its steam among them."""

    boilers: dict[str, MemberSettings] = Field(min_length=2, description="By name.")
    consumers: list[RoleSettings] = Field(
        [],
        description="Tags of meters that together measure all steam the header gives: the steam "
        "meters of the boilers are checked against them.",
    )
    unit: str = Field("kg/s", description="Of the flows here.")
    reserve: Literal["n+1"] | Share = Field(
        "n+1", description="n+1: any one may fail. A number: more steam that they could make."
    )
    hours: Positive = Field(8_000.0, le=8784, description="At work in a year.")
    interval: Seconds = Field(3600.0, ge=60, description="Time between two looks.")
    history: Seconds = Field(7 * 86_400.0, ge=3600, description="How far back to look.")

    @model_validator(mode="after")
    def _are_flows(self) -> HeaderSettings:
        conversion(self.unit, "kg/s")
        for meter in self.consumers:
            if meter.tag is None:
                raise ValueError("consumers are meters: give the tag of each, not a value")
            if meter.fastest is not None:
                raise ValueError("'fastest' is of the instruments of boilers: leave it out here")
            if meter.unit:
                conversion(meter.unit, "kg/s")
        return self


def _air_pressure(value: float, named: str) -> float:
    """In Pa; a barometer shows no gauge pressure, whether its unit says so or not.

    Raises:
        UnitError: no unit of a pressure, or a gauge pressure.
        ValueError: a pressure that air has nowhere on earth.
    """
    absolute = unit(named).dimension == unit("Pa(a)").dimension
    pressure = convert(value, named, "Pa(a)" if absolute else "Pa")
    if not _LEAST_AIR <= pressure <= _MOST_AIR:
        raise ValueError(
            f"atmosphere {value:g} {named} is {pressure / 1000:.4g} kPa, outside 50 to 110"
        )
    return pressure
