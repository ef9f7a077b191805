"""A plant at rest, its values, and the efficiency that its signals give."""

from gl002.boiler.live import OPTIONAL, REQUIRED, ROLE_UNITS, Boiler, evaluate
from gl002.model import Sample
from gl002.sim.plant import Plant
from gl002.units import convert

HOUR = 3600.0
ROLES = {
    "oxygen": "AT301", "stack_temperature": "TT301", "air_temperature": "TT302",
    "carbon_monoxide": "AT302", "load": "UI100",
}  # fmt: skip


def steady(load: float = 0.7, **options) -> Plant:
    return Plant(noise=False, load=lambda _: load, **options)


def values(plant: Plant) -> dict[str, float]:
    return {tag: signal.value for tag, signal in plant.signals().items()}


def efficiency_from_signals(plant: Plant) -> tuple[Sample, str]:
    """As a gateway does it: tags, their units, the boiler's roles."""
    signals = plant.signals()
    inputs = {
        role: Sample(
            tag,
            convert(signals[tag].value, signals[tag].unit, ROLE_UNITS[role]),
            0,
            signals[tag].quality,
        )
        for role, tag in ROLES.items()
    }
    boiler = Boiler(name="b", basis="wet", roles=frozenset(REQUIRED + OPTIONAL) - {"humidity"})
    results = evaluate(boiler, inputs, 0)
    return results[0], str(results[-1].value)
