"""Entity types: properties, their values in either version, filters, metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

PRODUCTS = "/sap/opu/odata/sap/API_PRODUCT_SRV"
NOTIFICATIONS = "/sap/opu/odata/sap/API_MAINTNOTIFICATION"
ORDERS = "/sap/opu/odata/sap/API_MAINTENANCEORDER;v=0002"
MEASUREMENTS = "/sap/opu/odata4/sap/api_measurementdocument/srvd_a2x/sap/MeasurementDocument/0001"
POINTS = "/sap/opu/odata4/sap/api_measuringpoint/srvd_a2x/sap/measuringpoint/0001"


class Problem(Exception):
    """An error as Gateway words it."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


@dataclass(frozen=True)
class Collection:
    """An entity set: property -> (column, type, how long, may be created)."""

    service: str
    version: int
    name: str
    table: str
    key: str
    fields: Mapping[str, tuple[str, str, int, bool]]


COLLECTIONS = [
    Collection(PRODUCTS, 2, "A_Product", "MARA", "Product", {
        "Product": ("MATNR", "String", 40, False), "ProductType": ("MTART", "String", 4, False),
        "BaseUnit": ("MEINS", "String", 3, False), "ProductGroup": ("MATKL", "String", 9, False),
        "GrossWeight": ("BRGEW", "Decimal", 13, False),
        "NetWeight": ("NTGEW", "Decimal", 13, False), "WeightUnit": ("GEWEI", "String", 3, False),
    }),
    Collection(NOTIFICATIONS, 2, "MaintenanceNotification", "QMEL", "MaintenanceNotification", {
        "MaintenanceNotification": ("QMNUM", "String", 12, False),
        "NotificationType": ("QMART", "String", 2, True),
        "NotificationText": ("QMTXT", "String", 40, True),
        "TechnicalObject": ("EQUNR", "String", 40, True),
        "TechObjIsEquipOrFuncnlLoc": ("TPLNR", "String", 20, True),
        "MaintPriority": ("PRIOK", "String", 1, True),
        "MaintenanceObjectIsDown": ("MSAUS", "Boolean", 0, True),
        "MalfunctionStartDate": ("AUSVN", "DateTime", 0, True),
        "MalfunctionStartTime": ("AUZTV", "Time", 0, True),
        "MaintNotifExtReferenceNumber": ("REFNUM", "String", 20, True),
        "ReportedByUser": ("QMNAM", "String", 12, True),
        "MaintNotifLongTextForEdit": ("LTXT", "String", 1333, True),
    }),
    Collection(ORDERS, 2, "MaintenanceOrder", "AUFK", "MaintenanceOrder", {
        "MaintenanceOrder": ("AUFNR", "String", 12, False),
        "MaintenanceOrderType": ("AUART", "String", 4, True),
        "MaintenanceOrderDesc": ("KTEXT", "String", 40, True),
        "Equipment": ("EQUNR", "String", 18, True),
        "FunctionalLocation": ("TPLNR", "String", 30, True),
        "MaintenancePlanningPlant": ("IWERK", "String", 4, True),
        "MainWorkCenter": ("ARBPL", "String", 8, True),
        "MaintenanceActivityType": ("ILART", "String", 3, True),
        "MaintPriority": ("PRIOK", "String", 1, True),
        "MaintOrdBasicStartDateTime": ("GSTRP", "DateTimeOffset", 0, True),
    }),
    Collection(MEASUREMENTS, 4, "MeasurementDocument", "IMRG", "MeasurementDocument", {
        "MeasurementDocument": ("MDOCM", "String", 20, False),
        "MeasuringPoint": ("POINT", "String", 12, True),
        "MsmtRdngDate": ("IDATE", "Date", 0, True), "MsmtRdngTime": ("ITIME", "TimeOfDay", 0, True),
        "MeasurementReadingInEntryUoM": ("RECDV", "Double", 0, True),
        "MeasurementReadingEntryUoM": ("RECDU", "String", 6, True),
        "MeasurementDocumentText": ("MDTXT", "String", 40, True),
        "MsmtRdngByUser": ("READR", "String", 12, True),
    }),
    Collection(POINTS, 4, "MeasuringPoint", "IMPTT", "MeasuringPoint", {
        "MeasuringPoint": ("POINT", "String", 12, False),
        "MeasuringPointPositionNumber": ("PSORT", "String", 20, False),
    }),
]  # fmt: skip
_EPOCH = date(1970, 1, 1)


def column(collection: Collection) -> str:
    return collection.fields[collection.key][0]


def columns(collection: Collection, given: Mapping[str, Any]) -> dict[str, str]:
    """Columns of an entity that is sent; each property by the rules of its type."""
    columns = {}
    for name, value in given.items():
        known = collection.fields.get(name)
        if known is None:
            raise Problem(400, "/IWBEP/CM_MGW_RT/176", f"Property {name} not found")
        column, kind, length, creatable = known
        if not creatable:
            raise Problem(400, "/IWBEP/CM_MGW_RT/177", f"Property {name} is read-only")
        columns[column] = _stored(name, value, kind, length)
    return columns


