"""What `boilers:` binds: roles to tags, their units, the accuracy of their instruments."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gl002.boiler.bands import UNMEASURED, Instruments
from gl002.boiler.live import Boiler
from gl002.boiler.roles import ROLES, shows_heat, to_engine
from gl002.boiler.uncertainty import Accuracy
from gl002.config.boilers import BlowdownSettings, BoilerSettings, RoleSettings
from gl002.config.problems import Problem
from gl002.errors import UnitError
from gl002.model import Quality, Sample, TagTable, worst
from gl002.units import Linear, conversion

if TYPE_CHECKING:
    from gl002.boiler.watch import Watched

_IN_BANDS = {"steam_temperature": "temperature"}  # roles that the engine's bands call otherwise


class Bindings:
    """The roles of one boiler.

    Args:
        name: of the boiler.
        settings: its block of the configuration.
        table: the units of the tags.

    Attributes:
        name: of the boiler.
        settings: as given.
        roles: role -> what it is bound to, in the order of `ROLES`.
    """

    def __init__(self, name: str, settings: BoilerSettings, table: TagTable) -> None:
        self.name = name
        self.settings = settings
        self.roles: dict[str, RoleSettings] = {
            role: given
            for role in ROLES
            if isinstance(given := getattr(settings, role), RoleSettings)
        }
        self._table = table
        self._fuel = settings.burnt()
        self._line = functools.lru_cache(maxsize=64)(self._line_of)

    @property
    def tags(self) -> dict[str, str]:
        """Role -> tag, of roles that have one."""
        return {role: given.tag for role, given in self.roles.items() if given.tag is not None}

    def line(self, role: str) -> Linear:
        """How a role's readings become what the engine takes.

        Raises:
            UnitError: the unit of the tag does not fit the role.
        """
        unit = self._unit(role)
        if unit and role == "feedwater_solids" and "boiler_solids" in self.roles:
            return self._line(role, unit, self._unit("boiler_solids"))
        return self._line(role, unit)

    def _unit(self, role: str) -> str:
        given = self.roles[role]
        return (self._table.unit(given.tag) if given.tag is not None else "") or given.unit

    def _line_of(self, role: str, unit: str, compared: str = "") -> Linear:
        """Into the engine's unit; where it takes any, into that of the role it is compared with."""
        return (
            conversion(unit, compared)
            if compared
            else to_engine(role, unit, self._fuel, atmosphere=self.settings.air_pressure())
        )

    def fixed(self, role: str) -> float | None:
        """The fixed value of a role in the engine's unit; None where it has a tag."""
        value = self.roles[role].value
        return None if value is None else self.line(role)(value)

    def converted(self, role: str, sample: Sample) -> Sample:
        """A sample of a role in the engine's unit; without a value where its unit does not fit."""
        value = sample.value
        if isinstance(value, bool | str | None):
            return sample
        try:
            line = self.line(role)
        except UnitError:
            wrong = worst((sample.quality, Quality.BAD_CONFIGURATION_ERROR))
            return Sample(sample.tag, None, sample.time, wrong)
        return Sample(sample.tag, line(value), sample.time, sample.quality)

    def misfits(self) -> Iterator[Problem]:
        """Roles whose units do not fit."""
        for role in self.roles:
            try:
                self.line(role)
            except UnitError as error:
                yield Problem(("boilers", self.name, role), str(error))

    def boiler(self) -> Boiler:
        """What the engine wants to know about the boiler."""
        s = self.settings
        blown = s.blowdown
        return Boiler(
            name=self.name, basis=s.oxygen.basis, fuel=self._fuel, surface_loss=s.surface_loss,
            residues=s.ash(), max_age=s.max_age, roles=frozenset(self.roles),
            instruments=self._instruments(),
            blowdown_basis=blown.basis if isinstance(blown, BlowdownSettings) else None,
            saturated=s.saturated, dryness=s.dryness, full_steam=self._full_steam(),
            steady=s.steady.limits(), atmosphere=s.air_pressure(),
            reference_oxygen=s.reference_oxygen,
        )  # fmt: skip

    def watched(self) -> Watched:
        """What a watch over the instruments wants to know about the boiler."""
        from gl002.boiler.watch import Watched

        s = self.settings
        humidity = self.fixed("humidity") if "humidity" in self.roles else None
        return Watched(
            fuel=self._fuel, basis=s.oxygen.basis, saturated=s.saturated,
            atmosphere=s.air_pressure(), humidity=0.010 if humidity is None else humidity,
        )  # fmt: skip

    def _instruments(self) -> Instruments:
        metered = "fuel_flow" in self.roles and shows_heat(self._unit("fuel_flow"))
        given = {**self._unmeasured(), **dict(self._accuracies())}
        return Instruments(given=given, fuel_as_heat=metered)

    def _unmeasured(self) -> dict[str, Accuracy]:
        """Of roles that change and that nothing measures."""
        given = {}
        if self.roles["air_temperature"].tag is None:
            given["air_temperature"] = UNMEASURED["air_temperature"]
        by_steam = "steam_flow" in self.roles and self.settings.full_steam is not None
        if "load" not in self.roles and not by_steam:
            given["load"] = UNMEASURED["load"]
        return given

    def _accuracies(self) -> Iterator[tuple[str, Accuracy]]:
        for role, given in self.roles.items():
            if given.accuracy is None:
                continue
            try:
                slope = self.line(role).slope
            except UnitError:
                continue
            yield _IN_BANDS.get(role, role), given.accuracy.accuracy(slope)

    def fastest(self) -> dict[str, float]:
        """Role -> largest change a second that is plausible, in the engine's unit."""
        found = {}
        for role, given in self.roles.items():
            if given.fastest is None:
                continue
            try:
                found[role] = given.fastest * abs(self.line(role).slope)
            except UnitError:  # its readings have no value, and so no rate
                continue
        return found

    def _full_steam(self) -> float | None:
        given = self.settings.full_steam
        if given is None or given.value is None:
            return None
        return conversion(given.unit or "kg/s", "kg/s")(given.value)
