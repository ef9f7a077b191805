"""What a device has, as browsing shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gl002.connector import Found
from gl002.transport.bacnet.device import Answer, Device, Profile, first
from gl002.transport.bacnet.session import Heard
from gl002.wire.bacnet import ObjectId
from gl002.wire.bacnet_names import ANALOG, DEVICE, OBJECT_TYPES, object_name
from gl002.wire.bacnet_services import Ask
from gl002.wire.bacnet_units import from_bacnet

_NAME, _DESCRIPTION, _UNITS, _PRIORITY_ARRAY = 77, 28, 117, 87
_AT_ONCE = 50  # objects between two results


def found_device(device: Device, profile: Profile) -> Found:
    """A device that is configured."""
    return Found(
        address=device.label,
        name=profile.name or device.label,
        path=device.label,
        description=f"device {profile.instance}, {profile.vendor} {profile.model}".strip(", "),
    )


def found_unknown(heard: Heard) -> Found:
    """A device that answered a search; after 'bacnet://' its address leads to its objects."""
    number, station = heard.who.device, heard.station
    host, port = station.place
    behind = "" if station.network is None else f", {station}"
    return Found(
        address=f"{host}:{port}/{number}",
        name=f"device{number}",
        path=f"device{number}",
        description=f"vendor {heard.who.vendor}{behind}",
    )


async def described(device: Device) -> AsyncIterator[Found]:
    """Every object of a device but itself, with name, unit and description.

    Raises:
        GL002Error: the device does not answer.
    """
    targets = [target for target in await device.objects() if target.type != DEVICE]
    for start in range(0, len(targets), _AT_ONCE):
        piece = targets[start : start + _AT_ONCE]
        asks = [ask for target in piece for ask in _asks(target)]
        answers = dict(zip(asks, await device.read(asks), strict=True))
        for target in piece:
            yield _found(device, target, answers)


def _asks(target: ObjectId) -> Sequence[Ask]:
    properties = [Ask(target, _NAME), Ask(target, _DESCRIPTION)]
    if target.type in ANALOG:
        properties.append(Ask(target, _UNITS))
    return [*properties, Ask(target, _PRIORITY_ARRAY, 0)]  # element 0: its length, where it exists


def _found(device: Device, target: ObjectId, answers: dict[Ask, Answer]) -> Found:
    name, description, units, commandable = (
        first(answers[ask]) if ask in answers else None
        for ask in (
            Ask(target, _NAME),
            Ask(target, _DESCRIPTION),
            Ask(target, _UNITS),
            Ask(target, _PRIORITY_ARRAY, 0),
        )
    )
    shown = name if isinstance(name, str) and name else object_name(target)
    return Found(
        address=f"{device.label}.{object_name(target)}",
        name=shown,
        path=f"{device.label}/{shown}",
        type=OBJECT_TYPES.get(target.type, str(target.type)),
        unit=from_bacnet(units) if isinstance(units, int) else "",
        description=description if isinstance(description, str) else "",
        writable=isinstance(commandable, int),
    )
