"""Documents by functions, where there is no OData: measurement documents, notifications, materials.

MEASUREM_DOCUM_RFC_SINGLE_001 commits by itself, so it goes over any way. A notification takes three
calls in one unit: BAPI_ALM_NOTIF_CREATE, BAPI_ALM_NOTIF_SAVE, BAPI_TRANSACTION_COMMIT.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gl002.action import Receipt
from gl002.errors import Busy, DataError, TagNotFound
from gl002.transport.http.answer import Unreadable
from gl002.transport.sap.calling import Functions, committed, judged
from gl002.transport.sap.documents import Documents
from gl002.transport.sap.forms import (
    MeasurementForm,
    NotificationForm,
    WorkOrderForm,
    reference,
    there,
)
from gl002.transport.sap.functions import COMMIT, Unit
from gl002.transport.sap.material import Material, of_function
from gl002.transport.sap.session import Line
from gl002.wire import bapi

_MEASURE = "MEASUREM_DOCUM_RFC_SINGLE_001"
_NOTE, _SAVE = "BAPI_ALM_NOTIF_CREATE", "BAPI_ALM_NOTIF_SAVE"
_ORDER = "BAPI_ALM_ORDER_MAINTAIN"
_FOR_NOW = "%00000000001"  # number of an order that is not there yet
_MATERIAL = "BAPI_MATERIAL_GET_DETAIL"
_READ = "RFC_READ_TABLE"
_OPTION = 72  # characters of a line of a condition
_LINE = 132  # characters of a line of a long text
_MATERIAL_LENGTH = 18  # longer numbers have a parameter of their own (S/4HANA)


class FunctionDocuments(Documents):
    """Within a `_call` of the session.

    Args:
        line: of the session.
        functions: how they are called.
    """

    def __init__(self, line: Line, functions: Functions) -> None:
        self._line = line
        self._functions = functions

    # ---- measurement documents --------------------------------------------------------------

    async def plan_measurement(self, form: MeasurementForm, key: str) -> str:
        """The call that `make_measurement` would make."""
        return _plan(_MEASURE, self._measurement(form, key))

    async def find_measurement(self, form: MeasurementForm, key: str) -> Receipt | None:
        """The document with this key in its text, out of table IMRG."""
        day = there(form.timestamp, self._line.config.zone)
        point = [f"POINT EQ '{form.number}' AND"] if form.number else []
        text = [f"AND ( MDTXT EQ '{key}'", f"OR MDTXT LIKE '{key} %' )"]  # '1' is not '10'
        return await self._find("IMRG", "MDOCM", [*point, f"IDATE EQ '{day:%Y%m%d}'", *text])

    async def make_measurement(self, form: MeasurementForm, key: str) -> Receipt:
        """Make the document; SAP itself refuses a second one of the same point and second.

        Raises:
            DataError: there is one of the same second with another key.
        """
        result = await self._functions.call(_MEASURE, self._measurement(form, key))
        number = str(result.get("MEASUREMENT_DOCUMENT", ""))
        if result.get("CUSTOM_DUPREC_OCCURED") == "X":
            document = result.get("COMPLETE_DOCUMENT")
            text = str(document.get("MDTXT", "")) if isinstance(document, Mapping) else ""
            if text.split(" ")[0] != key:
                raise DataError(
                    f"{_MEASURE}: point {form.point} has another document of that second: {number}"
                )
            return Receipt(number=number, already=True)
        if not number:
            raise Unreadable(f"{_MEASURE}: SAP's answer has no number")
        return Receipt(number=number, detail=f"by {_MEASURE}")

    def _measurement(self, form: MeasurementForm, key: str) -> dict[str, Any]:
        config = self._line.config
        moment = there(form.timestamp, config.zone)
        parameters = {
            "MEASUREMENT_POINT": form.number,
            "SECONDARY_INDEX": "" if form.number else form.point,
            "READING_DATE": moment.date(),
            "READING_TIME": moment.time().replace(microsecond=0),
            "SHORT_TEXT": form.short_text(key),
            "READER": form.reader,
            "ORIGIN_INDICATOR": "A",  # transfer from an interface, without dialog
            "RECORDED_VALUE": form.written(config.decimal_point),
            "RECORDED_UNIT": form.unit,
            "CHECK_CUSTOM_DUPREC": "X",
            "PREPARE_UPDATE": "X",
            "COMMIT_WORK": "X",
            "WAIT_AFTER_COMMIT": "X",
        }
        return {name: value for name, value in parameters.items() if value != ""}

    # ---- notifications ----------------------------------------------------------------------

    async def plan_notification(self, form: NotificationForm, key: str) -> str:
        """The calls that `make_notification` would make."""
        return f"{_plan(_NOTE, self._notification(form, key))}\n{_SAVE}\n{COMMIT}"

    async def find_notification(self, form: NotificationForm, key: str) -> Receipt | None:
        """The notification with this key, out of table QMEL.

        Its text ends with it; or, made by OData, it has it as external reference number.
        """
        mark = reference(key)
        wanted = [f"AND ( QMTXT LIKE '% {mark}'", f"OR REFNUM EQ '{mark}' )"]
        return await self._find("QMEL", "QMNUM", [f"QMART EQ '{form.type}'", *wanted])

    async def make_notification(self, form: NotificationForm, key: str) -> Receipt:
        """Make the notification, or nothing.

        Raises:
            Unsupported: SAP gives us no session over SOAP; nothing was called.
        """
        async with self._committed() as unit:
            created, said = await judged(unit, _NOTE, self._notification(form, key))
            number = _header(created, "NOTIFHEADER_EXPORT")  # for the time being, '%00000000001'
            saved, more = await judged(unit, _SAVE, {"NUMBER": number})
            final = _header(saved, "NOTIFHEADER")
        detail = "; ".join([f"by {_NOTE}", *said, *more])
        return Receipt(number=final, detail=detail)

    def _notification(self, form: NotificationForm, key: str) -> dict[str, Any]:
        header: dict[str, Any] = {
            "EQUIPMENT": form.equipment_number,
            "FUNCT_LOC": form.functional_location,
            "SHORT_TEXT": form.marked(key),
            "PRIORITY": form.priority,
            "REPORTEDBY": form.reported_by,
            "BREAKDOWN": "X" if form.breakdown else "",
        }
        if form.start is not None:
            moment = there(form.start, self._line.config.zone)
            header["STRMLFNDATE"] = moment.date()
            header["STRMLFNTIME"] = moment.time().replace(microsecond=0)
        lines = [form.text, *form.body(key).splitlines()]
        return {
            "NOTIF_TYPE": form.type,
            "NOTIFHEADER": {name: value for name, value in header.items() if value != ""},
            "LONGTEXTS": [
                {"OBJTYPE": "QMEL", "OBJKEY": "0", "FORMAT_COL": "*", "TEXT_LINE": piece}
                for line in lines
                for piece in _pieces(line)
            ],
        }

    # ---- orders -----------------------------------------------------------------------------

    async def plan_order(self, form: WorkOrderForm, key: str) -> str:
        """The calls that `make_order` would make."""
        return f"{_plan(_ORDER, self._order(form, key))}\n{COMMIT}"

    async def find_order(self, form: WorkOrderForm, key: str) -> Receipt | None:
        """The order whose text ends with this key, out of table AUFK."""
        wanted = f"AND KTEXT LIKE '% {reference(key)}'"
        return await self._find("AUFK", "AUFNR", [f"AUART EQ '{form.type}'", wanted])

    async def make_order(self, form: WorkOrderForm, key: str) -> Receipt:
        """Make the order, or nothing.

        Raises:
            Unsupported: SAP gives us no session over SOAP; nothing was called.
        """
        async with self._committed() as unit:
            made, said = await judged(unit, _ORDER, self._order(form, key))
        numbers = [row.get("AUFNR_NEW", "") for row in made.get("ET_NUMBERS", [])]
        number = next(filter(None, numbers), "")
        if not number:
            raise Unreadable(f"{_ORDER}: SAP's answer has no number")
        return Receipt(number=str(number), detail="; ".join([f"by {_ORDER}", *said]))

    def _order(self, form: WorkOrderForm, key: str) -> dict[str, Any]:
        header: dict[str, Any] = {
            "ORDERID": _FOR_NOW,
            "ORDER_TYPE": form.type,
            "PLANPLANT": form.planning_plant,
            "MN_WK_CTR": form.work_center,
            "PMACTTYPE": form.activity_type,
            "FUNCT_LOC": form.functional_location,
            "EQUIPMENT": form.equipment_number,
            "START_DATE": there(form.start, self._line.config.zone).date() if form.start else "",
            "PRIORITY": form.priority,
            "SHORT_TEXT": form.marked(key),
        }
        create = {"REFNUMBER": 1, "OBJECTTYPE": "HEADER", "METHOD": "CREATE"}
        return {
            "IT_METHODS": [{**create, "OBJECTKEY": _FOR_NOW}, {"METHOD": "SAVE"}],
            "IT_HEADER": [{name: value for name, value in header.items() if value != ""}],
            "ET_NUMBERS": [],
            "RETURN": [],
        }

    # ---- materials --------------------------------------------------------------------------

    async def material(self, number: str) -> Material:
        """The material master.

        Raises:
            TagNotFound: there is no such material.
        """
        name = "MATERIAL" if len(number) <= _MATERIAL_LENGTH else "MATERIAL_LONG"
        given = number.zfill(_MATERIAL_LENGTH) if number.isdigit() else number
        result = await self._functions.call(_MATERIAL, {name: given})
        failed = bapi.failure(bapi.messages(result), f"read material {number}")
        if isinstance(failed, Busy):
            raise failed  # it is there, and somebody has it open
        data = result.get("MATERIAL_GENERAL_DATA")
        if failed is not None or not isinstance(data, Mapping):
            raise TagNotFound(str(failed.args[0]) if failed else f"read material {number}: nothing")
        return of_function(number, data)

    async def materials(self, numbers: Sequence[str]) -> list[Material | None]:
        """One after the other; None for those that SAP does not have."""
        found: list[Material | None] = []
        for number in numbers:
            try:
                found.append(await self.material(number))
            except TagNotFound:
                found.append(None)
        return found

    # ---- units and tables -------------------------------------------------------------------

    @asynccontextmanager
    async def _committed(self) -> AsyncIterator[Unit]:
        """Calls that are committed at the end, together; after an error none of them is."""
        async with self._functions.unit() as unit:
            yield unit
            await committed(unit)

    async def _find(self, table: str, number: str, conditions: Sequence[str]) -> Receipt | None:
        """The document that the conditions name, out of its table by RFC_READ_TABLE.

        Args:
            table: of the documents.
            number: the field that has their numbers.
            conditions: lines of Open SQL that fit no other document.
        """
        assert all(len(line) <= _OPTION for line in conditions), conditions
        result = await self._functions.call(_READ, {
            "QUERY_TABLE": table, "DELIMITER": "|", "ROWCOUNT": 1,
            "OPTIONS": [{"TEXT": line} for line in conditions],
            "FIELDS": [{"FIELDNAME": number}],
        })  # fmt: skip
        found = [str(row.get("WA", "")).strip() for row in result.get("DATA", [])]
        return Receipt(number=found[0], already=True) if found and found[0] else None


def _header(result: Mapping[str, Any], name: str) -> str:
    header = result.get(name)
    number = str(header.get("NOTIF_NO", "")) if isinstance(header, Mapping) else ""
    if not number:
        raise Unreadable(f"SAP's answer has no {name}-NOTIF_NO")
    return number


def _pieces(line: str) -> Iterator[str]:
    """A line as lines of SAP's length."""
    for start in range(0, max(len(line), 1), _LINE):
        yield line[start : start + _LINE]


def _plan(function: str, parameters: Mapping[str, Any]) -> str:
    lines = [f"  {name} = {value!r}" for name, value in parameters.items()]
    return "\n".join([function, *lines])
