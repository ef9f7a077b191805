"""What a user configures about BACnet/IP devices.

bacnet: {address: 10.20.0.15, device_id: 1001, objects: [...]}          flat: one device
bacnet: {discover: 10.20.0.0/24, devices: [{device_id: 1001}, ...]}     several devices
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PrivateAttr, field_validator, model_validator

from gl002.config.flow import InputSettings
from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint, Subnet
from gl002.transport.bacnet.devices import DeviceSettings, points_by_device, with_points
from gl002.transport.bacnet.station import PORT

_BY_OPERATORS = 8


class LocalSettings(Settings):
    """Our end."""

    address: str = Field(
        "0.0.0.0",  # noqa: S104 (only admitted senders are heard)
        description="Address of the network interface to use; any where absent.",
    )
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Our UDP port; 0: any free one. 47808 for devices that answer to no other.",
    )

    @field_validator("address")
    @classmethod
    def _is_ipv4(cls, address: str) -> str:
        try:
            return str(ipaddress.IPv4Address(address))
        except ValueError:
            raise ValueError(
                f"expected an IPv4 address of this machine, found '{address}'"
            ) from None

    @property
    def endpoint(self) -> Endpoint:
        """What to bind."""
        return Endpoint(self.address, self.port)


class BbmdSettings(Settings):
    """A BBMD that hands broadcasts on, for devices in other subnets than ours (annex J.5)."""

    scalar_form: ClassVar = ("string",)

    address: str = Field(description="'host' or 'host:port'; port 47808 where absent.")
    ttl: int = Field(
        300, ge=30, le=65535, description="Seconds for which we register; renewed in time."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: object) -> object:
        return {"address": data} if isinstance(data, str) else data

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        Endpoint.of(address, PORT)
        return address

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint.of(self.address, PORT)


class BacnetConfig(Settings):
    """Devices that are reached through one socket."""

    shorthand: ClassVar = {
        "device_id": "devices.0.device_id",
        "name": "devices.0.name",
        "network": "devices.0.network",
        "mac": "devices.0.mac",
        "polling_interval": "devices.0.polling_interval",
        "cov": "devices.0.cov",
        "objects": "devices.0.objects",
    }

    address: str = Field(
        "", description="'host' or 'host:port' of devices that give none: the only one, a router."
    )
    timeout: Seconds = Field(3.0, gt=0, description="Seconds to wait for an answer.")
    retry_count: int = Field(
        2, ge=0, le=10, description="How often a request is sent again. Writes never are."
    )
    local: LocalSettings = Field(LocalSettings(), description="Our end.")
    discover: str | None = Field(
        None,
        description="Subnet to search by broadcast, '10.20.0.0/24'; with ':port' where it is not "
        "47808. Devices found there may be talked to.",
    )
    bbmd: BbmdSettings | None = Field(None, description="BBMD to register with, or its address.")
    write_priority: int = Field(
        14,
        description="Priority of writes, 9 to 16. 1 to 8 belong to safety and to people.",
    )
    time_zone: str | None = Field(
        None, description="That of the devices' clocks, 'Europe/Berlin'; ours where absent."
    )
    ede: list[str] = Field(
        default=[], description="EDE files: their objects are added to the devices."
    )
    devices: list[DeviceSettings] = Field(default=[], description="The devices.")

    @field_validator("ede", mode="before")
    @classmethod
    def _one_file(cls, files: object) -> object:
        return [files] if isinstance(files, str) else files

    @field_validator("write_priority")
    @classmethod
    def _not_that_of_people(cls, priority: int) -> int:
        return checked_priority(priority)

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"there is no time zone '{zone}'") from None
        return zone

    @field_validator("discover")
    @classmethod
    def _is_subnet(cls, text: str | None) -> str | None:
        if text is not None:
            subnet_of(text)
        return text

    _every_device: list[DeviceSettings] = PrivateAttr(default=[])

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.devices or self.discover or self.address or self.bbmd):
            raise ValueError("no device: give 'address', 'devices' or 'discover'")
        self._every_device = self._with_files()
        labels: set[str] = set()
        for device in self._every_device:
            if device.label in labels:
                raise ValueError(f"two devices are named '{device.label}'")
            labels.add(device.label)
            if not (device.address or self.address or self.can_search):
                raise ValueError(
                    f"{device.label} has no address: give it one, or 'discover' or 'bbmd'"
                )
            if device.device_id is None and not (device.address or self.address):
                raise ValueError(f"{device.label} has neither device_id nor address")
        return self

    @property
    def can_search(self) -> bool:
        """Whether devices can be found by broadcast."""
        return self.discover is not None or self.bbmd is not None

    @property
    def subnet(self) -> Subnet | None:
        """Where broadcasts go."""
        return None if self.discover is None else subnet_of(self.discover)

    @property
    def endpoint(self) -> Endpoint:
        """What `address` says."""
        return Endpoint.of(self.address, PORT)

    def endpoint_of(self, device: DeviceSettings) -> Endpoint | None:
        """Where a device, or the router before it, is said to be; None where it is to be found."""
        address = device.address or self.address
        return Endpoint.of(address, PORT) if address else None

    @property
    def every_device(self) -> list[DeviceSettings]:
        """The devices, with what EDE files say of them."""
        return self._every_device

    def _with_files(self) -> list[DeviceSettings]:
        devices = list(self.devices)
        places = {d.device_id: i for i, d in enumerate(devices) if d.device_id is not None}
        if len(places) < sum(d.device_id is not None for d in devices):
            raise ValueError("two devices have the same device_id")
        for path in self.ede:
            for number, points in points_by_device(path).items():
                if number not in places:
                    places[number] = len(devices)
                    devices.append(DeviceSettings(device_id=number))
                devices[places[number]] = with_points(devices[places[number]], points)
        return devices or ([DeviceSettings()] if self.address else [])

    def request_timeout(self) -> float:
        """Seconds for a request with all its repetitions."""
        return self.timeout * (self.retry_count + 1)

    def retry(self) -> RetryPolicy:
        """A request is repeated by the transaction, with the same number: that is enough."""
        return RetryPolicy(max_attempts=1)


class BacnetInput(InputSettings):
    """What to read."""

    tags: list[str] | None = Field(
        None,
        description="Names of objects, or addresses such as 'boiler1.analog-input,1'; every "
        "configured object where absent.",
    )
    device: str | None = Field(None, description="Only this device of the connection.")


def checked_priority(priority: int) -> int:
    """A priority that a gateway may write with.

    Raises:
        ValueError: 1 to 8 are for safety, critical equipment and people (19.2); more do not exist.
    """
    if not _BY_OPERATORS < priority <= 16:  # noqa: PLR2004
        raise ValueError(
            f"priority {priority} is not ours: 1 to 8 belong to safety, critical equipment and "
            "operators; write with 9 to 16"
        )
    return priority


def subnet_of(text: str) -> Subnet:
    """The subnet that '10.20.0.0/24' or '10.20.0.0/24:47809' means.

    Raises:
        ValueError: it is none.
    """
    hosts, _, port = text.partition(":")
    try:
        network = ipaddress.IPv4Network(hosts, strict=False)
        number = int(port) if port else PORT
    except ValueError:
        network, number = ipaddress.IPv4Network("0.0.0.0/0"), 0
    if "/" not in hosts or not 0 < number < 1 << 16 or network.prefixlen > 30:  # noqa: PLR2004
        raise ValueError(f"expected a subnet such as 10.20.0.0/24, found '{text}'")
    return Subnet(network, number)


def settings_of(url: str) -> Mapping[str, Any]:
    """Settings for 'bacnet://host:47808/1001', or for 'bacnet://10.20.0.0/24' to search there.

    A number up to 32 after an address that can be that of a subnet is its mask; with a port it is
    a device.

    Raises:
        ConfigError: no address in it, or a device number that is none.
    """
    parts = urlsplit(url)
    path = parts.path.strip("/")
    try:
        if path and int(path) <= 32 and parts.port is None and _is_network(parts.hostname, path):  # noqa: PLR2004
            return {"discover": f"{parts.hostname}/{path}"}
    except ValueError:
        pass
    endpoint = Endpoint.of(url, PORT)
    if path and not path.isdecimal():
        raise ConfigError(f"'{url}': '{path}' is no device number")
    settings = {"address": str(endpoint)}
    return {**settings, "device_id": int(path)} if path else settings


def _is_network(host: str | None, bits: str) -> bool:
    """Whether 'host/bits' is a subnet and not the address of a device with a small number."""
    try:
        ipaddress.IPv4Network(f"{host}/{bits}")
    except ValueError:
        return False
    return True
