"""Fuels in `integrations.yaml`: by name, by analysis, burnt together; where their ash leaves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gl002.boiler.analysis import Fuel, gas, mixture, ultimate
from gl002.boiler.fuels import FUELS
from gl002.config.settings import Positive, Settings, Share
from gl002.errors import DataError

FuelName = Literal[
    "natural_gas", "propane", "hydrogen", "biogas", "fuel_oil_2", "fuel_oil_6", "bituminous",
    "subbituminous", "lignite", "wood_pellets", "wood_dry", "wood_green",
]  # fmt: skip
"""Fuels that need no analysis: the keys of `gl002.boiler.fuels.FUELS`."""


class ResidueSettings(Settings):
    """Where ash of a solid fuel leaves, and how much carbon is in it."""

    share: Share = Field(le=1, description="Of all ash; those of all residues make 1.")
    carbon: Share = Field(le=90, description="Percent by mass of the dry residue.")
    temperature: float | None = Field(None, description="DegC; that of the stack where absent.")


class FuelShareSettings(Settings):
    """One of several fuels that burn together."""

    fuel: FuelName = Field(description="Which.")
    share: Share = Field(description="Of all; only the ratios count.")


class FuelSettings(Settings):
    """A fuel from its analysis: a gas, a liquid or solid by its elements, or a mixture."""

    name: str = Field("analysed fuel", description="What to call it.")
    gas: dict[str, Share] | None = Field(
        None, description="Percent by volume: {CH4: 92.0, C2H6: 4.5, N2: 3.5}."
    )
    elements: dict[str, Share] | None = Field(
        None, description="Percent by mass: {C: 87.2, H: 12.6, S: 0.2}."
    )
    mix: list[FuelShareSettings] | None = Field(None, description="Fuels that burn together.")
    by: Literal["heat", "mass", "volume"] = Field("heat", description="What shares of mix are of.")
    analysis: Literal["as_received", "dry", "ash_free"] = Field(
        "as_received", description="What elements, ash and hhv are percent of."
    )
    moisture: Share = Field(0.0, le=80, description="Percent of the fuel as it is burnt.")
    ash: Share = Field(0.0, le=90, description="Percent by mass.")
    biogenic: Share = Field(
        0.0, le=100, description="Percent of the carbon that comes from biomass; of gas, elements."
    )
    hhv: Positive | None = Field(None, description="kJ per kg, or per kmol of a gas, at 25 degC.")

    @model_validator(mode="after")
    def _makes_a_fuel(self) -> FuelSettings:
        if sum(each is not None for each in (self.gas, self.elements, self.mix)) != 1:
            raise ValueError("give one of 'gas', 'elements' and 'mix'")
        if self.mix is not None and self.biogenic:
            raise ValueError("'biogenic' of a mix follows from its fuels: leave it out")
        try:
            self.fuel()
        except DataError as error:
            raise ValueError(str(error)) from None
        return self

    def fuel(self) -> Fuel:
        """For the engine."""
        if self.gas is not None:
            return gas(self.gas, name=self.name, biogenic=self.biogenic, hhv=self.hhv)
        if self.elements is not None:
            return ultimate(
                self.elements, name=self.name, basis=self.analysis, moisture=self.moisture,
                ash=self.ash, biogenic=self.biogenic, hhv=self.hhv,
            )  # fmt: skip
        parts = [(FUELS[part.fuel], part.share) for part in self.mix or ()]
        return mixture(parts, by=self.by, name=self.name)
