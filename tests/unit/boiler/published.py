"""Published and computed boiler cases, each with its source: tests/data/boiler_public.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gl002.boiler.fuels import Fuel, ultimate

_FILE = Path(__file__).parents[2] / "data" / "boiler_public.json"
_CASES = json.loads(_FILE.read_text())["cases"]


def case(name: str) -> dict[str, Any]:
    return next(each for each in _CASES if each["id"] == name)


def wanted(each: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Key -> value and tolerance; the recomputed value where the published one is wrong."""
    tolerance = each["tolerance_abs"]
    return {
        key: (
            each["recomputed"][key] if key in each["use_recomputed_for"] else value,
            tolerance.get(key, tolerance.get("*")),
        )
        for key, value in each["expected"].items()
    }


def residual_oil() -> Fuel:
    """The fuel of the case exact-oil-1, from its ultimate analysis."""
    inputs = case("exact-oil-1")["inputs"]
    elements = dict(inputs["fuel"]["mass"])
    moisture = elements.pop("W")
    return ultimate(
        elements, name="residual oil", moisture=moisture, hhv=inputs["HHV_kJ_per_unit"]
    )  # fmt: skip
