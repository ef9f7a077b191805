"""Documents by OData: API_MEASUREMENTDOCUMENT, API_MAINTNOTIFICATION, API_PRODUCT_SRV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gl002.action import Receipt
from gl002.errors import DataError, GL002Error, RequestFailed
from gl002.transport.http.answer import Unreadable
from gl002.transport.sap.documents import Documents, Found, Reading
from gl002.transport.sap.forms import (
    MeasurementForm,
    NotificationForm,
    WorkOrderForm,
    reference,
    there,
)
from gl002.transport.sap.material import Material, of_entity
from gl002.transport.sap.services import Services
from gl002.transport.sap.session import Line
from gl002.wire.multipart import Part, PartAnswer
from gl002.wire.odata import (
    Entity,
    date_field,
    entities,
    entity,
    key_path,
    literal,
    moment_field,
    refusal_in,
    time_field,
)

_MEASUREMENTS, _NOTIFICATIONS, _POINTS = (
    "MeasurementDocument", "MaintenanceNotification", "MeasuringPoint",
)  # fmt: skip
_ORDERS = "MaintenanceOrder"
_PRODUCTS, _DESCRIPTIONS = "A_Product", "to_Description"
_EQUIPMENT, _LOCATION = "EAMS_EQUI", "EAMS_FL"
_NOT_FOUND = 404
_ACCEPT = {"Accept": "application/json"}


class ODataDocuments(Documents):
    """Within a `_call` of the session.

    Args:
        line: of the session.
        services: of it.
    """

    def __init__(self, line: Line, services: Services) -> None:
        self._line = line
        self._services = services
        self._paths = line.config.services
        self._points: dict[str, str] = {}

    # ---- measurement documents --------------------------------------------------------------

    async def plan_measurement(self, form: MeasurementForm, key: str) -> str:
        """The request that `make_measurement` would send."""
        fields = await self._measurement(form, key)
        return self._plan(self._paths.measurements, _MEASUREMENTS, fields)

    async def find_measurement(self, form: MeasurementForm, key: str) -> Receipt | None:
        """The document with this key in its text."""
        found = await self._services.query(
            self._paths.measurements, _MEASUREMENTS, await self._wanted(form, key),
            what="find a measurement document",
        )  # fmt: skip
        return _with_key(found, key)

    async def _wanted(self, form: MeasurementForm, key: str) -> list[tuple[str, str]]:
        moment = there(form.timestamp, self._line.config.zone)
        wanted = (
            f"MeasuringPoint eq {literal(await self._point(form))} and "
            f"MsmtRdngDate eq {date_field(moment, 4)} and "
            f"(MeasurementDocumentText eq {literal(key)} or "  # '1' is not '10'
            f"startswith(MeasurementDocumentText,{literal(f'{key} ')}))"
        )
        fields = "MeasurementDocument,MeasurementDocumentText"
        return [("$filter", wanted), ("$select", fields), ("$top", "10")]

    async def make_measurement(self, form: MeasurementForm, key: str) -> Receipt:
        """Make the document; sent once."""
        made = await self._services.create(
            self._paths.measurements, _MEASUREMENTS, await self._measurement(form, key),
            what="create a measurement document",
        )  # fmt: skip
        return Receipt(number=_number(made.fields, "MeasurementDocument"), detail="by OData")

    async def find_measurements(self, items: Sequence[Reading]) -> list[Found]:
        """In one batch."""
        found: list[Found] = [None] * len(items)
        parts: dict[int, Part] = {}
        for place, item in enumerate(items):
            try:
                query = urlencode(await self._wanted(*item), quote_via=quote)
            except DataError as error:  # there is no such point
                found[place] = error
            else:
                parts[place] = Part("GET", f"{_MEASUREMENTS}?{query}", _ACCEPT)
        what = f"find {len(parts)} measurement documents"
        answers = await self._answers(parts, what)
        for place, answer in answers.items():
            found[place] = (
                _with_key(entities(_json(answer.body)), items[place][1])
                if answer.ok
                else self._refused(answer, what)
            )
        return found

    async def make_measurements(self, items: Sequence[Reading]) -> list[Receipt | GL002Error]:
        """In one batch, each a change set of its own; sent once."""
        parts = {
            place: Part(
                "POST", _MEASUREMENTS, {**_ACCEPT, "Content-Type": "application/json"},
                msgspec.json.encode(await self._measurement(*item)),
            )
            for place, item in enumerate(items)
        }  # fmt: skip
        what = f"create {len(parts)} measurement documents"
        answers = await self._answers(parts, what)
        return [self._made_in(answer, what) for answer in answers.values()]

    def _made_in(self, answer: PartAnswer, what: str) -> Receipt | GL002Error:
        """The document of one answer, or what is wrong with it: the others are not its affair."""
        if not answer.ok:
            return self._refused(answer, what)
        try:
            number = _number(entity(_json(answer.body)).fields, "MeasurementDocument")
        except RequestFailed as error:
            return Unreadable(f"{what}: {error.args[0]}: it may have been done, ask again")
        return Receipt(number=number, detail="by OData")

    async def _answers(self, parts: Mapping[int, Part], what: str) -> dict[int, PartAnswer]:
        service = self._paths.measurements
        await self._services.open(service)
        answers = await self._services.batch(service, list(parts.values()), what=what)
        return dict(zip(parts, answers, strict=True))

    def _refused(self, answer: PartAnswer, what: str) -> GL002Error:
        said = refusal_in(answer.body)
        known = self._line.refused(answer.status, said, what)
        return known or RequestFailed(f"{what}: {answer.status} {said or ''}")

    async def _measurement(self, form: MeasurementForm, key: str) -> dict[str, Any]:
        moment = there(form.timestamp, self._line.config.zone)
        fields = {
            "MeasuringPoint": await self._point(form),
            "MsmtRdngDate": date_field(moment, 4),
            "MsmtRdngTime": time_field(moment.time(), 4),
            "MeasurementReadingInEntryUoM": form.value,
            "MeasurementReadingEntryUoM": form.unit,
            "MeasurementDocumentText": form.short_text(key),
            "MsmtRdngByUser": form.reader,
        }
        return {name: value for name, value in fields.items() if value != ""}

    async def _point(self, form: MeasurementForm) -> str:
        """Number of a measuring point that is named by its position.

        Raises:
            DataError: there is none, or more than one.
        """
        if form.number:
            return form.number
        if form.point not in self._points:
            query = [
                ("$filter", f"MeasuringPointPositionNumber eq {literal(form.point)}"),
                ("$select", "MeasuringPoint"), ("$top", "2"),
            ]  # fmt: skip
            found = await self._services.query(
                self._paths.points, _POINTS, query, what=f"find the measuring point {form.point}"
            )
            if len(found) != 1:
                raise DataError(
                    f"{'more than one' if found else 'no'} measuring point has the position "
                    f"'{form.point}'",
                    hint="IK03 shows its number",
                )
            self._points[form.point] = _number(found[0].fields, "MeasuringPoint")
        return self._points[form.point]

    # ---- notifications ----------------------------------------------------------------------

    async def plan_notification(self, form: NotificationForm, key: str) -> str:
        """The request that `make_notification` would send."""
        await self._services.open(self._paths.notifications)
        return self._plan(self._paths.notifications, _NOTIFICATIONS, self._notification(form, key))

    async def find_notification(self, form: NotificationForm, key: str) -> Receipt | None:
        """The notification with this key as its external reference; or, by BAPI, in its text."""
        mark = reference(key)
        by_function = (
            f"NotificationType eq {literal(form.type)} and "
            f"endswith(NotificationText,{literal(f' {mark}')})"
        )
        for wanted in (f"MaintNotifExtReferenceNumber eq {literal(mark)}", by_function):
            query = [("$filter", wanted), ("$select", "MaintenanceNotification"), ("$top", "1")]
            found = await self._services.query(
                self._paths.notifications, _NOTIFICATIONS, query, what="find a notification"
            )
            if found:
                number = _number(found[0].fields, "MaintenanceNotification")
                return Receipt(number=number, already=True)
        return None

    async def make_notification(self, form: NotificationForm, key: str) -> Receipt:
        """Make the notification; sent once."""
        made = await self._services.create(
            self._paths.notifications, _NOTIFICATIONS, self._notification(form, key),
            what="create a notification",
        )  # fmt: skip
        return Receipt(number=_number(made.fields, "MaintenanceNotification"), detail="by OData")

    def _notification(self, form: NotificationForm, key: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "NotificationType": form.type,
            "NotificationText": form.text,
            "TechnicalObject": form.equipment or form.functional_location,
            "TechObjIsEquipOrFuncnlLoc": _EQUIPMENT if form.equipment else _LOCATION,
            "MaintPriority": form.priority,
            "ReportedByUser": form.reported_by,
            "MaintNotifExtReferenceNumber": reference(key),
            "MaintNotifLongTextForEdit": form.body(key),
        }
        if form.breakdown:
            fields["MaintenanceObjectIsDown"] = True
        if form.start is not None:
            moment = there(form.start, self._line.config.zone)
            fields["MalfunctionStartDate"] = date_field(moment, 2)
            fields["MalfunctionStartTime"] = time_field(moment.time(), 2)
        return {name: value for name, value in fields.items() if value != ""}

    # ---- orders -----------------------------------------------------------------------------

    async def plan_order(self, form: WorkOrderForm, key: str) -> str:
        """The request that `make_order` would send."""
        await self._services.open(self._paths.orders)
        return self._plan(self._paths.orders, _ORDERS, self._order(form, key))

    async def find_order(self, form: WorkOrderForm, key: str) -> Receipt | None:
        """The order whose description ends with this key."""
        mark = reference(key)
        wanted = (
            f"MaintenanceOrderType eq {literal(form.type)} and "
            f"endswith(MaintenanceOrderDesc,{literal(f' {mark}')})"
        )
        fields = "MaintenanceOrder,MaintenanceOrderDesc"
        query = [("$filter", wanted), ("$select", fields), ("$top", "10")]
        found = await self._services.query(self._paths.orders, _ORDERS, query, what="find an order")
        for one in found:
            if str(one.fields.get("MaintenanceOrderDesc", "")).rsplit(" ", 1)[-1] == mark:
                return Receipt(number=_number(one.fields, "MaintenanceOrder"), already=True)
        return None

    async def make_order(self, form: WorkOrderForm, key: str) -> Receipt:
        """Make the order; sent once."""
        made = await self._services.create(
            self._paths.orders, _ORDERS, self._order(form, key), what="create an order"
        )
        return Receipt(number=_number(made.fields, "MaintenanceOrder"), detail="by OData")

    def _order(self, form: WorkOrderForm, key: str) -> dict[str, Any]:
        fields = {
            "MaintenanceOrderType": form.type,
            "MaintenanceOrderDesc": form.marked(key),
            "Equipment": form.equipment,
            "FunctionalLocation": form.functional_location,
            "MaintenancePlanningPlant": form.planning_plant,
            "MainWorkCenter": form.work_center,
            "MaintenanceActivityType": form.activity_type,
            "MaintPriority": form.priority,
        }
        if form.start is not None:
            fields["MaintOrdBasicStartDateTime"] = moment_field(form.start)
        return {name: value for name, value in fields.items() if value != ""}

    def _plan(self, service: str, collection: str, fields: dict[str, Any]) -> str:
        body = msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()
        return f"POST {self._line.config.base_url}{service}/{collection}\n{body}"

    # ---- materials --------------------------------------------------------------------------

    async def material(self, number: str) -> Material:
        """The material master.

        Raises:
            TagNotFound: there is no such material.
        """
        found = await self._services.get(
            self._paths.products, key_path(_PRODUCTS, number), [("$expand", _DESCRIPTIONS)],
            what=f"read material {number}",
        )  # fmt: skip
        return of_entity(found, self._line.config.lang)

    async def materials(self, numbers: Sequence[str]) -> list[Material | None]:
        """Many in one batch; None for those that SAP does not have."""
        parts = [
            Part("GET", f"{key_path(_PRODUCTS, n)}?$expand={_DESCRIPTIONS}", _ACCEPT)
            for n in numbers
        ]
        what = f"read {len(numbers)} materials"
        answers = await self._services.batch(self._paths.products, parts, what=what)
        return [self._material_in(answer, what) for answer in answers]

    def _material_in(self, answer: PartAnswer, what: str) -> Material | None:
        if answer.ok:
            return of_entity(entity(_json(answer.body)), self._line.config.lang)
        if answer.status == _NOT_FOUND:
            return None
        raise self._refused(answer, what)


def _with_key(found: Sequence[Entity], key: str) -> Receipt | None:
    for one in found:
        if str(one.fields.get("MeasurementDocumentText", "")).split(" ")[0] == key:
            return Receipt(number=_number(one.fields, "MeasurementDocument"), already=True)
    return None


def _number(fields: Any, name: str) -> str:
    """The number of what was made.

    Raises:
        RequestFailed: the answer has none.
    """
    number = str(fields.get(name) or "")
    if not number:
        raise Unreadable(f"SAP's answer has no {name}")
    return number


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestFailed(f"an answer within a batch that cannot be read: {error}") from None
