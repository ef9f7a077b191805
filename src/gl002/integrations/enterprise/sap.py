"""SAP ERP and S/4HANA: functions, materials, measurement documents, notifications, work orders.

    from gl002.integrations.enterprise import SAPConnector

    sap = SAPConnector({"ashost": "sap.company.com", "client": "100", "user": "RFC_USER", ...})
    result = sap.call_function("Z_BOILER_UPDATE", IV_BOILER_ID="B001", IV_EFFICIENCY=85.4)
    material = sap.get_material("NATURAL_GAS")
    sap.create_measurement_document({"point": "BOILER_001_EFF", "value": 85.4, "timestamp": now})

Documents go over OData where SAP has activated it, else by BAPIs; functions over SOAP, or by SAP's
own library where it is installed. A document carries a key: a second try makes no second one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from gl002.action import Action, ActionForm, Receipt
from gl002.bridge import Blocking, blocking, plain
from gl002.connector import Capability, check_several
from gl002.context import Context
from gl002.errors import (
    Busy,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    Unsupported,
)
from gl002.pool import ConnectionPool
from gl002.transport.http.answer import Unreadable
from gl002.transport.sap.calling import called
from gl002.transport.sap.documents import Documents, Found, Reading, each_once
from gl002.transport.sap.forms import (
    MeasurementForm,
    NotificationForm,
    WorkOrderForm,
    checked_key,
    form_and_key,
    parsed,
)
from gl002.transport.sap.function_documents import FunctionDocuments
from gl002.transport.sap.functions import SoapFunctions, checked_name
from gl002.transport.sap.library import LibraryFunctions
from gl002.transport.sap.material import Material
from gl002.transport.sap.odata_documents import ODataDocuments
from gl002.transport.sap.services import ServiceMissing
from gl002.transport.sap.settings import SAPConfig
from gl002.transport.sap.verbs import SAPVerbs

_AT_ONCE = 100  # documents or materials of one call, each of which has a time-out of its own

R = TypeVar("R")

MEASURE, NOTIFY = "create_measurement_document", "create_notification"
ORDER, PING = "create_work_order", "RFC_PING"


class AsyncSAPConnector(SAPVerbs):
    """One client of one SAP system."""

    kind = "sap"
    can = Capability.ACT
    Config = SAPConfig
    actions: ClassVar[Mapping[str, type[ActionForm]]] = {
        MEASURE: MeasurementForm,
        NOTIFY: NotificationForm,
        ORDER: WorkOrderForm,
    }
    environment: ClassVar = {"GL002_SAP_HOST": "ashost"}

    def __init__(
        self,
        config: SAPConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        line = self._line()
        self._functions: SoapFunctions | LibraryFunctions
        self._functions = LibraryFunctions(line) if self.uses_library else SoapFunctions(line)
        self._odata = ODataDocuments(line, self._services)
        self._by_function = FunctionDocuments(line, self._functions)

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'sap://host:44300' is 'https://host:44300'."""
        return {"ashost": f"https{url[url.index(':') :]}"}

    async def _open(self) -> None:
        if isinstance(self._functions, SoapFunctions):
            self._functions.forget()
        await super()._open()

    async def _shut(self) -> None:
        if isinstance(self._functions, LibraryFunctions):
            await self._functions.close()
        await super()._shut()

    @property
    def _without_http(self) -> bool:
        """Whether nothing goes over HTTP: the library alone, as where SAP has no ICM open to us."""
        return self.uses_library and self.config.documents == "functions"

    async def _alive(self, what: str) -> None:
        if self._without_http:
            await self._functions.call(PING, {})
        else:
            await super()._alive(what)

    # ---- functions --------------------------------------------------------------------------

    async def call_function(
        self,
        function: str,
        /,
        *,
        commit: bool = False,
        check_return: bool = True,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call any function that is remote-enabled; audited, and never repeated by itself.

        Args:
            function: its name.
            commit: call BAPI_TRANSACTION_COMMIT after it, in the same session; or
                BAPI_TRANSACTION_ROLLBACK where its RETURN has an error.
            check_return: an error in RETURN (BAPIRET2) is raised, a warning logged.
            parameters: by name: text, numbers, dates, dicts for structures, lists of dicts for
                tables. A float is rounded to the decimals of its parameter.

        Returns:
            What it exports, by name, and its tables; see `gl002.wire.rfc_types`.

        Raises:
            DataError: a value does not fit its parameter; nothing was sent.
            RequestFailed: SAP refused it, or its RETURN has an error.
            Unsupported: to be committed, and SAP keeps no session over SOAP; nothing was called.
        """
        name = checked_name(function)
        request = partial(
            called, self._functions, name, parameters,
            commit=commit, check=check_return, warn=self._warn,
        )  # fmt: skip
        return await self._write_to_plant(request, address=name, value=sorted(parameters))

    def _warn(self, warning: str) -> None:
        self.log.warning("%s: %s", self.name, warning)

    # ---- materials --------------------------------------------------------------------------

    async def get_material(self, number: str) -> Material:
        """The material master of one material.

        Raises:
            TagNotFound: SAP has no such material.
        """
        what = f"read material {number}"
        return await self._call(lambda: self._by(lambda d: d.material(number)), what=what)

    async def get_materials(self, numbers: Sequence[str]) -> list[Material | None]:
        """Many, over OData a hundred in one request; None for those that SAP does not have."""
        check_several(numbers, "materials")
        found: list[Material | None] = []
        for start in range(0, len(numbers), _AT_ONCE):
            read = partial(self._materials, numbers[start : start + _AT_ONCE])
            found += await self._call(read, what=f"read {len(numbers)} materials")
        return found

    async def _materials(self, numbers: Sequence[str]) -> list[Material | None]:
        return await self._by(lambda d: d.materials(numbers))

    # ---- documents --------------------------------------------------------------------------

    async def create_measurement_document(self, document: Mapping[str, Any]) -> Receipt:
        """Make a measurement document, once; audited.

        Args:
            document: the fields of `MeasurementForm` (point, value, timestamp, unit, text, reader),
                and `key`, at most 32 letters, digits and '-'. Without a key it is made from the
                rest, so that the same reading is entered once.

        Returns:
            Its number; `already` where an earlier call made it.

        Raises:
            DataError: a field does not fit, or SAP refuses it.
        """
        form, key = form_and_key(MeasurementForm, document, MEASURE)
        return await self._once(MEASURE, form, key or form.own_key)

    async def create_measurement_documents(
        self, documents: Sequence[Mapping[str, Any]]
    ) -> list[Receipt]:
        """Make many, each once; over OData a hundred in one request ($batch). Audited.

        Each hundred has the time-out of a call for itself. Safe to repeat, also after a failure.

        Args:
            documents: each as in `create_measurement_document`.

        Returns:
            A receipt for each, in their order.

        Raises:
            PartialWrite: `rejected` says which were refused, by their place, and why; the others
                are made.
            DataError: a field does not fit; nothing was sent.
        """
        given = [form_and_key(MeasurementForm, document, MEASURE) for document in documents]
        items = [(form, key or form.own_key) for form, key in given]

        async def find(some: Sequence[Reading]) -> Sequence[Found]:
            what = f"find {len(some)} measurement documents"
            return await self._call(
                lambda: self._by(lambda d: d.find_measurements(some)), what=what
            )

        async def make(some: Sequence[Reading]) -> Sequence[Receipt | GL002Error]:
            return await self._write_to_plant(
                lambda: self._by(lambda d: d.make_measurements(some)),
                address=f"{MEASURE}, {len(some)} at once", value=[key for _, key in some],
            )  # fmt: skip

        made: list[Receipt | GL002Error] = []
        for start in range(0, len(items), _AT_ONCE):
            made += await each_once(items[start : start + _AT_ONCE], find, make)
        rejected = {n: str(one) for n, one in enumerate(made) if isinstance(one, GL002Error)}
        if rejected:
            raise PartialWrite(f"{self.name}: {len(rejected)} documents refused", rejected)
        return [one for one in made if isinstance(one, Receipt)]

    async def create_notification(self, notification: Mapping[str, Any]) -> Receipt:
        """Make a maintenance notification, once; audited.

        Args:
            notification: the fields of `NotificationForm` and `key`, which identifies it.

        Returns:
            Its number; `already` where an earlier call made it.

        Raises:
            DataError: a field does not fit, there is no key, or SAP refuses it.
        """
        form, key = form_and_key(NotificationForm, notification, NOTIFY)
        if not key:
            raise DataError(f"{self.name}: {NOTIFY}: a notification takes a key")
        return await self._once(NOTIFY, form, key)

    async def create_work_order(self, order: Mapping[str, Any]) -> Receipt:
        """Make a maintenance order, once; audited.

        Args:
            order: the fields of `WorkOrderForm` and `key`, which identifies it.

        Returns:
            Its number; `already` where an earlier call made it.

        Raises:
            DataError: a field does not fit, there is no key, or SAP refuses it.
        """
        form, key = form_and_key(WorkOrderForm, order, ORDER)
        if not key:
            raise DataError(f"{self.name}: {ORDER}: an order takes a key")
        return await self._once(ORDER, form, key)

    async def _once(self, name: str, form: ActionForm, key: str) -> Receipt:
        found = await self._found(name, form, key)
        return found if found is not None else await self._made(name, form, key)

    async def _found(self, name: str, form: ActionForm, key: str) -> Receipt | None:
        return await self._call(
            lambda: self._by(lambda d: d.find(form, key)), what=f"find what {name} made"
        )

    async def _made(self, name: str, form: ActionForm, key: str) -> Receipt:
        """Make it, and say so in the audit file before."""
        try:
            return await self._write_to_plant(
                lambda: self._by(lambda d: d.make(form, key)),
                address=f"{name} {key}",
                value=form.model_dump(mode="json"),
            )
        except (Busy, Unsupported):
            raise
        except Unreadable as error:
            raise Busy(f"{error.args[0]}: it may have been done") from error
        except RequestFailed as error:
            raise DataError(str(error.args[0]), hint=error.hint) from error

    async def _by(self, work: Callable[[Documents], Awaitable[R]]) -> R:
        """By OData; by functions where SAP has not activated the service, which does nothing."""
        way = self.config.documents
        if way == "functions":
            return await work(self._by_function)
        try:
            return await work(self._odata)
        except ServiceMissing as missing:
            if way == "odata":
                raise
            self.log.info("%s: by function: %s", self.name, missing)
            return await work(self._by_function)

    # ---- for the outbox ---------------------------------------------------------------------

    async def rehearse(self, action: Action) -> str:
        """The request or the calls that `perform` would make."""
        form, key = self._form(action), checked_key(action.key)
        return await self._call(
            lambda: self._by(lambda d: d.plan(form, key)), what=f"rehearse {action.name}"
        )

    async def find(self, action: Action) -> Receipt | None:
        """The document with the action's key in it."""
        return await self._found(action.name, self._form(action), checked_key(action.key))

    async def perform(self, action: Action) -> Receipt:
        """Make the document, its key in it."""
        return await self._made(action.name, self._form(action), checked_key(action.key))

    def _form(self, action: Action) -> ActionForm:
        if action.name not in self.actions:
            offered = ", ".join(self.actions)
            raise DataError(f"{self.name} has no action '{action.name}'", hint=offered)
        return parsed(self.actions[action.name], action.fields, action.name)


class SAPConnector(Blocking[AsyncSAPConnector]):
    """One client of one SAP system for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: SAPConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncSAPConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncSAPConnector.connect)
    close = blocking(AsyncSAPConnector.close)
    check = blocking(AsyncSAPConnector.check)
    set_timeout = plain(AsyncSAPConnector.set_timeout)
    try_at_once = plain(AsyncSAPConnector.try_at_once)
    call_function = blocking(AsyncSAPConnector.call_function)
    get_material = blocking(AsyncSAPConnector.get_material)
    get_materials = blocking(AsyncSAPConnector.get_materials)
    create_measurement_document = blocking(AsyncSAPConnector.create_measurement_document)
    create_measurement_documents = blocking(AsyncSAPConnector.create_measurement_documents)
    create_notification = blocking(AsyncSAPConnector.create_notification)
    create_work_order = blocking(AsyncSAPConnector.create_work_order)
    get_entity = blocking(AsyncSAPConnector.get_entity)
    change_entity = blocking(AsyncSAPConnector.change_entity)
    send_idoc = blocking(AsyncSAPConnector.send_idoc)
    rehearse = blocking(AsyncSAPConnector.rehearse)
    find = blocking(AsyncSAPConnector.find)
    perform = blocking(AsyncSAPConnector.perform)
