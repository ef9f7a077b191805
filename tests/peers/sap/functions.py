"""The function modules: their interfaces, and what they do. Sources: `dictionary`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from peers.sap.dictionary import Field
from peers.sap.system import Refused, System, Unit

RETURN = {
    "TYPE": "char1", "ID": "char20", "NUMBER": "numeric3", "MESSAGE": "char220",
    "LOG_NO": "char20", "LOG_MSG_NO": "numeric6", "MESSAGE_V1": "char50", "MESSAGE_V2": "char50",
    "MESSAGE_V3": "char50", "MESSAGE_V4": "char50", "PARAMETER": "char32", "ROW": "int",
    "FIELD": "char30", "SYSTEM": "char10",
}  # fmt: skip
_OLD_RETURN = {
    "TYPE": "char1", "CODE": "char5", "MESSAGE": "char220", "LOG_NO": "char20",
    "LOG_MSG_NO": "numeric6",
}  # fmt: skip
_EXPORT_HEADER = {
    "NOTIF_NO": "char12", "ORDERID": "char12", "NOTIF_TYPE": "char2", "SHORT_TEXT": "char40",
    "EQUIPMENT": "char18", "FUNCT_LOC": "char30",
}  # fmt: skip
_IMRG = {"MDOCM": "char20", "POINT": "char12", "IDATE": "date10", "ITIME": "time8",
         "MDTXT": "char40"}  # fmt: skip
_EVERY_TYPE = {
    "C5": "char5", "TEXT": "string", "N6": "numeric6", "DAY": "date10", "MOMENT": "time8",
    "DEC": "decimal11.2", "QUAN": "quantum15.3", "INT4": "int", "INT2": "short", "FLTP": "double",
    "RAW4": "byte4",
}  # fmt: skip

Body = Callable[[System, Unit, Mapping[str, Any]], dict[str, Any]]


class Function(NamedTuple):
    """A function module.

    Attributes:
        imports: name -> type.
        exports: name -> type.
        tables: name -> type of a row.
        body: what it does.
    """

    imports: Mapping[str, Field]
    exports: Mapping[str, Field]
    tables: Mapping[str, Field]
    body: Body


def said(kind: str, code: str, number: str, text: str) -> dict[str, Any]:
    return {"TYPE": kind, "ID": code, "NUMBER": number, "MESSAGE": text}


def _boiler_update(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    """Of the customer: writes and commits at once."""
    if not p["IV_BOILER_ID"]:
        return {"EV_RC": 4, "RETURN": [said("E", "ZB", "001", "Boiler is missing")]}
    system.execute(
        "INSERT INTO ZBOILER VALUES (?, ?, ?)",
        p["IV_BOILER_ID"], p["IV_EFFICIENCY"], p["IV_FUEL_CONSUMPTION"],
    )  # fmt: skip
    warned = [said("W", "ZB", "002", "Efficiency is low")] if float(p["IV_EFFICIENCY"]) < 80 else []
    return {"EV_RC": 0, "RETURN": [said("S", "ZB", "000", "Updated"), *warned]}


def _boiler_book(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    """Like a BAPI: waits for the commit."""
    if p["IV_BOILER_ID"] == "LOCKED":
        return {"RETURN": [said("E", "MC", "601", "Object requested is currently locked by ME")]}
    if not p["IV_BOILER_ID"]:
        return {"RETURN": [said("E", "ZB", "001", "Boiler is missing")]}
    unit.pending.append(
        lambda: system.execute("INSERT INTO ZBOILER VALUES (?, '', 0)", p["IV_BOILER_ID"])
    )
    return {"RETURN": [said("S", "ZB", "000", "Booked")]}


def _measure(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    point = system.point(p["MEASUREMENT_POINT"], p["SECONDARY_INDEX"])
    reading = {
        "IDATE": p["READING_DATE"], "ITIME": p["READING_TIME"], "RECDV": p["RECORDED_VALUE"],
        "RECDU": p["RECORDED_UNIT"], "MDTXT": p["SHORT_TEXT"], "READR": p["READER"],
    }  # fmt: skip
    duplicates = p["CHECK_CUSTOM_DUPREC"] == "X"
    if p["COMMIT_WORK"] != "X":
        unit.pending.append(lambda: system.measure(point, reading, duplicates=duplicates))
        return {}
    row, duplicate = system.measure(point, reading, duplicates=duplicates)
    return {
        "MEASUREMENT_DOCUMENT": row["MDOCM"], "COMPLETE_DOCUMENT": row,
        "CUSTOM_DUPREC_OCCURED": "X" if duplicate else "",
    }  # fmt: skip


def _notify(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    header = p["NOTIFHEADER"]
    fields = {
        "QMART": p["NOTIF_TYPE"], "QMTXT": header["SHORT_TEXT"], "EQUNR": header["EQUIPMENT"],
        "TPLNR": header["FUNCT_LOC"], "PRIOK": header["PRIORITY"], "MSAUS": header["BREAKDOWN"],
        "AUSVN": header["STRMLFNDATE"], "AUZTV": header["STRMLFNTIME"],
        "QMNAM": header["REPORTEDBY"],
        "LTXT": "\n".join(line["TEXT_LINE"] for line in p["LONGTEXTS"]),
    }  # fmt: skip
    try:
        checked = system.notification(fields)
    except Refused as error:
        return {"RETURN": [said("E", error.code, error.number, error.text)]}
    number = f"%{len(unit.buffered) + 1:011}"
    unit.buffered[number] = checked
    return {"NOTIFHEADER_EXPORT": {"NOTIF_NO": number, "NOTIF_TYPE": p["NOTIF_TYPE"]}}


def _save(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    fields = unit.buffered.pop(p["NUMBER"], None)
    if fields is None:
        return {"RETURN": [said("E", "IM", "100", f"Notification {p['NUMBER']} does not exist")]}
    number = system.new_notification_number()
    unit.pending.append(lambda: system.insert_notification(number, fields))
    return {"NOTIFHEADER": {"NOTIF_NO": number, "NOTIF_TYPE": fields["QMART"]}}


def _order(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    """As IT_METHODS says: CREATE for each header, and SAVE at the end."""
    methods = [(row["OBJECTTYPE"], row["METHOD"]) for row in p["IT_METHODS"]]
    if methods != [("HEADER", "CREATE"), ("", "SAVE")] or len(p["IT_HEADER"]) != 1:
        return {"RETURN": [said("E", "IBAPI", "109", f"Methods cannot be done: {methods}")]}
    header = p["IT_HEADER"][0]
    if (
        not header["ORDERID"].startswith("%")
        or header["ORDERID"] != p["IT_METHODS"][0]["OBJECTKEY"]
    ):
        return {"RETURN": [said("E", "IBAPI", "003", "Number of the order to be made is wrong")]}
    fields = {
        "AUART": header["ORDER_TYPE"], "KTEXT": header["SHORT_TEXT"], "EQUNR": header["EQUIPMENT"],
        "TPLNR": header["FUNCT_LOC"], "IWERK": header["PLANPLANT"], "ARBPL": header["MN_WK_CTR"],
        "ILART": header["PMACTTYPE"], "PRIOK": header["PRIORITY"], "GSTRP": header["START_DATE"],
    }  # fmt: skip
    try:
        checked = system.order(fields)
    except Refused as error:
        return {"RETURN": [said("E", error.code, error.number, error.text)]}
    number = system.new_order_number()
    unit.pending.append(lambda: system.insert_order(number, checked))
    numbers = [{"AUFNR_IN": header["ORDERID"], "AUFNR_NEW": number}]
    return {"ET_NUMBERS": numbers, "RETURN": [said("S", "IW", "085", f"Order {number} saved")]}


def _material(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    number = p["MATERIAL"] or p["MATERIAL_LONG"]
    found = system.rows("SELECT * FROM MARA WHERE MATNR = ?", number)
    if not found:
        text = f"The material {number} does not exist"
        return {"RETURN": {"TYPE": "E", "CODE": "M3305", "MESSAGE": text}}
    row = found[0]
    return {
        "MATERIAL_GENERAL_DATA": {
            "MATL_DESC": row["MAKTX"], "MATL_TYPE": row["MTART"], "BASE_UOM": row["MEINS"],
            "MATL_GROUP": row["MATKL"], "GROSS_WT": row["BRGEW"], "NET_WEIGHT": row["NTGEW"],
            "UNIT_OF_WT": row["GEWEI"],
        },
        "RETURN": {"TYPE": "S", "CODE": "", "MESSAGE": ""},
    }  # fmt: skip


_TOKEN = re.compile(r"(AND|OR|\(|\))(?: |$)|([A-Z]+) (EQ|LIKE) '((?:[^']|'')*)'(?: |$)")


def _condition(text: str) -> tuple[str, list[str]]:
    """A condition of Open SQL as SQLite's, with its values."""
    words, values, place = [], [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Refused("SV", "001", f"Condition cannot be read: {text}", "OPTION_NOT_VALID")
        word, name, operator, value = match.groups()
        words.append(word or f"{name} {'=' if operator == 'EQ' else 'LIKE'} ?")
        if not word:
            values.append(value.replace("''", "'"))
        place = match.end()
    return " ".join(words), values


def _read_table(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    if p["QUERY_TABLE"] not in {"IMRG", "QMEL", "AUFK"}:
        raise Refused("SV", "000", f"{p['QUERY_TABLE']}", "TABLE_NOT_AVAILABLE")
    where, values = _condition(" ".join(line["TEXT"] for line in p["OPTIONS"]))
    names = [line["FIELDNAME"] for line in p["FIELDS"]]
    rows = system.rows(
        f"SELECT {', '.join(names)} FROM {p['QUERY_TABLE']} WHERE {where} LIMIT ?",
        *values, p["ROWCOUNT"] or -1,
    )  # fmt: skip
    mark = p["DELIMITER"]
    return {"DATA": [{"WA": mark.join(str(row[name]) for name in names)} for row in rows]}


def _commit(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    system.commit(unit)
    return {}


def _rollback(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    system.rollback(unit)
    return {}


def _echo(system: System, unit: Unit, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"ES_ALL": p["IS_ALL"], "CT_ALL": [*p["CT_ALL"], p["IS_ALL"]], "ET_WORDS": p["IT_WORDS"]}


FUNCTIONS: Mapping[str, Function] = {
    "RFC_PING": Function({}, {}, {}, lambda *_: {}),
    "STFC_CONNECTION": Function(
        {"REQUTEXT": "char255"}, {"ECHOTEXT": "char255", "RESPTEXT": "char255"}, {},
        lambda system, unit, p: {"ECHOTEXT": p["REQUTEXT"], "RESPTEXT": "SAP R/3 Rel. 758"},
    ),
    "Z_BOILER_UPDATE": Function(
        {"IV_BOILER_ID": "char10", "IV_EFFICIENCY": "decimal5.2", "IV_FUEL_CONSUMPTION": "int"},
        {"EV_RC": "int"}, {"RETURN": RETURN}, _boiler_update,
    ),
    "Z_BOILER_BOOK": Function({"IV_BOILER_ID": "char10"}, {}, {"RETURN": RETURN}, _boiler_book),
    "Z_ECHO": Function(
        {"IS_ALL": _EVERY_TYPE, "IT_WORDS": ["char5"]},
        {"ES_ALL": _EVERY_TYPE, "ET_WORDS": ["char5"]}, {"CT_ALL": _EVERY_TYPE}, _echo,
    ),
    "/GL002/LOCKED": Function({}, {}, {}, lambda system, unit, p: system.point("", "NOWHERE")),
    "MEASUREM_DOCUM_RFC_SINGLE_001": Function(
        {
            "MEASUREMENT_POINT": "char12", "SECONDARY_INDEX": "char20", "READING_DATE": "date10",
            "READING_TIME": "time8", "SHORT_TEXT": "char40", "READER": "char12",
            "ORIGIN_INDICATOR": "char1", "READING_AFTER_ACTION": "char1",
            "RECORDED_VALUE": "char22", "RECORDED_UNIT": "char6", "DIFFERENCE_READING": "char1",
            "CODE_VERSION": "char6", "CODE_CATALOGUE": "char1", "CODE_GROUP": "char8",
            "VALUATION_CODE": "char4", "CHECK_CUSTOM_DUPREC": "char1",
            "WITH_DIALOG_SCREEN": "char1", "PREPARE_UPDATE": "char1", "COMMIT_WORK": "char1",
            "WAIT_AFTER_COMMIT": "char1", "CREATE_NOTIFICATION": "char1",
            "NOTIFICATION_TYPE": "char2", "NOTIFICATION_PRIO": "char1",
        },
        {
            "MEASUREMENT_DOCUMENT": "char20", "COMPLETE_DOCUMENT": _IMRG, "NOTIFICATION": "char12",
            "CUSTOM_DUPREC_OCCURED": "char1",
        },
        {}, _measure,
    ),
    "BAPI_ALM_NOTIF_CREATE": Function(
        {
            "EXTERNAL_NUMBER": "char12", "NOTIF_TYPE": "char2",
            "NOTIFHEADER": {
                "EQUIPMENT": "char18", "FUNCT_LOC": "char30", "SHORT_TEXT": "char40",
                "PRIORITY": "char1", "STRMLFNDATE": "date10", "STRMLFNTIME": "time8",
                "BREAKDOWN": "char1", "REPORTEDBY": "char12",
            },
            "ORDERID": "char12",
        },
        {"NOTIFHEADER_EXPORT": _EXPORT_HEADER},
        {
            "LONGTEXTS": {
                "OBJTYPE": "char10", "OBJKEY": "numeric8", "FORMAT_COL": "char2",
                "TEXT_LINE": "char132",
            },
            "RETURN": RETURN,
        },
        _notify,
    ),
    "BAPI_ALM_NOTIF_SAVE": Function(
        {"NUMBER": "char12", "TOGETHER_WITH_ORDER": "char1"}, {"NOTIFHEADER": _EXPORT_HEADER},
        {"RETURN": RETURN}, _save,
    ),
    "BAPI_ALM_ORDER_MAINTAIN": Function(
        {}, {},
        {
            "IT_METHODS": {
                "REFNUMBER": "numeric6", "OBJECTTYPE": "char32", "METHOD": "char32",
                "OBJECTKEY": "char90",
            },
            "IT_HEADER": {
                "ORDERID": "char12", "ORDER_TYPE": "char4", "PLANPLANT": "char4",
                "MN_WK_CTR": "char8", "PLANT": "char4", "PMACTTYPE": "char3",
                "FUNCT_LOC": "char30", "EQUIPMENT": "char18", "START_DATE": "date10",
                "PRIORITY": "char1", "SHORT_TEXT": "char40",
            },
            "ET_NUMBERS": {"AUFNR_IN": "char12", "AUFNR_NEW": "char12"}, "RETURN": RETURN,
        },
        _order,
    ),
    "BAPI_MATERIAL_GET_DETAIL": Function(
        {"MATERIAL": "char18", "MATERIAL_LONG": "char40", "PLANT": "char4"},
        {
            "MATERIAL_GENERAL_DATA": {
                "MATL_DESC": "char40", "MATL_TYPE": "char4", "BASE_UOM": "unit3",
                "MATL_GROUP": "char9", "GROSS_WT": "quantum13.3", "NET_WEIGHT": "quantum13.3",
                "UNIT_OF_WT": "unit3",
            },
            "RETURN": _OLD_RETURN,
        },
        {}, _material,
    ),
    "RFC_READ_TABLE": Function(
        {"QUERY_TABLE": "char30", "DELIMITER": "char1", "NO_DATA": "char1", "ROWSKIPS": "int",
         "ROWCOUNT": "int"},
        {}, {
            "OPTIONS": {"TEXT": "char72"},
            "FIELDS": {"FIELDNAME": "char30", "OFFSET": "numeric6", "LENGTH": "numeric6",
                       "TYPE": "char1", "FIELDTEXT": "char60"},
            "DATA": {"WA": "char512"},
        },
        _read_table,
    ),
    "BAPI_TRANSACTION_COMMIT": Function({"WAIT": "char1"}, {"RETURN": RETURN}, {}, _commit),
    "BAPI_TRANSACTION_ROLLBACK": Function({}, {"RETURN": RETURN}, {}, _rollback),
}  # fmt: skip
