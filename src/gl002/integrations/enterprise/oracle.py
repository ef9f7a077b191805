"""Oracle's maintenance: E-Business Suite over SQL*Net, Fusion Maintenance over REST.

    from gl002.integrations.enterprise import OracleConnector

    oracle = OracleConnector({"host": "oracle.company.com", "service": "PROD",
                              "username": "apps", "password": "..."})
    oracle.update_asset_performance(asset_number="BOILER-001", efficiency=85.4)
    wo = oracle.create_work_order({"asset_number": "BOILER-001", "type": "PREVENTIVE",
                                   "description": "Soot blowing required", "priority": 2})
    print(wo.number, wo.id, wo.status)

With `url` instead of `host` the same calls go to Fusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gl002.action import Action, ActionForm, Receipt
from gl002.bridge import Blocking, blocking, plain
from gl002.config.flow import InputSettings
from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import AuthFailed, Busy, DataError, GL002Error, require
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.auth import Auth, Basic, Header
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.settings import is_this_machine
from gl002.transport.oracle.database import Database, translated
from gl002.transport.oracle.fusion import FusionMaintenance, refused
from gl002.transport.oracle.maintenance import (
    AssetPerformanceForm,
    Maintenance,
    MeterReading,
    WorkOrder,
    WorkOrderForm,
)
from gl002.transport.oracle.settings import OracleConfig
from gl002.transport.oracle.suite import EBusinessSuite

_ORDER, _PERFORMANCE = "create_work_order", "update_asset_performance"


class AsyncOracleConnector(HTTPConnection[OracleConfig]):
    """E-Business Suite or Fusion Maintenance, whichever is configured."""

    kind = "oracle"
    can = Capability.ACT
    Config = OracleConfig
    actions: ClassVar[Mapping[str, type[ActionForm]]] = {
        _ORDER: WorkOrderForm,
        _PERFORMANCE: AssetPerformanceForm,
    }
    environment: ClassVar = {"GL002_ORACLE_HOST": "host"}
    largest = 8 * 1024 * 1024

    def __init__(
        self,
        config: OracleConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._fusion = FusionMaintenance(
            self.config, connect=super()._open, disconnect=super()._shut, send=self._send
        )
        database = Database(self.config, self.context.network, lambda: self._timeout)
        self._product: Maintenance = (
            EBusinessSuite(self.config, database) if self.config.is_suite else self._fusion
        )

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'oracle://host:1521/PROD'."""
        parts = urlsplit(url)
        found = {"host": parts.hostname, "port": parts.port, "service": parts.path.strip("/")}
        return {key: value for key, value in found.items() if value}

    # ---- a session --------------------------------------------------------------------------

    def endpoints(self) -> Iterable[Endpoint]:
        """The database's listener, or Fusion."""
        return [self.config.endpoint]

    def _load(self) -> None:
        if not self.config.is_suite:
            super()._load()
            return
        require("oracledb", extra=self.kind)
        import oracledb  # noqa: F401 (half a second on a small machine)

    async def _open(self) -> None:
        await self._product.open()

    async def _shut(self) -> None:
        await self._product.shut()

    async def _greet(self) -> None:
        await self._fusion.greet()

    async def _ping(self) -> str:
        return await self._product.ping()

    def _auth(self) -> Auth:
        c = self.config
        if c.token is not None:
            return Header("Bearer", c.token)
        if c.password is None:
            raise AuthFailed("no password is configured", hint="set 'password' or 'token'")
        return Basic(c.username, c.password or Secret(""))

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        return refused(answer, what)

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        if not self.config.is_suite:
            return None
        return translated(error, f"{what}: {self.config.endpoint}")

    def warnings(self, inputs: Sequence[InputSettings]) -> Sequence[str]:
        """What leaves this machine unencrypted, and what is configured in vain."""
        c = self.config
        found = []
        if c.is_suite and c.token is not None:
            found.append("'token' is for Fusion; E-Business Suite logs in with 'password'")
        if c.is_suite and c.tls is None and not is_this_machine(c.endpoint.host):
            found.append("SQL*Net without 'tls': data go in clear, though the password does not")
        return found

    # ---- what people call -------------------------------------------------------------------

    async def create_work_order(
        self, order: Mapping[str, Any] | WorkOrderForm, *, key: str = ""
    ) -> WorkOrder:
        """Make a work order. Never repeated by itself.

        Args:
            order: asset_number, description, and what else `WorkOrderForm` has; times without a
                zone are local time.
            key: becomes its number, so that Oracle refuses a second one; '' numbers it there.

        Returns:
            The order with its number, id and status.

        Raises:
            DataError: a field is wrong, or Oracle refuses it and says why.
        """
        form = order if isinstance(order, WorkOrderForm) else WorkOrderForm.filled(order, _ORDER)
        return await self._call(
            lambda: self._product.create_order(form, key), what=_ORDER, repeatable=False
        )

    async def update_asset_performance(
        self,
        /,
        asset_number: str,
        *,
        efficiency: float | None = None,
        runtime_hours: float | None = None,
        fuel_consumption: float | None = None,
        time: datetime | None = None,
        key: str = "",
        **other: float,
    ) -> Sequence[MeterReading]:
        """Record readings of an asset's meters, one for each quantity given.

        Args:
            asset_number: as Oracle names it.
            efficiency: percent.
            runtime_hours: what the hour meter shows.
            fuel_consumption: what the fuel meter shows.
            time: of the readings; now where absent. Without a zone it is local time.
            key: kept in each reading, so that they can be found again. With the open interface
                table: once more with the same key tells what has become of them.
            other: further quantities; `meters` in the configuration names their meters.

        Raises:
            DataError: there is no such asset or meter, or Oracle refuses a reading.
        """
        form = AssetPerformanceForm.filled(
            {
                "asset_number": asset_number, "efficiency": efficiency, "time": time,
                "runtime_hours": runtime_hours, "fuel_consumption": fuel_consumption,
                "other": other,
            },
            _PERFORMANCE,
        )  # fmt: skip
        return await self._call(
            lambda: self._product.record(form, key), what=_PERFORMANCE, repeatable=False
        )

    async def find_work_order(self, number: str) -> WorkOrder | None:
        """A work order by its number; None where there is none."""
        return await self._call(lambda: self._product.find_order(number), what="find work order")

    # ---- what the outbox asks ---------------------------------------------------------------

    async def rehearse(self, action: Action) -> str:
        """What would be sent; nothing is."""
        form = self._form(action)
        if isinstance(form, WorkOrderForm):
            return self._product.rehearse_order(form, action.key)
        return self._product.rehearse_readings(form, action.key)

    async def find(self, action: Action) -> Receipt | None:
        """What an earlier try made."""
        form = self._form(action)
        if isinstance(form, WorkOrderForm):
            order = await self._call(
                lambda: self._product.find_order(action.key), what=f"find {action.key}"
            )
            return None if order is None else _receipt_of_order(order, already=True)
        readings = await self._call(
            lambda: self._product.find_readings(form, action.key), what=f"find {action.key}"
        )
        return _receipt_of_readings(_settled(readings), already=True) if readings else None

    async def perform(self, action: Action) -> Receipt:
        """Do it once; after an answer that says nothing the outbox looks for it first."""
        form = self._form(action)
        try:
            if isinstance(form, WorkOrderForm):
                return _receipt_of_order(await self.create_work_order(form, key=action.key))
            readings = await self._call(
                lambda: self._product.record(form, action.key), what=_PERFORMANCE, repeatable=False
            )
        except Unreadable as error:
            raise Busy(f"{error.args[0]}: it may have been done") from error
        return _receipt_of_readings(_settled(readings))

    def _form(self, action: Action) -> WorkOrderForm | AssetPerformanceForm:
        if action.name == _ORDER:
            return WorkOrderForm.filled(action.fields, action.name)
        if action.name == _PERFORMANCE:
            return AssetPerformanceForm.filled(action.fields, action.name)
        raise DataError(f"{self.name} has no action '{action.name}'", hint=", ".join(self.actions))


