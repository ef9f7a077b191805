"""What a user configures about one device and its values, by hand or from an EDE file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from gl002.config.settings import Seconds, Settings
from gl002.security.network import Endpoint
from gl002.transport.bacnet.station import PORT
from gl002.wire.bacnet import NO_INSTANCE, ObjectId
from gl002.wire.bacnet_ede import EdePoint, decode, parse
from gl002.wire.bacnet_names import TREND_LOG, object_name, parse_object, parse_property
from gl002.wire.bacnet_services import PRESENT_VALUE, Ask

_MOST_MAC = 18  # octets: BACnet/IPv6 (6.2.2)


class CovSettings(Settings):
    """Whether and how a device reports changes by itself (13.1)."""

    scalar_form: ClassVar = ("boolean",)

    enabled: bool = Field(True, description="Subscribe; poll only what the device refuses.")
    lifetime: Seconds = Field(
        300, ge=10, le=86_400, description="Of a subscription; renewed when half of it is over."
    )
    confirmed: bool = Field(
        True, description="The device repeats a report until we acknowledge it."
    )
    refresh: Seconds = Field(
        10,
        gt=0,
        description="How often the values are read all the same: shows that the device lives and "
        "that no report was lost.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_flag(cls, data: object) -> object:
        return {"enabled": data} if isinstance(data, bool) else data


class ObjectSettings(Settings):
    """One value of a device."""

    name: str = Field(min_length=1, description="Its name; the tag is '<device>.<name>'.")
    object: str = Field(description="'analog-input,1', 'AI1'; '130,5' for a type without a name.")
    property: str = Field("present-value", description="Its property, by name or number.")
    index: int | None = Field(None, ge=0, description="Element of a property that is an array.")
    scale: float = Field(1.0, description="Multiplied to a number.")
    offset: float = Field(0.0, description="Added after that.")
    unit: str = Field("", description="Unit after that; what the device says where absent.")
    cov: bool | None = Field(None, description="Against the device's cov: subscribe or poll.")
    trend_log: str | None = Field(
        None, description="Trend log with its history, 'trend-log,3'; found by itself where absent."
    )
    description: str = Field("", description="A plain phrase.")

    @model_validator(mode="after")
    def _exists(self) -> Self:
        parse_object(self.object)
        parse_property(self.property)
        if self.trend_log is not None and parse_object(self.trend_log).type != TREND_LOG:
            raise ValueError(f"trend_log: '{self.trend_log}' is no trend log")
        if self.scale == 0:
            raise ValueError("scale: 0 would make every value the same")
        return self

    def ask(self) -> Ask:  # no property: that word is a key here
        """What to read."""
        return Ask(parse_object(self.object), parse_property(self.property), self.index)


class DeviceSettings(Settings):
    """One device."""

    device_id: int | None = Field(
        None,
        ge=0,
        lt=NO_INSTANCE,
        description="Its number, unique in the whole system; whatever answers at its address "
        "where absent.",
    )
    name: str = Field("", description="Its name in tags; 'device<number>' where absent.")
    address: str = Field(
        "",
        description="'host' or 'host:port'; that of the connection where absent, else found by "
        "'discover' or 'bbmd'.",
    )
    network: int | None = Field(
        None, ge=1, le=65534, description="BACnet network it is in, behind the router at 'address'."
    )
    mac: int | str | None = Field(
        None, description="Its address in that network: 5 on MS/TP, '0a:14:00:05:ba:c0' elsewhere."
    )
    polling_interval: float = Field(
        1000.0, ge=0, description="Milliseconds between two readings of what is polled."
    )
    cov: CovSettings = Field(CovSettings(), description="Reports of changes; false to poll all.")
    objects: list[ObjectSettings] = Field(default=[], description="Its values.")

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        if address:
            Endpoint.of(address, PORT)
        return address

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.network is None) != (self.mac is None):
            raise ValueError("network and mac come as a pair: give both or neither")
        _ = self.mac_octets
        names: set[str] = set()
        for each in self.objects:
            if each.name in names:
                raise ValueError(f"two objects are named '{each.name}'")
            names.add(each.name)
        return self

    @property
    def label(self) -> str:
        """Its name in tags."""
        return self.name or ("device" if self.device_id is None else f"device{self.device_id}")

    @property
    def mac_octets(self) -> bytes:
        """Its address behind a router, as octets.

        Raises:
            ValueError: it is none.
        """
        if self.mac is None:
            return b""
        try:
            if isinstance(self.mac, int):
                return bytes([self.mac])
            octets = bytes.fromhex(self.mac.replace(":", "").replace("-", ""))
        except ValueError:
            octets = b""
        if not 1 <= len(octets) <= _MOST_MAC:
            raise ValueError("mac: expected a number up to 255, or octets such as '0a:14:00:05'")
        return octets

    def subscribes(self, each: ObjectSettings) -> bool:
        """Whether changes of an object are to be reported; only of present values they can be."""
        wanted = self.cov.enabled if each.cov is None else each.cov
        return wanted and each.ask().property == PRESENT_VALUE and each.index is None


def points_by_device(path: str) -> dict[int, list[EdePoint]]:
    """The points of an EDE file, by the number of their device.

    Raises:
        ValueError: it is missing, or no EDE file.
    """
    try:
        points = parse(decode(Path(path).read_bytes()))
    except OSError as error:
        raise ValueError(f"ede: {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"ede: {path}: {error}") from None
    found: dict[int, list[EdePoint]] = {}
    for point in points:
        found.setdefault(point.device, []).append(point)
    return found


def with_points(device: DeviceSettings, points: list[EdePoint]) -> DeviceSettings:
    """A device with its own objects and those of a file that it does not list itself."""
    listed: set[ObjectId] = {parse_object(each.object) for each in device.objects}
    names = {each.name for each in device.objects}
    merged = list(device.objects)
    for point in points:
        if point.object in listed:
            continue
        name = point.name if point.name and point.name not in names else object_name(point.object)
        names.add(name)
        merged.append(
            ObjectSettings(
                name=name,
                object=object_name(point.object),
                unit=point.unit,
                description=point.description,
                cov=point.cov,
            )
        )
    return device.model_copy(update={"objects": merged})