_FORMS = {
    "DateTimeOffset": r"/Date\((-?\d+)\+0000\)/",
    "DateTime": r"/Date\((-?\d+)\)/", "Time": r"PT(\d\d)H(\d\d)M(\d\d)S",
    "Date": r"(\d{4})-(\d\d)-(\d\d)", "TimeOfDay": r"(\d\d):(\d\d):(\d\d)",
}  # fmt: skip


def _stored(name: str, value: Any, kind: str, length: int) -> str:
    wrong = Problem(400, "/IWBEP/CM_MGW_RT/100", f"Property {name}: {value!r} is no Edm.{kind}")
    if kind == "Boolean":
        if not isinstance(value, bool):
            raise wrong
        return "X" if value else ""
    if kind == "Double":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong
        return repr(value)
    if not isinstance(value, str) or (length and len(value) > length):
        raise wrong
    if kind not in _FORMS:
        return value
    match = re.fullmatch(_FORMS[kind], value)
    if match is None:
        raise wrong
    if kind in {"DateTime", "DateTimeOffset"}:
        return f"{datetime.fromtimestamp(int(match[1]) / 1000, UTC):%Y%m%d}"
    return "".join(match.groups())


def shown(row: Mapping[str, Any], collection: Collection, name: str) -> Any:
    """A property as its version writes it."""
    column, kind, *_ = collection.fields[name]
    value = str(row[column])
    return _SHOWN[kind](value) if kind in _SHOWN else value


def _day(value: str) -> str | None:
    if not value.strip("0"):
        return None
    return f"/Date({(date.fromisoformat(value) - _EPOCH).days * 86_400_000})/"


_SHOWN = {
    "DateTime": _day,
    "DateTimeOffset": _day,
    "Time": lambda v: f"PT{v[:2] or '00'}H{v[2:4] or '00'}M{v[4:6] or '00'}S",
    "Date": lambda v: f"{v[:4]}-{v[4:6]}-{v[6:8]}",
    "TimeOfDay": lambda v: f"{v[:2]}:{v[2:4]}:{v[4:6]}",
    "Double": float,
    "Boolean": lambda v: v == "X",
}


_TERM = re.compile(
    r"(?:(?P<name>\w+) eq (?:'(?P<text>(?:[^']|'')*)'|(?P<day>[\d-]{10}))"
    r"|(?P<where>startswith|endswith)\((?P<field>\w+),'(?P<part>(?:[^']|'')*)'\))"
)


def condition(collection: Collection, text: str) -> tuple[str, list[str]]:
    """What `$filter` asks for, as SQL; anything else is refused."""
    words, values, place = [], [], 0
    while place < len(text):
        if sign := re.compile(r"\(| and | or |\)").match(text, place):
            words.append(sign[0].upper())
            place = sign.end()
            continue
        match = _TERM.match(text, place)
        name = match and (match["name"] or match["field"])
        if match is None or name not in collection.fields:
            raise Problem(400, "/IWBEP/CM_MGW_RT/020", f"Invalid filter: {text}")
        column = collection.fields[name][0]
        if match["where"] is not None:
            part = match["part"].replace("''", "'")
            place_of = "1" if match["where"] == "startswith" else f"-{len(part)}"
            words.append(f"substr({column}, {place_of}, {len(part)}) = ?")
            values.append(part)
        else:
            words.append(f"{column} = ?")
            day = match["day"]
            values.append(day.replace("-", "") if day else match["text"].replace("''", "'"))
        place = match.end()
    return "".join(words) or "1", values


def metadata(collections: list[Collection]) -> bytes:
    """EDMX of version 2."""
    types = "".join(
        f'<EntityType Name="{c.name}Type"><Key><PropertyRef Name="{c.key}"/></Key>'
        + "".join(
            f'<Property Name="{name}" Type="Edm.{kind}" Nullable="{str(name != c.key).lower()}"'
            + (f' MaxLength="{length}"' if kind == "String" else "")
            + (' Precision="13" Scale="3"' if kind == "Decimal" else "")
            + (' Precision="0"' if kind in {"DateTime", "Time"} else "")
            + f' sap:creatable="{str(creatable).lower()}"/>'
            for name, (_, kind, length, creatable) in c.fields.items()
        )
        + "</EntityType>"
        for c in collections
    )
    sets = "".join(
        f'<EntitySet Name="{c.name}" EntityType="GL2.{c.name}Type"/>' for c in collections
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
 xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices m:DataServiceVersion="2.0">
<Schema Namespace="GL2" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">{types}
<EntityContainer Name="GL2_Entities" m:IsDefaultEntityContainer="true">{sets}</EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>""".encode()
