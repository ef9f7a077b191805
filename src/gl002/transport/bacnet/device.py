"""One device: what it is, and reading and writing it within what it can do.

Devices differ in the length of the messages they take, in whether they divide answers into
segments, and in the services they know. What a device says of itself is asked once; what it does
not say it teaches by refusing: half as much at once, or one property after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from gl002.errors import ConnectFailed, DataError, GL002Error, RequestTimeout, Unsupported
from gl002.transport.bacnet.devices import DeviceSettings
from gl002.transport.bacnet.failures import GARBLED, answers_too_long, explained, lacks_service
from gl002.transport.bacnet.station import LONGEST, Refusal, Station
from gl002.wire.bacnet import NO_INSTANCE, Datum, Item, Malformed, ObjectId
from gl002.wire.bacnet_names import DEVICE, object_name, property_name
from gl002.wire.bacnet_plan import plan
from gl002.wire.bacnet_services import (
    READ,
    READ_MULTIPLE,
    WRITE,
    Ask,
    Refused,
    read,
    read_answer,
    read_multiple,
    read_multiple_answer,
    write,
)

Exchange: TypeAlias = Callable[["Device", int, bytes, str], Awaitable[bytes | Refusal]]
"""Sends a request (device, service, data, what for) and returns what the device says to it.

