"""Heat in steam over records: IAPWS-IF97 looked up in tables that are made for each record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gl002.boiler import steam
from gl002.boiler.arrays import Array, np
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record
from gl002.errors import DataError

_POINTS: Final = 200  # of a table; within 0.01 kJ/kg over the range of a boiler at work


def steam_heat(boiler: Boiler, record: Record) -> Array:
    """Heat that the water of every interval took up, kW: in steam and, where known, in blowdown."""
    pressure, feed = record.roles["pressure"], record.roles["feedwater_temperature"]
    water = _of(feed, lambda t: steam.water(max(float(np.nanmax(pressure)), 0.1), t))
    heat = record.roles["steam_flow"] * (_out(boiler, record) - water)
    blown = _blowdown(boiler, record)
    if blown is not None:
        drained = _of(pressure, lambda p: steam.by_dryness(p, 0.0))
        heat = heat + np.nan_to_num(blown) * (drained - water)
    return np.asarray(heat)


def _blowdown(boiler: Boiler, record: Record) -> Array | None:
    """Its flow, kg/s, from where it is known best: as `gl002.boiler.live_water.water_of`."""
    roles, flow = record.roles, record.roles["steam_flow"]
    if "blowdown_flow" in roles:
        return roles["blowdown_flow"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if {"boiler_solids", "feedwater_solids"} <= roles.keys():
            found = flow / (roles["boiler_solids"] / roles["feedwater_solids"] - 1)
        elif "blowdown" in roles and boiler.blowdown_basis is not None:
            share = roles["blowdown"] / 100
            found = flow * (share / (1 - share) if boiler.blowdown_basis == "feedwater" else share)
        else:
            return None
        return np.where((found >= 0) & (found <= flow), found, np.nan)


def _out(boiler: Boiler, record: Record) -> Array:
    """Enthalpy of the steam, kJ/kg."""
    pressure = record.roles["pressure"]
    if boiler.saturated:
        return _of(pressure, lambda p: steam.saturated(p, boiler.dryness))
    temperature = record.roles["steam_temperature"]
    return np.array([_superheated(p, t) for p, t in zip(pressure, temperature, strict=True)])


def _superheated(pressure: float, temperature: float) -> float:
    try:
        return steam.superheated(float(pressure), float(temperature)).enthalpy
    except DataError:
        return float("nan")


def _of(values: Array, state: Callable[[float], steam.Steam]) -> Array:
    """Enthalpy over one variable, from a table over its range."""
    good = np.isfinite(values) & (values > 0)
    if not good.any():
        return np.full(values.size, np.nan)
    grid = np.linspace(values[good].min(), values[good].max(), _POINTS)
    table = np.array([_enthalpy(state, float(each)) for each in grid])
    return np.where(good, np.interp(values, grid, table), np.nan)


def _enthalpy(state: Callable[[float], steam.Steam], value: float) -> float:
    try:
        return state(value).enthalpy
    except DataError:
        return float("nan")
