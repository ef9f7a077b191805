"""What goes to any service of an SAP system: entities of OData, IDocs."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from gl002.context import Context
from gl002.errors import ConfigError
from gl002.pool import ConnectionPool
from gl002.transport.http.client import Request
from gl002.transport.sap.services import Services
from gl002.transport.sap.session import SAPSession
from gl002.transport.sap.settings import SAPConfig
from gl002.wire import idoc
from gl002.wire.idoc import Segment
from gl002.wire.odata import Entity


class SAPVerbs(SAPSession, ABC):
    """A session, and what it can do whatever the system is used for."""

    def __init__(
        self,
        config: SAPConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._services = Services(self._line())

    async def _open(self) -> None:
        self._services.forget()
        await super()._open()

    async def get_entity(self, service: str, path: str) -> Entity:
        """One entity of any OData service, with its etag.

        Args:
            service: path below the host, 'sap/opu/odata/sap/API_EQUIPMENT'.
            path: below the service, percent-encoded: "Equipment('10000045')".
        """
        what = f"read {path}"
        return await self._call(
            lambda: self._services.get(service.strip("/"), path, what=what), what=what
        )

    async def change_entity(
        self, service: str, path: str, fields: Mapping[str, Any], *, etag: str = ""
    ) -> None:
        """Change fields of an entity; audited, and never repeated by itself.

        Args:
            service: as in `get_entity`.
            path: as in `get_entity`.
            fields: name -> value, in the form of the service.
            etag: of the state that was read; '' changes it whatever it is.

        Raises:
            RequestFailed: somebody has changed it since it was read, or SAP refuses it.
        """
        what = f"change {path}"
        change = partial(self._services.change, service.strip("/"), path, fields, etag, what=what)
        await self._write_to_plant(change, address=path, value=dict(fields))

    async def send_idoc(
        self,
        basic_type: str,
        message_type: str,
        segments: Sequence[Segment],
        *,
        reference: str = "",
        extension: str = "",
    ) -> None:
        """Send an IDoc; audited, and never repeated by itself. SAP does not say its number.

        Args:
            basic_type: IDOCTYP.
            message_type: MESTYP.
            segments: in their order.
            reference: REFMES, by which WE09 finds it; 14 characters.
            extension: CIMTYP.

        Raises:
            ConfigError: there is no partner profile in the settings.
            RequestFailed: SAP did not take it.
        """
        profile = self.config.idoc
        if profile is None:
            raise ConfigError(f"{self.name}: to send IDocs, set 'idoc'", hint="WE20 and WE21")
        control = profile.control(basic_type, message_type, reference, extension)
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        body = idoc.encode(control, segments)
        request = Request("POST", profile.path, self.config.query, headers, body)
        what = f"send {message_type}"
        await self._write_to_plant(
            lambda: self._send(request, what=what),
            address=f"{message_type} {reference}".strip(), value=basic_type,
        )  # fmt: skip