Raises a `GL002Error` where it says nothing.
"""
Answer: TypeAlias = tuple[Item, ...] | Refusal

_OBJECT_ID, _OBJECT_LIST, _NAME, _MODEL, _VENDOR = 75, 76, 77, 70, 121
_MAX_APDU, _SEGMENTATION, _SERVICES, _SYSTEM_STATUS = 62, 107, 97, 112
_READ_MULTIPLE_BIT, _SUBSCRIBE_COV_BIT = 14, 5  # of protocol-services-supported
_MOST_AT_ONCE = 500  # properties in one request
_MOST_OBJECTS = 100_000


class WrongDevice(ConnectFailed):
    """Another device answers at that address."""

    retryable = False


class Profile(NamedTuple):
    """What a device says of itself.

    Attributes:
        instance: its number.
        name, vendor, model: '' where it does not say.
        max_apdu: octets of the longest message it takes.
        segments: whether it can divide an answer.
        services: which it knows, by position; empty where it does not say.
    """

    instance: int
    name: str
    vendor: str
    model: str
    max_apdu: int
    segments: bool
    services: tuple[bool, ...]

    def knows(self, service: int) -> bool:
        """Whether it has a service, by its position; yes where it does not say."""
        return service >= len(self.services) or self.services[service]


class Device:
    """A device of one connection.

    Attributes:
        settings: as configured.
        label: its name in tags.
        station: where it is; None until it is found.
        profile: what it is; None until it was asked.
        silent: it did not answer when it was last asked.
        turn: held by whoever asks it: one request at a time, as small devices want it.
        without_flags: objects that have no status flags.
        types: application tags of properties met so far, for writing.
    """

    def __init__(self, settings: DeviceSettings, exchange: Exchange) -> None:
        self.settings = settings
        self.label = settings.label
        self.station: Station | None
        self.profile: Profile | None
        self.silent = False
        self.turn = asyncio.Lock()
        self.without_flags: set[ObjectId] = set()
        self.types: dict[Ask, int] = {}
        self._exchange = exchange
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget what it was and where: it may have been replaced, or have another address."""
        self.station = None
        self.profile = None
        self._multiple = True
        self._most = _MOST_AT_ONCE
        self.types.clear()
        self.without_flags.clear()

    @property
    def id(self) -> ObjectId:
        """Its device object; 'whatever you are' until it is known."""
        number = self.profile.instance if self.profile else self.settings.device_id
        return ObjectId(DEVICE, NO_INSTANCE if number is None else number)

    def __str__(self) -> str:
        return f"{self.label} ({self.station})" if self.station else self.label

    @property
    def subscribes(self) -> bool:
        """Whether it may report changes by itself."""
        return self.profile is None or self.profile.knows(_SUBSCRIBE_COV_BIT)

    # ---- what it is -------------------------------------------------------------------------

    async def learn(self) -> Profile:
        """Ask it what it is, once.

        Raises:
            GL002Error: it does not answer, or another device does.
        """
        if self.profile is not None:
            return self.profile
        wanted = (_OBJECT_ID, _NAME, _VENDOR, _MODEL, _MAX_APDU, _SEGMENTATION, _SERVICES)
        me = self.id
        answers = await self._read([Ask(me, number) for number in wanted], longest=480)
        who, name, vendor, model, longest, segmentation, services = map(first, answers)
        if not isinstance(who, ObjectId):
            raise await self._not_there(answers[0])
        self._multiple = True
        self.profile = Profile(
            instance=who.instance,
            name=name if isinstance(name, str) else "",
            vendor=vendor if isinstance(vendor, str) else "",
            model=model if isinstance(model, str) else "",
            max_apdu=longest if isinstance(longest, int) else LONGEST,
            segments=segmentation in {0, 1},
            services=services if isinstance(services, tuple) else (),
        )
        self._multiple = self.profile.knows(_READ_MULTIPLE_BIT)
        return self.profile

    def take_after(self, other: Device) -> None:
        """Know of this device what another view of it has learned."""
        self.station, self.profile, self.silent = other.station, other.profile, False
        self._multiple, self._most = other._multiple, other._most

    async def greet(self) -> str:
        """One round trip; a phrase about it.

        Raises:
            GL002Error: it does not answer.
        """
        profile = await self.learn()
        await self.read([Ask(self.id, _SYSTEM_STATUS)])
        maker = f"{profile.vendor} {profile.model}".strip() or "a device"
        return f"{profile.instance} '{profile.name}' ({maker})"

    async def _not_there(self, answer: Answer) -> GL002Error:
        """Why the device that was asked for did not say who it is."""
        anybody = Ask(ObjectId(DEVICE, NO_INSTANCE), _OBJECT_ID)
        (found,) = await self._singly([anybody])
        if isinstance(other := first(found), ObjectId) and other != self.id:
            return WrongDevice(
                f"{self}: device {other.instance} answers there, not {self.id.instance}",
                hint="correct device_id or address; gl002 browse bacnet://<address> shows it",
            )
        refusal = answer if isinstance(answer, Refusal) else Refusal(GARBLED, 0)
        return explained(refusal, f"{self}: read its device object")

    # ---- reading ----------------------------------------------------------------------------

    async def read(self, asks: Sequence[Ask]) -> list[Answer]:
        """Read properties in as few requests as the device can do; in the order of `asks`.

        Raises:
            GL002Error: it does not answer.
        """
        profile = await self.learn()
        return await self._read(asks, longest=min(profile.max_apdu, LONGEST))

    async def _read(self, asks: Sequence[Ask], *, longest: int) -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < len(asks):
            rest, most = asks[len(answers) :], self._most
            if not self._multiple:
                return answers + await self._singly(rest)
            for piece in plan(rest, longest=longest, most=most):
                answers += await self._together(rest[piece.start : piece.stop])
                if most != self._most or not self._multiple:
                    break  # it has just taught us something
        return answers

    async def _together(self, asks: Sequence[Ask]) -> list[Answer]:
        """One ReadPropertyMultiple; what it takes where the device refuses it."""
        said = await self._exchange(
            self, READ_MULTIPLE, read_multiple(asks), f"read {len(asks)} properties"
        )
        if isinstance(said, bytes):
            try:
                found = read_multiple_answer(asks, said)
            except Malformed:
                return [Refusal(GARBLED, 0)] * len(asks)
            return [Refusal("error", f.code) if isinstance(f, Refused) else f for f in found]
        if lacks_service(said):
            self._multiple = False
        elif answers_too_long(said) and len(asks) > 1:
            self._most = max(1, len(asks) // 2)
            middle = len(asks) // 2
            return await self._together(asks[:middle]) + await self._together(asks[middle:])
        return await self._singly(asks)

    async def _singly(self, asks: Sequence[Ask]) -> list[Answer]:
        return [await self._one(ask) for ask in asks]

    async def _one(self, ask: Ask) -> Answer:
        what = f"read {object_name(ask.object)} {property_name(ask.property)}"
        said = await self._exchange(self, READ, read(ask), what)
        if isinstance(said, Refusal):
            return said
        try:
            return read_answer(ask, said)
        except Malformed:
            return Refusal(GARBLED, 0)

    async def objects(self) -> list[ObjectId]:
        """Every object it has; element by element where the list does not fit an answer.

        Raises:
            GL002Error: it does not answer, or has no list.
        """
        await self.learn()
        whole = await self._one(Ask(self.id, _OBJECT_LIST))
        if isinstance(whole, Refusal):
            if not answers_too_long(whole):
                raise explained(whole, f"{self}: read its object list")
            (count,) = await self._singly([Ask(self.id, _OBJECT_LIST, 0)])
            number = first(count)
            if not isinstance(number, int) or not 0 <= number <= _MOST_OBJECTS:
                raise Unsupported(f"{self}: gives no list of its objects")
            elements = [Ask(self.id, _OBJECT_LIST, i + 1) for i in range(number)]
            found = [first(answer) for answer in await self.read(elements)]
        else:
            found = [item.value for item in whole if isinstance(item, Datum)]
        return [value for value in found if isinstance(value, ObjectId)]

    # ---- writing ----------------------------------------------------------------------------

    async def type_of(self, ask: Ask, name: str) -> int:
        """Application tag of a property's value, asked of the device and never guessed.

        Args:
            ask: the property.
            name: what the user calls it, for messages.

        Raises:
            GL002Error: it cannot be read, or is no single value.
        """
        if ask not in self.types:
            await self.learn()
            answer = await self._one(ask)
            if isinstance(answer, Refusal):
                raise explained(answer, f"{name}: {self}")
            if len(answer) != 1 or not isinstance(answer[0], Datum):
                raise Unsupported(f"{name} is no single value")
            self.types[ask] = answer[0].tag
        return self.types[ask]

    async def write(self, ask: Ask, value: Datum, priority: int | None, name: str) -> None:
        """Write one property, in one request that is not repeated.

        Raises:
            DataError: the value does not fit its type; nothing was sent.
            GL002Error: the device refuses, or does not answer.
        """
        what = f"write {object_name(ask.object)} {property_name(ask.property)}"
        try:
            data = write(ask, value, priority)
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
        said = await self._exchange(self, WRITE, data, what)
        if isinstance(said, Refusal) and said.kind == GARBLED:
            raise RequestTimeout(
                f"{name}: {self}: the answer cannot be read; whether it was written is unknown"
            )
        if isinstance(said, Refusal):
            raise explained(said, f"{name}: {self}")


def first(answer: Answer) -> object:
    """The value of an answer that is one primitive; None of any other."""
    if isinstance(answer, Refusal) or len(answer) != 1:
        return None
    item = answer[0]
    return item.value if isinstance(item, Datum) else None
