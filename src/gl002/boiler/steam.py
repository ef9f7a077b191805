"""Water and steam by IAPWS-IF97: a state with a reason to trust it, or an error with the reason.

    >>> round(saturation_temperature(1.0), 3)
    179.886
    >>> superheated(4.0, 400.0).phase
    'vapour'

The equations are those of the library seuif97 (extra `boiler`). It answers bad input with negative
numbers and never raises; nothing of that kind leaves this module. Pressure is absolute, MPa;
temperature degC; enthalpy kJ/kg. Range (IAPWS R7-97(2012), section 2): from the
triple point up to 100 MPa; 0 to 800 degC, and to 2000 degC at no more than 50 MPa.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from gl002.errors import DataError, require

Phase: TypeAlias = Literal["liquid", "wet", "vapour", "supercritical"]
"""liquid: also compressed. wet: between the two. vapour: also superheated. supercritical: above
the critical pressure and temperature, where there is no boiling."""

CRITICAL_PRESSURE: Final = 22.064
"""MPa (IAPWS R7-97(2012), equation 3)."""

CRITICAL_TEMPERATURE: Final = 373.946
"""degC (IAPWS R7-97(2012), equation 2)."""

TRIPLE_PRESSURE: Final = 0.000_611_212_677
"""MPa, saturation at 0 degC (IAPWS R7-97(2012), equation 30)."""

_MOST_PRESSURE: Final = 100.0
_MOST_PRESSURE_HOT: Final = 50.0
_MOST_TEMPERATURE: Final = 800.0
_MOST_TEMPERATURE_HOT: Final = 2_000.0
_ERROR_CODES: Final = -1_000.0
_ON_THE_LINE: Final = 1e-6  # K from the boiling point within which the library gives either phase

# Numbers by which seuif97 calls the properties
_TEMPERATURE, _VOLUME, _ENTHALPY, _ENTROPY, _CP = 1, 3, 4, 5, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Steam:
    """A state of water or steam.

    Attributes:
        pressure: absolute, MPa.
        temperature: degC.
        enthalpy: kJ/kg, zero for liquid at the triple point.
        entropy: kJ/(kg K).
        volume: m3/kg.
        dryness: share of vapour by mass where the state is saturated, else None.
        phase: see `Phase`.
    """

    pressure: float
    temperature: float
    enthalpy: float
    entropy: float
    volume: float
    dryness: float | None
    phase: Phase

    @property
    def internal_energy(self) -> float:
        """kJ/kg."""
        return self.enthalpy - 1000 * self.pressure * self.volume

    @property
    def density(self) -> float:
        """kg/m3."""
        return 1 / self.volume


def saturation_temperature(pressure: float) -> float:
    """Boiling point, degC (IAPWS R7-97(2012), equation 31).

    Raises:
        DataError: no pressure at which water boils.
    """
    _need_boiling(pressure)
    return _value(_if97().px(pressure, 0.0, _TEMPERATURE), f"boiling point at {pressure:.4g} MPa")


def saturation_pressure(temperature: float) -> float:
    """Pressure at which water boils, MPa (IAPWS R7-97(2012), equation 30).

    Raises:
        DataError: a temperature at which water does not boil.
    """
    _need_number("temperature", temperature)
    if not 0 <= temperature <= CRITICAL_TEMPERATURE:
        raise DataError(
            f"water of {temperature:.4g} degC does not boil: 0 to {CRITICAL_TEMPERATURE} degC"
        )
    return _value(_if97().tx(temperature, 0.0, 0), f"saturation at {temperature:.4g} degC")


def superheat(pressure: float, temperature: float) -> float:
    """Kelvin above the boiling point; negative for water, and for steam that cannot be.

    Raises:
        DataError: no pressure at which water boils, or not a number.
    """
    _need_number("temperature", temperature)
    return temperature - saturation_temperature(pressure)


def by_temperature(pressure: float, temperature: float) -> Steam:
    """The state at a pressure and a temperature; it is never wet.

    On the saturation line itself it is vapour.

    Raises:
        DataError: outside the range of IF97.
    """
    _need_range(pressure, temperature)
    if pressure < CRITICAL_PRESSURE and abs(superheat(pressure, temperature)) < _ON_THE_LINE:
        return by_dryness(pressure, 1.0)
    return _state(_if97().pt, pressure, temperature, _phase(pressure, temperature))


def by_enthalpy(pressure: float, enthalpy: float) -> Steam:
    """The state at a pressure and an enthalpy: liquid, wet or vapour.

    Raises:
        DataError: outside the range of IF97.
    """
    _need_number("enthalpy", enthalpy)
    _need_pressure(pressure)
    if pressure < CRITICAL_PRESSURE:
        liquid, vapour = (_if97().px(pressure, x, _ENTHALPY) for x in (0.0, 1.0))
        if liquid <= enthalpy <= vapour:
            return by_dryness(pressure, (enthalpy - liquid) / (vapour - liquid))
    said = f"{enthalpy:.5g} kJ/kg at {pressure:.4g} MPa"
    temperature = _value(_if97().ph(pressure, enthalpy, _TEMPERATURE), said)
    return _state(_if97().ph, pressure, enthalpy, _phase(pressure, temperature))


def by_dryness(pressure: float, dryness: float) -> Steam:
    """Saturated water and steam, mixed: dryness 0 is liquid, 1 is vapour.

    Raises:
        DataError: a dryness outside 0 to 1, or no pressure at which water boils.
    """
    _need_number("dryness", dryness)
    if not 0 <= dryness <= 1:
        raise DataError(f"dryness {dryness:.4g} is outside 0 to 1")
    _need_boiling(pressure)
    phase: Phase = "vapour" if dryness == 1 else "wet" if dryness else "liquid"
    return _state(_if97().px, pressure, dryness, phase, dryness=dryness)


def superheated(pressure: float, temperature: float) -> Steam:
    """Steam from a superheater, refused where it would be water.

    A pressure and a temperature alone describe compressed water as well as steam. A boiler whose
    two instruments say 'below saturation' delivers steam all the same: one of them is wrong, or
    the steam is saturated and its dryness must be given instead of its temperature. Taking the
    state as it stands turns an efficiency of 77 % into one of 21 %.

    Raises:
        DataError: below saturation, with both temperatures; or outside the range of IF97.
    """
    above = superheat(pressure, temperature) if pressure < CRITICAL_PRESSURE else 0.0
    if above < -_ON_THE_LINE:
        raise DataError(
            f"steam of {temperature:.4g} degC at {pressure:.4g} MPa (absolute) is {-above:.1f} K "
            f"below saturation ({temperature - above:.1f} degC): that is water, not steam",
            hint="check both instruments, and gauge against absolute; for saturated steam give "
            "its dryness instead of its temperature",
        )
    found = by_temperature(pressure, temperature)
    if found.phase == "liquid":
        raise DataError(
            f"{temperature:.4g} degC at {pressure:.4g} MPa (absolute) is below the critical "
            f"temperature of {CRITICAL_TEMPERATURE} degC: that is water, not steam",
            hint="check both instruments",
        )
    return found


def saturated(pressure: float, dryness: float = 1.0) -> Steam:
    """Steam from a boiler without superheater; the drum's separators leave 0.98 to 1 of dryness.

    Raises:
        DataError: as `by_dryness`.
    """
    return by_dryness(pressure, dryness)


def water(pressure: float, temperature: float) -> Steam:
    """Feedwater, or water in an economizer, refused where it would have boiled.

    Raises:
        DataError: above saturation, with both temperatures; or outside the range of IF97.
    """
    if pressure >= CRITICAL_PRESSURE:
        return _dense(pressure, temperature)
    above = superheat(pressure, temperature)
    if abs(above) < _ON_THE_LINE:
        return by_dryness(pressure, 0.0)
    if above > 0:
        raise DataError(
            f"water of {temperature:.4g} degC at {pressure:.4g} MPa (absolute) is {above:.1f} K "
            f"above its boiling point ({temperature - above:.1f} degC): that is steam",
            hint="check both instruments, and gauge against absolute",
        )
    return by_temperature(pressure, temperature)


def _dense(pressure: float, temperature: float) -> Steam:
    """Water above the critical pressure, where nothing boils but the temperature still decides."""
    found = by_temperature(pressure, temperature)
    if found.phase != "liquid":
        raise DataError(
            f"{temperature:.4g} degC at {pressure:.4g} MPa (absolute) is above the critical "
            f"temperature of {CRITICAL_TEMPERATURE} degC: that is steam, not water",
            hint="check both instruments",
        )
    return found


def heat_capacity(pressure: float, temperature: float) -> float:
    """Of water or steam at constant pressure, kJ/(kg K).

    Raises:
        DataError: outside the range of IF97.
    """
    _need_range(pressure, temperature)
    return _value(
        _if97().pt(pressure, temperature, _CP), f"{pressure:.4g} MPa, {temperature:.4g} degC"
    )


# ---- behind seuif97 ---------------------------------------------------------------------------


@functools.cache
def _if97() -> Any:
    """The library.

    Raises:
        MissingDependency: it is not installed.
    """
    require("seuif97", extra="boiler")
    import seuif97

    return seuif97


def _state(
    lookup: Any, pressure: float, other: float, phase: Phase, *, dryness: float | None = None
) -> Steam:
    """A state by pressure and one more property, whichever `lookup` takes."""
    temperature, volume, enthalpy, entropy = (
        lookup(pressure, other, each) for each in (_TEMPERATURE, _VOLUME, _ENTHALPY, _ENTROPY)
    )
    _value(volume, f"the state at {pressure:.4g} MPa and {other:.5g}")
    return Steam(
        pressure=pressure, temperature=temperature, enthalpy=enthalpy, entropy=entropy,
        volume=volume, dryness=dryness, phase=phase,
    )  # fmt: skip


def _value(found: float, said: str) -> float:
    """What the library found, unless it is one of its error codes: they are all below -1000."""
    if not found > _ERROR_CODES:
        raise DataError(f"{said} is outside IAPWS-IF97 (code {found:g})")
    return found


def _phase(pressure: float, temperature: float) -> Phase:
    """What there is at a pressure and a temperature, where it is not wet."""
    if pressure >= CRITICAL_PRESSURE:
        return "supercritical" if temperature >= CRITICAL_TEMPERATURE else "liquid"
    return "vapour" if temperature >= saturation_temperature(pressure) else "liquid"


def _need_number(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise DataError(f"{what} is not a number")


def _need_pressure(pressure: float) -> None:
    _need_number("pressure", pressure)
    if not TRIPLE_PRESSURE <= pressure <= _MOST_PRESSURE:
        raise DataError(
            f"pressure {pressure:.4g} MPa is outside {TRIPLE_PRESSURE:.4g} to {_MOST_PRESSURE:g}",
            hint="absolute, MPa: 1 MPa is 10 bar",
        )


def _need_boiling(pressure: float) -> None:
    _need_pressure(pressure)
    if pressure > CRITICAL_PRESSURE:
        raise DataError(f"water does not boil above {CRITICAL_PRESSURE:g} MPa: {pressure:.4g} MPa")


def _need_range(pressure: float, temperature: float) -> None:
    _need_pressure(pressure)
    _need_number("temperature", temperature)
    most = _MOST_TEMPERATURE_HOT if pressure <= _MOST_PRESSURE_HOT else _MOST_TEMPERATURE
    if not 0 <= temperature <= most:
        raise DataError(
            f"temperature {temperature:.4g} degC is outside 0 to {most:g} degC at "
            f"{pressure:.4g} MPa"
        )
