"""E-Business Suite 12: work orders and meter readings by the public packages of its database.

Readings go through an open interface table instead where it is configured.

One call is one transaction: whatever several packages do is committed once, or rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from gl002.errors import AuthFailed, Busy, DataError, RequestFailed
from gl002.transport.oracle import statements
from gl002.transport.oracle.database import Call, Database
from gl002.transport.oracle.maintenance import (
    AssetPerformanceForm,
    MeterReading,
    WorkOrder,
    WorkOrderForm,
    key_or_text,
    numbered_otherwise,
    several,
)
from gl002.transport.oracle.open_interface import NewReading, OpenInterface
from gl002.transport.oracle.settings import OracleConfig

_SUCCESS, _REFUSED = "S", {"E", "F"}
_ASSET_GROUP = 1  # EAM_ITEM_TYPE of an asset; 3 is that of a rebuildable
_ORDER_OUTS: Mapping[str, type] = {
    "return_status": str, "message_count": int, "made_id": int, "made_name": str, "messages": str,
}  # fmt: skip
_READING_OUTS: Mapping[str, type] = {
    "return_status": str, "message_count": int, "reading_id": int, "messages": str,
}  # fmt: skip
_SHOWN = 10  # meters that a message names


class _Asset(NamedTuple):
    id: int
    serial_number: str | None
    item: int
    item_type: int
    organization: int


class _Meter(NamedTuple):
    id: int
    name: str
    template: str


class EBusinessSuite:
    """E-Business Suite behind its database.

    Args:
        config: where, and as whom.
        database: its session.
    """

    def __init__(self, config: OracleConfig, database: Database) -> None:
        self._config = config
        self._base = database
        self._context = ""
        self._user = -1  # of the applications
        interface = config.readings_interface
        self._interface = OpenInterface(config, interface) if interface is not None else None

    # ---- a session --------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, log in, and become the applications' user.

        Raises:
            AuthFailed: the user or the responsibility is not there.
        """
        await self._base.open()
        await self._base.run(self._initialise)

    async def shut(self) -> None:
        """Disconnect; safe twice."""
        await self._base.shut()

    async def ping(self) -> str:
        """One round trip, which also shows that the interface table is there for us."""

        async def look(call: Call) -> str:
            if self._interface is None:
                await call.ping()
                return ""
            return await self._interface.ping(call)

        more = await self._base.run(look)
        return f"E-Business Suite on Oracle {self._base.version}, as {self._context}{more}"

    async def _initialise(self, call: Call) -> None:
        c = self._config
        rows = await call.query(statements.CONTEXT, {"user_name": c.apps_user.upper()})
        wanted = c.responsibility
        fits = [r for r in rows if not wanted or key_or_text(r[3], r[4], wanted)]
        if len(fits) != 1:
            raise AuthFailed(
                f"the applications user {c.apps_user.upper()} "
                + (f"has no responsibility '{wanted}'" if wanted and not fits
                   else f"has {len(fits) or 'no'} responsibilities"),
                hint="'responsibility' names one of: "
                + (", ".join(str(r[3]) for r in rows) or "none: give the user one"),
            )  # fmt: skip
        user, responsibility, application, key, _, group = fits[0]
        await call.block(statements.INITIALIZE,
            {"user_id": user, "resp_id": responsibility, "resp_appl_id": application,
             "security_group_id": group or 0}, {},
        )  # fmt: skip
        if c.operating_unit is not None:
            await call.block(statements.OPERATING_UNIT, {"org_id": c.operating_unit}, {})
        self._user, self._context = int(user), f"{c.apps_user.upper()} with {key}"

    # ---- work orders ------------------------------------------------------------------------

    def rehearse_order(self, form: WorkOrderForm, key: str) -> str:
        """What would be sent."""
        return _shown(
            "EAM_PROCESS_WO_PUB.PROCESS_WO (create)",
            {
                "wip_entity_name": key or "(numbered there)",
                "asset": form.asset_number,
                "description": form.description,
                "work_order_type": form.type or "(none)",
                "status": form.status or self._config.work_order_status,
                "priority": form.priority,
                "scheduled_start_date": self._local(form.start),
                "scheduled_completion_date": self._local(form.completion_date),
            },
        )

    async def find_order(self, key: str) -> WorkOrder | None:
        """The order with this number."""
        binds = {"wip_entity_name": key}
        rows = await self._base.run(lambda call: call.query(statements.ORDER, binds))
        if not rows:
            return None
        if len(rows) > 1:
            raise several(len(rows), key)
        number, name, status, meaning = rows[0]
        return WorkOrder(number=name, id=int(number), status=meaning or str(status))

    async def create_order(self, form: WorkOrderForm, key: str) -> WorkOrder:
        """Make it and commit, or roll back."""
        return await self._base.run(lambda call: self._create_order(call, form, key))

    async def _create_order(self, call: Call, form: WorkOrderForm, key: str) -> WorkOrder:
        asset = await self._asset(call, form.asset_number)
        kind = await self._code(call, "WIP_EAM_WORK_ORDER_TYPE", form.type, "type")
        status = form.status or self._config.work_order_status
        code = await self._code(call, "WIP_JOB_STATUS", status, "status")
        is_asset = asset.item_type == _ASSET_GROUP
        binds = {
            "organization_id": asset.organization,
            "wip_entity_name": key or None,
            "description": form.description,
            "instance_id": asset.id,
            "asset_number": asset.serial_number if is_asset else None,
            "asset_group_id": asset.item if is_asset else None,
            "rebuild_serial_number": None if is_asset else asset.serial_number,
            "rebuild_item_id": None if is_asset else asset.item,
            "work_order_type": None if kind is None else str(kind[0]),
            "status_type": None if code is None else int(code[0]),
            "priority": form.priority,
            "scheduled_start_date": self._local(form.start),
            "scheduled_completion_date": self._local(form.completion_date),
        }
        async with call.transaction():
            outs = await _succeeded(call, statements.PROCESS_WO, binds, _ORDER_OUTS)
            number = str(_told(outs, "made_name"))
            return WorkOrder(
                number=number,
                id=int(_told(outs, "made_id")),
                status=code[1] if code else "",
                warnings=(*_lines(outs["messages"]), *numbered_otherwise(number, key)),
            )

    # ---- readings ---------------------------------------------------------------------------

    def rehearse_readings(self, form: AssetPerformanceForm, key: str) -> str:
        """What would be sent."""
        interface = self._config.readings_interface
        return _shown(
            "EAM_METERREADING_PUB.CREATE_METER_READING"
            if interface is None
            else f"INSERT INTO CSI_CTR_READINGS_INTERFACE (batch {interface.batch})",
            {
                "asset": form.asset_number,
                **{f"meter '{self._meter_name(q)}'": v for q, v in form.quantities.items()},
                "current_reading_date": self._local(form.at),
                self._config.key_attribute.lower(): key,
            },
        )

    async def find_readings(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """Readings of the asset's meters that carry the key; all of them, or none."""

        async def look(call: Call) -> Sequence[MeterReading]:
            asset = await self._asset(call, form.asset_number)
            if self._interface is not None:
                found = await self._interface.there(call, asset.id, key)
                return found if len(found) >= len(form.quantities) else []
            binds = {"instance_id": asset.id, "action_key": key}
            rows = await call.query(statements.readings(self._config), binds)
            return [MeterReading(id=int(r[0]), meter=r[1], value=float(r[2])) for r in rows]

        return await self._base.run(look)

    async def record(self, form: AssetPerformanceForm, key: str) -> Sequence[MeterReading]:
        """Record all readings and commit, or none."""
        return await self._base.run(lambda call: self._record(call, form, key))

    async def _record(
        self, call: Call, form: AssetPerformanceForm, key: str
    ) -> Sequence[MeterReading]:
        asset = await self._asset(call, form.asset_number)
        meters = await self._meters(call, asset, form)
        if self._interface is not None:
            at = self._date(form.at)
            new = [
                NewReading(meters[quantity].id, meters[quantity].name, value, at)
                for quantity, value in form.quantities.items()
            ]
            return await self._hand_over(call, asset, new, key)
        made = []
        async with call.transaction():
            for quantity, value in form.quantities.items():
                binds = {
                    "meter_id": meters[quantity].id,
                    "reading": value,
                    "reading_date": self._local(form.at),
                    "description": "GL-002",
                    "action_key": key or None,
                }
                block = statements.create_reading(self._config)
                outs = await _succeeded(call, block, binds, _READING_OUTS)
                made.append(
                    MeterReading(
                        id=int(_told(outs, "reading_id")),
                        meter=meters[quantity].name,
                        value=float(value),
                    )
                )
        return made

    async def _hand_over(
        self, call: Call, asset: _Asset, readings: Sequence[NewReading], key: str
    ) -> Sequence[MeterReading]:
        """Put into the open interface what is not there yet, and see what has become of it."""
        assert self._interface is not None
        key = key or uuid4().hex  # by which they are found again in a moment
        there = {reading.meter for reading in await self._interface.there(call, asset.id, key)}
        missing = [reading for reading in readings if reading.meter not in there]
        await self._interface.hand_over(call, missing, asset.id, key, self._user)
        return await self._interface.there(call, asset.id, key)

    # ---- what both need ---------------------------------------------------------------------

    async def _asset(self, call: Call, number: str) -> _Asset:
        rows = await call.query(statements.ASSET, {"asset_number": number})
        if not rows:
            raise DataError(
                f"asset_number: there is no asset '{number}'",
                hint="it is the asset number (INSTANCE_NUMBER), and the asset must be active",
            )
        found, serial, item, item_type, organization = rows[0]
        if organization is None:
            raise DataError(f"asset_number: no organization maintains '{number}'")
        return _Asset(int(found), serial, int(item), int(item_type or 0), int(organization))

    async def _code(
        self, call: Call, lookup: str, wanted: str, field: str
    ) -> tuple[int, str] | None:
        """A lookup's code and meaning by either of them; None for nothing."""
        if not wanted:
            return None
        rows = await call.query(statements.LOOKUPS, {"lookup_type": lookup})
        for code, meaning in rows:
            if key_or_text(code, str(meaning), wanted):
                return int(code), str(meaning)
        known = ", ".join(str(meaning) for _, meaning in rows[:_SHOWN])
        raise DataError(f"{field}: Oracle has no '{wanted}'", hint=f"one of: {known}")

    def _meter_name(self, quantity: str) -> str:
        return self._config.meters.get(quantity, quantity)

    async def _meters(
        self, call: Call, asset: _Asset, form: AssetPerformanceForm
    ) -> dict[str, _Meter]:
        rows = await call.query(statements.METERS, {"instance_id": asset.id})
        meters = [_Meter(int(r[0]), str(r[1]), str(r[2] or "")) for r in rows]
        found: dict[str, _Meter] = {}
        for quantity in form.quantities:
            wanted = self._meter_name(quantity)
            fits = [m for m in meters if key_or_text(m.name, m.template, wanted)]
            if len(fits) != 1:
                known = ", ".join(m.name for m in meters[:_SHOWN]) or "none"
                raise DataError(
                    f"{quantity}: asset '{form.asset_number}' has "
                    f"{len(fits) or 'no'} meter{'s' * (len(fits) > 1)} '{wanted}'",
                    hint=f"its meters: {known}; 'meters' in the configuration maps them",
                )
            for other, meter in found.items():
                if meter == fits[0]:
                    raise DataError(
                        f"{other} and {quantity} are both meter '{meter.name}'",
                        hint="'meters' in the configuration maps them",
                    )
            found[quantity] = fits[0]
        return found

    def _local(self, moment: datetime | None) -> datetime | None:
        return None if moment is None else self._date(moment)

    def _date(self, moment: datetime) -> datetime:
        """As a DATE of that database: whole seconds in its zone, without it."""
        zone = ZoneInfo(self._config.time_zone) if self._config.time_zone else None
        return moment.astimezone(zone).replace(tzinfo=None, microsecond=0)


async def _succeeded(
    call: Call, block: str, binds: Mapping[str, Any], outs: Mapping[str, type]
) -> dict[str, Any]:
    """Run a block that calls a package; what came back, if the package says it succeeded."""
    given = await call.block(block, binds, outs)
    status, text = given["return_status"], "; ".join(_lines(given["messages"]))
    if status == _SUCCESS:
        return given
    text = text or "without a message"
    if status in _REFUSED:
        raise DataError(f"Oracle refuses it: {text}")
    raise Busy(
        f"Oracle failed unexpectedly (status {status}): {text}",
        hint="the log of the applications (FND_LOG_MESSAGES) may say more",
    )


def _told(outs: Mapping[str, Any], name: str) -> Any:
    """What a package must tell after a success.

    Raises:
        RequestFailed: it does not.
    """
    if outs[name] is None:
        raise RequestFailed(f"Oracle reports success without '{name}'; it is rolled back")
    return outs[name]


def _lines(text: str | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())


def _shown(what: str, fields: Mapping[str, object]) -> str:
    lines = [f"  {name}: {value}" for name, value in fields.items() if value not in {None, ""}]
    return "\n".join([what, *lines])
