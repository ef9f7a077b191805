"""Configuration of Azure IoT Hub: the connection, inputs, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gl002.config.blocks import RetrySettings, TlsSettings
from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.wire import azure_dps
from gl002.wire.azure_iot import (
    DESIRED,
    DEVICE,
    LARGEST_MESSAGE,
    MESSAGES_PER_SECOND,
    RESULTS,
    WEBSOCKET,
    commands_filter,
    parts_of,
    read_state,
)
from gl002.wire.desired_state import state_decoder
from gl002.wire.json_payload import TimeUnit
from gl002.wire.mqtt_payload import Decoder, tag_template

_TLS_PORT, _HTTPS_PORT = 8883, 443
_ROOM = 8 * 1024  # bytes of a message for its topic and properties


class ProvisioningSettings(Settings):
    """The device provisioning service, which tells the hub of a device."""

    id_scope: str = Field(min_length=1, description="Of the service, '0ne00000A0A'.")
    registration_id: str = Field(
        pattern=r"^[A-Za-z0-9\-._:]{1,128}$", description="Of the device; its name at the hub, too."
    )
    key_is: Literal["device", "group"] = Field(
        "device",
        description="Whose key shared_access_key is. group: that of the enrollment group; the "
        "device's is made from it. Better: make it elsewhere, so that one gateway holds one key.",
    )
    endpoint: str = Field(azure_dps.HOST, description="Host of the service, or host:port.")

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        Endpoint.of(endpoint, _TLS_PORT)
        return endpoint

    @property
    def address(self) -> Endpoint:
        """Host and port."""
        return Endpoint.of(self.endpoint, _TLS_PORT)


class AzureIoTConfig(Settings):
    """A connection of one device, or of a module on it, to its hub."""

    shorthand: ClassVar = {"ca_path": "tls.ca", "cert_path": "tls.cert", "key_path": "tls.key"}

    connection_string: str | None = Field(
        None,
        description="Of the device: 'HostName=...;DeviceId=...;SharedAccessKey=...', as the hub "
        "shows it. It is taken apart when it is read.",
    )
    host: str = Field("", description="Host name of the hub, 'hub.azure-devices.net'.")
    device_id: str = Field("", pattern=f"{DEVICE}|^$", description="Name of the device at the hub.")
    provisioning: ProvisioningSettings | None = Field(
        None, description="Instead of host and device_id: the service that tells the hub."
    )
    module_id: str = Field("", max_length=128, description="Module on the device.")
    shared_access_key: Secret | None = Field(
        None, description="Key that tokens are signed with. Absent: a certificate (X.509)."
    )
    gateway: str = Field("", description="Host to connect to in the hub's stead: IoT Edge.")
    protocol: Literal["mqtt", "mqtt_ws"] = Field(
        "mqtt",
        description="mqtt_ws: MQTT in a WebSocket, where a firewall lets only HTTPS out.",
    )
    port: Port | None = Field(None, description="TCP port; absent 8883, 443 with a WebSocket.")
    tls: TlsSettings = Field(
        TlsSettings(), description="The authorities to trust, and the device's certificate."
    )
    token_lifetime: Seconds = Field(
        3600.0,
        ge=1,
        le=365 * 86400,
        description="How long a token is valid. A new one is made after four fifths of it.",
    )
    keepalive: int = Field(
        30, ge=5, le=1767, description="Seconds of silence before the hub is asked if it is there."
    )
    messages_per_second: float = Field(
        MESSAGES_PER_SECOND,
        gt=0,
        le=100_000,
        description="Pace of outputs: what the hub's tier takes, shared among its devices.",
    )
    timeout: Seconds = Field(10.0, gt=0, description="Seconds one request may take.")
    retry_policy: RetrySettings = Field(
        RetrySettings(), description="How a request is tried again when the connection fails."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split the connection string, so that the key in it is a secret like any other."""
        text = data.get("connection_string") if isinstance(data, Mapping) else None
        if text is None:
            return data
        parts = parts_of(text if isinstance(text, str) else str(text))
        rest = {key: value for key, value in data.items() if key != "connection_string"}
        for key in sorted(parts.keys() & rest.keys()):
            raise ValueError(f"'connection_string' and '{key}' say the same thing: keep one")
        return parts | rest

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.provisioning is not None and (self.host or self.device_id):
            raise ValueError("provisioning tells the hub and the device: leave out the others")
        if self.provisioning is None and not (self.host and self.device_id):
            raise ValueError("no connection_string, or host and device_id, or provisioning")
        if self.shared_access_key is None and self.tls.cert is None:
            raise ValueError(
                "no credential: a SharedAccessKey in connection_string, or cert_path and key_path"
            )
        if self.shared_access_key is not None and self.tls.cert is not None and not self.gateway:
            raise ValueError("a shared access key and a certificate: the hub takes one of both")
        return self

    @property
    def device(self) -> str:
        """Name of the device at its hub."""
        return self.device_id or (self.provisioning.registration_id if self.provisioning else "")

    @property
    def key(self) -> Secret | None:
        """Key that tokens are signed with; None with a certificate.

        Raises:
            ConfigError: that of the enrollment group is no base64.
        """
        how, key = self.provisioning, self.shared_access_key
        if key is not None and how is not None and how.key_is == "group":
            return azure_dps.device_key(key, how.registration_id)
        return key

    def address_of(self, hub: str) -> Endpoint:
        """Host and port to connect to, for this hub."""
        default = _HTTPS_PORT if self.protocol == "mqtt_ws" else _TLS_PORT
        return Endpoint(self.gateway or hub, self.port or default)

    @property
    def path(self) -> str:
        """Of the WebSocket; '' for none."""
        return WEBSOCKET if self.protocol == "mqtt_ws" else ""

    def request_timeout(self) -> float:
        """Seconds one request may take."""
        return self.timeout

    def retry(self) -> RetryPolicy:
        """How a request is tried again."""
        return self.retry_policy.policy()


class AzureIoTInput(InputSettings):
    """An entry of `data_flow.input`: the desired properties, or messages from the cloud."""

    what: Literal["desired", "messages"] = Field(
        "desired",
        description="desired: the twin's desired properties, as tags 'desired.<path>'. messages: "
        "cloud-to-device messages, JSON objects, as tags 'messages.<key>'. Nothing is written to "
        "the plant because of either.",
    )
    time_key: str | None = Field(
        None, description="Of messages: key of the values' time. Absent: arrival."
    )
    time_unit: TimeUnit = Field(
        "iso", description="iso is text as ISO 8601; the others are numbers."
    )
    max_tags: int = Field(
        10_000, ge=1, le=100_000, description="Further tags are left out, counted and told of."
    )

    def decoder_for(self, device: str) -> Decoder:
        """What reads the messages for this device."""
        prefix = self.prefix or f"{self.what}."
        if self.what == "desired":
            return state_decoder((f"{DESIRED}#", f"{RESULTS}#"), prefix, read_state)
        return Decoder(
            filters=(commands_filter(device),),
            tag=tag_template("{key}"),
            prefix=prefix,
            time_key=self.time_key,
            time_unit=self.time_unit,
        )


class AzureIoTOutput(OutputSettings):
    """An entry of `data_flow.output`: batches of samples as telemetry."""

    properties: dict[str, str] = Field(
        {}, description="Properties of each message, for the hub's routes."
    )
    max_payload: int = Field(
        LARGEST_MESSAGE - _ROOM,
        ge=1024,
        le=LARGEST_MESSAGE - _ROOM,
        description="Longest message, bytes.",
    )
