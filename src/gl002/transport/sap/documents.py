"""Documents in SAP, whichever way they are made: found by their key, made once, told beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from gl002.action import ActionForm, Receipt
from gl002.errors import DataError, GL002Error, RequestFailed
from gl002.transport.sap.forms import MeasurementForm, NotificationForm, WorkOrderForm
from gl002.transport.sap.material import Material
from gl002.transport.sap.services import ServiceMissing

R = TypeVar("R")
Reading: TypeAlias = tuple[MeasurementForm, str]
"""What to enter, and its key."""
Found: TypeAlias = Receipt | GL002Error | None


class Documents(ABC):
    """One way in, within a `_call` of the session. What makes something sends it once."""

    async def find(self, form: ActionForm, key: str) -> Receipt | None:
        """The document with this key."""
        if isinstance(form, MeasurementForm):
            return await self.find_measurement(form, key)
        if isinstance(form, WorkOrderForm):
            return await self.find_order(form, key)
        assert isinstance(form, NotificationForm)
        return await self.find_notification(form, key)

    async def make(self, form: ActionForm, key: str) -> Receipt:
        """Make it, the key in it."""
        if isinstance(form, MeasurementForm):
            return await self.make_measurement(form, key)
        if isinstance(form, WorkOrderForm):
            return await self.make_order(form, key)
        assert isinstance(form, NotificationForm)
        return await self.make_notification(form, key)

    async def plan(self, form: ActionForm, key: str) -> str:
        """What `make` would send, for people."""
        if isinstance(form, MeasurementForm):
            return await self.plan_measurement(form, key)
        if isinstance(form, WorkOrderForm):
            return await self.plan_order(form, key)
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
    async def find_order(self, form: WorkOrderForm, key: str) -> Receipt | None:
        """The order with this key."""

    @abstractmethod
    async def make_order(self, form: WorkOrderForm, key: str) -> Receipt:
        """Make an order."""

    @abstractmethod
    async def plan_order(self, form: WorkOrderForm, key: str) -> str:
        """What `make_order` would send."""

    async def find_measurements(self, items: Sequence[Reading]) -> list[Found]:
        """Measurement documents by their keys; here one after the other."""
        return [await _outcome(self.find_measurement(*item)) for item in items]

    async def make_measurements(self, items: Sequence[Reading]) -> list[Receipt | GL002Error]:
        """Make measurement documents; here one after the other. One that is refused stops none."""
        return [await _outcome(self.make_measurement(*item)) for item in items]

    @abstractmethod
    async def material(self, number: str) -> Material:
        """A material.

        Raises:
            TagNotFound: there is no such material.
        """

    @abstractmethod
    async def materials(self, numbers: Sequence[str]) -> list[Material | None]:
        """Many; None for those that SAP does not have."""


async def _outcome(request: Awaitable[R]) -> R | GL002Error:
    """What a request gives, or the refusal of this one; what stops them all is raised."""
    try:
        return await request
    except ServiceMissing:
        raise
    except (DataError, RequestFailed) as error:
        return error


async def each_once(
    items: Sequence[Reading],
    find: Callable[[Sequence[Reading]], Awaitable[Sequence[Found]]],
    make: Callable[[Sequence[Reading]], Awaitable[Sequence[Receipt | GL002Error]]],
) -> list[Receipt | GL002Error]:
    """Find all, make those that are missing; who comes twice with the same key is made once.

    Args:
        items: what to enter.
        find: documents by their keys.
        make: documents.
    """
    first: dict[str, int] = {}
    for place, (_, key) in enumerate(items):
        first.setdefault(key, place)
    found = await find([items[place] for place in first.values()])
    outcome: dict[int, Receipt | GL002Error] = {
        place: one for place, one in zip(first.values(), found, strict=True) if one is not None
    }
    missing = [place for place in first.values() if place not in outcome]
    if missing:
        made = await make([items[place] for place in missing])
        outcome |= dict(zip(missing, made, strict=True))
    return [outcome[first[key]] for _, key in items]
