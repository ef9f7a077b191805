"""Fusion Maintenance: work orders and meter readings over REST.

Resources and fields: Oracle's "REST API for Oracle Supply Chain Management Cloud", Maintenance Work
Orders (`maintenanceWorkOrders`) and Meter Readings (`meterReadings`, finder
MetersByAssetMeterUserKey). The key of an action is the number of its work order, which is unique
in an organization; in a reading it stands in the comments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from gl002.errors import DataError, GL002Error, RequestFailed
from gl002.transport.http.answer import Answer, Unreadable, refusal
from gl002.transport.http.client import Request
from gl002.transport.oracle.maintenance import (
    AssetPerformanceForm,
    MeterReading,
    WorkOrder,
    WorkOrderForm,
    numbered_otherwise,
    several,
)
from gl002.transport.oracle.settings import OracleConfig

T = TypeVar("T")

VERSION = "11.13.18.05"
"""Of the resources; the same in every release since 2018."""
_ROOT = f"fscmRestApi/resources/{VERSION}/"
_ORDERS, _READINGS = f"{_ROOT}maintenanceWorkOrders", f"{_ROOT}meterReadings"
_HEADERS = {"Content-Type": "application/json", "REST-Framework-Version": "4"}
_PAGE, _MOST_PAGES = 200, 25
_BAD_INPUT = {400, 422}
_EARLIER = timedelta(minutes=5)  # than an action's time no reading of it is
_LONGEST = timedelta(days=31)  # for which one that has no time is looked for
_FORBIDDEN_IN_QUERIES = set("\"';,=&")


class _Order(msgspec.Struct, rename="pascal"):
    work_order_id: int
    work_order_number: str
    work_order_status: str | None = None
    work_order_status_code: str | None = None


class _Reading(msgspec.Struct, rename="pascal"):
    meter_reading_id: int
    reading_value: float | None = None
    reading_date: str | None = None
    comments: str | None = None


class _Orders(msgspec.Struct):
    items: list[_Order]


class _Readings(msgspec.Struct, rename="camel"):
    items: list[_Reading]
    has_more: bool = False


class Send(Protocol):
    """How a request reaches Fusion; a refusal is an error."""

    def __call__(self, request: Request, *, what: str) -> Awaitable[Answer]:
        """One attempt."""


class FusionMaintenance:
    """Fusion behind its REST services.

    Args:
        config: where, and as whom.
        connect: opens the HTTP session.
        disconnect: closes it.
        send: sends one request.
    """

    def __init__(
        self,
        config: OracleConfig,
        *,
        connect: Callable[[], Awaitable[None]],
        disconnect: Callable[[], Awaitable[None]],
        send: Send,
    ) -> None:
        self._config = config
        self._connect = connect
        self._disconnect = disconnect
        self._send = send

    async def open(self) -> None:
        """Open the session and ask something small, which shows our rights."""
        await self._connect()

    async def shut(self) -> None:
        """Close the session; safe twice."""
        await self._disconnect()

    async def greet(self) -> None:
        """One cheap request."""
        query = [("limit", "1"), ("fields", "WorkOrderId"), ("onlyData", "true")]
        await self._send(Request("GET", _ORDERS, query, _HEADERS), what="connect")

    async def ping(self) -> str:
        """One round trip."""
        await self.greet()
        return f"Fusion Maintenance, REST {VERSION}"

    # ---- work orders ------------------------------------------------------------------------

    def rehearse_order(self, form: WorkOrderForm, key: str) -> str:
        """What would be sent."""
        return f"POST {_ORDERS}\n{_pretty(self._order_body(form, key))}"

    def _order_body(self, form: WorkOrderForm, key: str) -> dict[str, Any]:
        """As the resource takes it.

        Raises:
            DataError: the organization is not configured.
        """
        if not self._config.organization:
            raise DataError(
                "Fusion takes a work order for an organization",
                hint="set 'organization' to the code of the one that maintains the asset",
            )
        body: dict[str, Any] = {
            "OrganizationCode": self._config.organization,
            "AssetNumber": form.asset_number,
            "WorkOrderDescription": form.description,
            "WorkOrderTypeCode": _code(form.type) or "CORRECTIVE",
            "WorkOrderStatusCode": _status(form.status or self._config.work_order_status),
            "PlannedStartDate": _time(form.start),
        }
        if form.completion_date is not None:
            body["PlannedCompletionDate"] = _time(form.completion_date)
        if form.priority is not None:
            body["WorkOrderPriority"] = form.priority
        if key:
            body["WorkOrderNumber"] = key
        return body

    async def find_order(self, key: str) -> WorkOrder | None:
        """The order with this number."""
        query = [("q", f"WorkOrderNumber='{_plain(key, 'key')}'"), ("onlyData", "true")]
        answer = await self._send(Request("GET", _ORDERS, query, _HEADERS), what="find work order")
        orders: list[_Order] = [o for o in answer.json(_Orders).items if o.work_order_number == key]
        if len(orders) > 1:
            raise several(len(orders), key)
        return _order(orders[0]) if orders else None

    async def create_order(self, form: WorkOrderForm, key: str) -> WorkOrder:
        """Make it."""
        request = _post(_ORDERS, self._order_body(form, key))
        answer = await self._send(request, what="create work order")
        return _order(_made(answer, _Order, "create work order"), wanted=key)

    # ---- readings ---------------------------------------------------------------------------

    def rehearse_readings(self, form: AssetPerformanceForm, key: str) -> str:
        """What would be sent."""
        bodies = [self._reading_body(form, key, quantity) for quantity in form.quantities]
        return "\n".join(f"POST {_READINGS}\n{_pretty(body)}" for body in bodies)

    def _meter(self, quantity: str) -> str:
        return self._config.meters.get(quantity, quantity.upper())

    def _reading_body(self, form: AssetPerformanceForm, key: str, quantity: str) -> dict[str, Any]:
        return {
            "AssetNumber": form.asset_number,
            "MeterCode": self._meter(quantity),
            "ReadingValue": form.quantities[quantity],
            "ReadingDate": _time(form.at),
            "Comments": _comment(key),
        }

    async def find_readings(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """The readings of these meters whose comment is the key; all of them, or none."""
        found = [await self._find_reading(form, key, quantity) for quantity in form.quantities]
        there = [reading for reading in found if reading is not None]
        return there if len(there) == len(found) else []

    async def _find_reading(
        self, form: AssetPerformanceForm, key: str, quantity: str
    ) -> MeterReading | None:
        meter = self._meter(quantity)
        finder = (
            f"MetersByAssetMeterUserKey;AssetNumber={_plain(form.asset_number, 'asset_number')},"
            f"MeterCode={_plain(meter, quantity)}"
        )
        # Without a time the reading has that of the try which recorded it, whenever that was
        oldest = form.at - (_EARLIER if form.time is not None else _LONGEST)
        for page in range(_MOST_PAGES):
            query = [
                ("finder", finder), ("onlyData", "true"), ("orderBy", "ReadingDate:desc"),
                ("limit", str(_PAGE)), ("offset", str(page * _PAGE)),
            ]  # fmt: skip
            request = Request("GET", _READINGS, query, _HEADERS)
            answer = await self._send(request, what="find meter reading")
            readings: _Readings = answer.json(_Readings)
            for reading in readings.items:
                if reading.comments == _comment(key):
                    return MeterReading(
                        id=reading.meter_reading_id, meter=meter, value=reading.reading_value or 0.0
                    )
            if not readings.has_more or _is_before(readings.items, oldest):
                return None
        raise RequestFailed(
            f"more than {_PAGE * _MOST_PAGES} readings of meter '{meter}' since {oldest}",
            hint="whether this one is among them cannot be told; give the action a 'time'",
        )

    async def record(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """Record, one by one, what an earlier try has not."""
        made = []
        for quantity, value in form.quantities.items():
            there = await self._find_reading(form, key, quantity) if key else None
            if there is None:
                request = _post(_READINGS, self._reading_body(form, key, quantity))
                answer = await self._send(request, what=f"record {quantity}")
                number = _made(answer, _Reading, f"record {quantity}").meter_reading_id
                there = MeterReading(id=number, meter=self._meter(quantity), value=value)
            made.append(there)
        return made


def _made(answer: Answer, kind: type[T], what: str) -> T:
    """What a request has made.

    Raises:
        Unreadable: it was taken, and the answer does not tell.
    """
    try:
        made: T = answer.json(kind)
    except RequestFailed as error:
        raise Unreadable(f"{what}: {error.args[0]}", hint=error.hint) from None
    return made


def refused(answer: Answer, what: str) -> GL002Error:
    """What a refusal of Fusion's means; its body is text, or JSON with `o:errorDetails`."""
    said = ""
    if "json" in answer.content_type:
        said = _said(answer)
    if answer.status in _BAD_INPUT:
        return DataError(f"{what}: Oracle refuses it: {said or answer.excerpt()}")
    return refusal(answer, what, said)


