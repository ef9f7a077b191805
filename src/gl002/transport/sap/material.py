"""A material of SAP's material master, whichever way it was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gl002.wire.odata import Entity


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a material master says in general.

    Attributes:
        number: as SAP shows it.
        description: in the language of the log-in, '' where there is none.
        type: material type, 'ROH'.
        base_unit: of its stock.
        group: material group.
        gross_weight: of one base unit, in `weight_unit`; None where SAP has none.
        net_weight: the same, without packaging.
        weight_unit: of both.
        fields: everything SAP sent, in its own words: of API_PRODUCT_SRV or of BAPIMATDOA.
    """

    number: str
    description: str = ""
    type: str = ""
    base_unit: str = ""
    group: str = ""
    gross_weight: float | None = None
    net_weight: float | None = None
    weight_unit: str = ""
    fields: Mapping[str, Any] = {}


def of_entity(entity: Entity, language: str) -> Material:
    """From A_Product, its descriptions expanded."""
    fields = entity.fields
    descriptions = fields.get("to_Description")
    texts = {
        str(one.get("Language", "")).upper(): str(one.get("ProductDescription", ""))
        for one in (descriptions if isinstance(descriptions, list) else [])
    }
    return Material(
        number=str(fields.get("Product", "")),
        description=texts.get(language.upper()) or next(iter(texts.values()), ""),
        type=str(fields.get("ProductType") or ""),
        base_unit=str(fields.get("BaseUnit") or ""),
        group=str(fields.get("ProductGroup") or ""),
        gross_weight=_weight(fields.get("GrossWeight")),
        net_weight=_weight(fields.get("NetWeight")),
        weight_unit=str(fields.get("WeightUnit") or ""),
        fields=fields,
    )


def of_function(number: str, data: Mapping[str, Any]) -> Material:
    """From MATERIAL_GENERAL_DATA of BAPI_MATERIAL_GET_DETAIL."""
    return Material(
        number=number,
        description=str(data.get("MATL_DESC") or ""),
        type=str(data.get("MATL_TYPE") or ""),
        base_unit=str(data.get("BASE_UOM") or ""),
        group=str(data.get("MATL_GROUP") or ""),
        gross_weight=_weight(data.get("GROSS_WT")),
        net_weight=_weight(data.get("NET_WEIGHT")),
        weight_unit=str(data.get("UNIT_OF_WT") or ""),
        fields=data,
    )


def _weight(value: object) -> float | None:
    """SAP writes 0 for what was never entered."""
    try:
        weight = float(str(value))
    except ValueError:
        return None
    return weight or None
