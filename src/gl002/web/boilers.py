"""Efficiency and losses of each boiler, gathered from its tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gl002.flow.gateway import Gateway
from gl002.model import Tag
from gl002.web.shapes import BoilerState, Reading, Share, reading

_EFFICIENCY: Final = ".efficiency_hhv"


def boilers(gateway: Gateway) -> list[str]:
    """Names of all boilers: those of the configuration, and those whose efficiency comes in."""
    configured = gateway.config.sections.boilers
    names = dict.fromkeys(configured)
    names.update(
        (tag.removesuffix(_EFFICIENCY), None)
        for tag in gateway.hub.latest
        if tag.endswith(_EFFICIENCY)
    )
    return list(names)


def boiler_state(gateway: Gateway, boiler: str) -> BoilerState:
    """What the latest values say about a boiler."""
    settings = gateway.config.sections.boilers.get(boiler)
    normal = settings.normal_efficiency if settings is not None else None
    note = _reading(gateway, f"{boiler}.efficiency_note")
    return BoilerState(
        boiler=boiler,
        efficiency_hhv=_reading(gateway, f"{boiler}{_EFFICIENCY}"),
        efficiency_lhv=_reading(gateway, f"{boiler}.efficiency_lhv"),
        excess_air=_reading(gateway, f"{boiler}.excess_air"),
        flue_o2_dry=_reading(gateway, f"{boiler}.flue_o2_dry"),
        losses=list(_shares(gateway, f"{boiler}.loss_")),
        credits=list(_shares(gateway, f"{boiler}.credit_")),
        note=str(note.value or "") if note is not None else "",
        normal_low=normal.low if normal is not None else None,
        normal_high=normal.high if normal is not None else None,
    )


def _reading(gateway: Gateway, tag: str) -> Reading | None:
    sample = gateway.hub.latest.get(tag)
    return None if sample is None else reading(sample, gateway.context.tags)


def _shares(gateway: Gateway, prefix: str) -> Iterator[Share]:
    """In the order in which the tag table met them."""
    table = gateway.context.tags
    for tag in dict.fromkeys((*table, *gateway.hub.latest)):
        if tag.startswith(prefix):
            yield Share(
                name=tag.removeprefix(prefix),
                description=table.get(tag, Tag(name=tag)).description,
                reading=_reading(gateway, tag),
                tag=tag,
            )
