"""Documents in SAP, whichever way they are made: found by their key, made once, told beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gl002.action import ActionForm, Receipt
from gl002.transport.sap.forms import MeasurementForm, NotificationForm
from gl002.transport.sap.material import Material


class Documents(ABC):
    """One way in, within a `_call` of the session. What makes something sends it once."""

    async def find(self, form: ActionForm, key: str) -> Receipt | None:
        """The document with this key."""
        if isinstance(form, MeasurementForm):
            return await self.find_measurement(form, key)
        assert isinstance(form, NotificationForm)
        return await self.find_notification(form, key)

    async def make(self, form: ActionForm, key: str) -> Receipt:
        """Make it, the key in it."""
        if isinstance(form, MeasurementForm):
            return await self.make_measurement(form, key)
        assert isinstance(form, NotificationForm)
        return await self.make_notification(form, key)

    async def plan(self, form: ActionForm, key: str) -> str:
        """What `make` would send, for people."""
        if isinstance(form, MeasurementForm):
            return await self.plan_measurement(form, key)
        assert isinstance(form, NotificationForm)
        return await self.plan_notification(form, key)

    @abstractmethod
    async def find_measurement(self, form: MeasurementForm, key: str) -> Receipt | None:
        """The measurement document with this key."""

    @abstractmethod
    async def make_measurement(self, form: MeasurementForm, key: str) -> Receipt:
        """Make a measurement document."""

    @abstractmethod
    async def plan_measurement(self, form: MeasurementForm, key: str) -> str:
        """What `make_measurement` would send."""

    @abstractmethod
    async def find_notification(self, form: NotificationForm, key: str) -> Receipt | None:
        """The notification with this key."""

    @abstractmethod
    async def make_notification(self, form: NotificationForm, key: str) -> Receipt:
        """Make a notification."""

    @abstractmethod
    async def plan_notification(self, form: NotificationForm, key: str) -> str:
        """What `make_notification` would send."""

    @abstractmethod
    async def material(self, number: str) -> Material:
        """A material.

        Raises:
            TagNotFound: there is no such material.
        """

    @abstractmethod
    async def materials(self, numbers: Sequence[str]) -> list[Material | None]:
        """Many; None for those that SAP does not have."""
