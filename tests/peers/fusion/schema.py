"""The two resources as JSON Schema: fields, types and lengths of the published reference.

"REST API for Oracle Supply Chain Management Cloud", Maintenance Work Orders and Meter Readings.
A part of their fields; what is required of a work order follows the maintenance set-up of a site.
"""

from __future__ import annotations

from typing import Any


def _text(length: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": length}


_TIME = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"}
_ID = {"type": "integer", "minimum": 1}

NEW_ORDER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["AssetNumber", "WorkOrderTypeCode"],
    "anyOf": [{"required": ["OrganizationCode"]}, {"required": ["OrganizationId"]}],
    "properties": {
        "OrganizationId": _ID, "OrganizationCode": _text(18), "AssetId": _ID,
        "AssetNumber": _text(80), "WorkOrderNumber": _text(120), "WorkOrderDescription": _text(240),
        "WorkOrderTypeCode": _text(30), "WorkOrderSubTypeCode": _text(30),
        "WorkOrderStatusCode": _text(30), "WorkOrderPriority": {"type": "integer", "minimum": 0},
        "PlannedStartDate": _TIME, "PlannedCompletionDate": _TIME,
        "PlannedStartQuantity": {"type": "number"}, "UOMCode": _text(3),
        "MntWorkDefinitionCode": _text(300), "ExplosionFlag": {"type": "boolean"},
    },
}  # fmt: skip
ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["WorkOrderId", "WorkOrderNumber", "WorkOrderStatus", "WorkOrderStatusCode"],
    "properties": {
        **NEW_ORDER["properties"], "WorkOrderId": _ID, "WorkOrderStatus": _text(30),
    },
}  # fmt: skip
NEW_READING: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["ReadingDate"],
    "anyOf": [{"required": ["AssetNumber", "MeterCode"]}, {"required": ["AssetId", "MeterId"]}],
    "properties": {
        "AssetId": _ID, "AssetNumber": _text(80), "MeterId": _ID, "MeterCode": _text(120),
        "ReadingValue": {"type": "number"}, "ReadingDate": _TIME, "Comments": _text(240),
    },
}  # fmt: skip
READING: dict[str, Any] = {
    "type": "object",
    "required": ["MeterReadingId", "ReadingDate"],
    "properties": {**NEW_READING["properties"], "MeterReadingId": _ID},
}