def _said(answer: Answer) -> str:
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(body, Mapping):
        return ""
    details = body.get("o:errorDetails")
    texts = [str(d.get("detail", "")) for d in details or () if isinstance(d, Mapping)]
    return "; ".join(t for t in texts if t) or str(body.get("detail") or body.get("title") or "")


def _post(path: str, body: Mapping[str, Any]) -> Request:
    return Request("POST", path, (), _HEADERS, msgspec.json.encode(body))


def _pretty(body: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(body)).decode()


def _order(found: _Order, *, wanted: str = "") -> WorkOrder:
    number = found.work_order_number
    return WorkOrder(
        number=number,
        id=found.work_order_id,
        status=found.work_order_status or found.work_order_status_code or "",
        warnings=numbered_otherwise(number, wanted),
    )


def _code(text: str) -> str:
    return "_".join(text.upper().split())


def _status(text: str) -> str:
    """'Unreleased' and 'ORA_UNRELEASED' both are the latter; a code of the site's stays."""
    seeded = {
        "UNRELEASED", "RELEASED", "ON_HOLD", "COMPLETED", "CLOSED", "CANCELED", "PENDING_APPROVAL",
    }  # fmt: skip
    code = _code(text)
    return f"ORA_{code}" if code in seeded else code


def _comment(key: str) -> str:
    return f"GL-002 {key}".rstrip()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _is_before(readings: Sequence[_Reading], moment: datetime) -> bool:
    """Whether the last of a page, newest first, is older than a time."""
    if not readings or not readings[-1].reading_date:
        return False
    try:
        last = datetime.fromisoformat(readings[-1].reading_date)
    except ValueError:
        return False
    return last.astimezone(UTC) < moment.astimezone(UTC)


def _plain(text: str, field: str) -> str:
    """A value in a query of Fusion's, which has no way to escape.

    Raises:
        DataError: it holds a character that has a meaning there.
    """
    wrong = _FORBIDDEN_IN_QUERIES & set(text)
    if wrong or not text.isprintable():
        raise DataError(f"{field}: '{text}' holds a character that Fusion cannot be asked for")
    return text