def _settled(readings: Sequence[MeterReading]) -> Sequence[MeterReading]:
    """Readings that Oracle has recorded, every one.

    Raises:
        Busy: some wait for their import; looking again later tells.
    """
    waiting = [reading.meter for reading in readings if reading.waiting]
    if waiting:
        raise Busy(
            f"readings of {', '.join(waiting)} wait in CSI_CTR_READINGS_INTERFACE to be imported",
            hint="is 'Install Base - Counter Readings Open Interface' scheduled for that batch?",
        )
    return readings


def _receipt_of_order(order: WorkOrder, *, already: bool = False) -> Receipt:
    words = [f"work order {order.number} (id {order.id}, {order.status})", *order.warnings]
    return Receipt(number=order.number, detail="; ".join(words), already=already)


def _receipt_of_readings(readings: Sequence[MeterReading], *, already: bool = False) -> Receipt:
    return Receipt(
        number=", ".join(str(reading.id) for reading in readings),
        detail="; ".join(f"{reading.meter} {reading.value:g}" for reading in readings),
        already=already,
    )


class OracleConnector(Blocking[AsyncOracleConnector]):
    """Oracle's maintenance for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: OracleConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncOracleConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncOracleConnector.connect)
    close = blocking(AsyncOracleConnector.close)
    check = blocking(AsyncOracleConnector.check)
    set_timeout = plain(AsyncOracleConnector.set_timeout)
    try_at_once = plain(AsyncOracleConnector.try_at_once)
    create_work_order = blocking(AsyncOracleConnector.create_work_order)
    update_asset_performance = blocking(AsyncOracleConnector.update_asset_performance)
    find_work_order = blocking(AsyncOracleConnector.find_work_order)
    rehearse = blocking(AsyncOracleConnector.rehearse)
    find = blocking(AsyncOracleConnector.find)
    perform = blocking(AsyncOracleConnector.perform)
