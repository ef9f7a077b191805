"""Advice in plain numbers and words, for JSON, tags and pages."""

from __future__ import annotations

from typing import Any

from gl002.boiler.recommend.advice import Advised
from gl002.boiler.recommend.kinds import Advice, Amounts, Declined, Saving
from gl002.boiler.uncertainty import Estimate
from gl002.model import to_datetime


def estimate(found: Estimate, factor: float = 1.0) -> dict[str, float]:
    """A value with its 95 % band, rounded to what is worth reading."""
    low, high = found.band
    values = {"value": found.value, "low": low, "high": high}
    return {name: float(f"{factor * value:.4g}") for name, value in values.items()}


def saving(found: Saving) -> dict[str, Any]:
    """What a change saves: percent of the fuel, and per hour and year."""
    return {
        "fuel_pct": estimate(found.share, 100.0),
        "per_hour": _amounts(found.per_hour),
        "per_year": _amounts(found.per_year),
        "confidence": round(found.confidence, 3),
    }


def _amounts(found: Amounts) -> dict[str, Any]:
    return {
        "fuel_MWh": estimate(found.fuel), "money": estimate(found.money),
        "co2_t": estimate(found.co2),
    }  # fmt: skip


def advice(found: Advice, currency: str = "") -> dict[str, Any]:
    """A recommendation, or why there is none; with the currency of its money where it has some."""
    if isinstance(found, Declined):
        return {"boiler": found.boiler, "kind": found.kind, "declined": found.reason}
    start, end = found.evidence
    priced = {"currency": currency} if currency and found.saving is not None else {}
    return {
        "id": found.id, "boiler": found.boiler, "kind": found.kind, "title": found.title,
        "evidence": {
            "start": to_datetime(start).isoformat(), "end": to_datetime(end).isoformat()
        },
        "now": dict(found.now), "target": dict(found.target),
        "saving": None if found.saving is None else saving(found.saving), **priced,
        "constraints": [each._asdict() for each in found.constraints],
        "reasons": list(found.reasons), "project": found.project,
        "expires": to_datetime(found.expires).isoformat(),
    }  # fmt: skip


def advised(found: Advised, currency: str) -> dict[str, Any]:
    """Everything there is to say about one boiler."""
    return {
        "currency": currency,
        "recommendations": [advice(each) for each in found.recommendations],
        "together": None if found.combined is None else saving(found.combined),
        "projects": None if found.projects is None else saving(found.projects),
        "declined": [advice(each) for each in found.declined],
    }
