"""Configuration of AWS IoT Core: the connection, inputs, outputs."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gl002.config.blocks import RetrySettings, TlsSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.mqtt.entries import MQTTInput, MQTTOutput, as_list
from gl002.transport.mqtt.source import Reads
from gl002.wire.aws_iot import (
    LARGEST_MESSAGE,
    MESSAGES_PER_SECOND,
    MOST_FILTERS,
    NAME,
    check_shadow,
    check_topic,
    shadow_topic,
    state_reader,
)
from gl002.wire.desired_state import state_decoder
from gl002.wire.sample_topic import topic_template

CLASSIC = "classic"
"""Names the shadow without a name where '' would look forgotten."""
_TLS_PORT, _HTTPS_PORT = 8883, 443
_HOST = re.compile(r"\.iot(?:\.[a-z-]+)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?$")


class ProvisioningSettings(Settings):
    """Fleet provisioning by claim: a certificate that all gateways share gets each its own."""

    template: str = Field(pattern=r"^[0-9A-Za-z_-]{1,36}$", description="Name of the template.")
    claim_cert: str = Field(description="PEM file of the claim certificate.")
    claim_key: str = Field(description="PEM file of its private key.")
    parameters: dict[str, str] = Field(
        {}, description="Of the template. SerialNumber is the client_id where absent."
    )
    key_made_by: Literal["us", "aws"] = Field(
        "us", description="us: our private key never leaves this machine. aws: it comes from AWS."
    )


class AWSIoTConfig(Settings):
    """A connection to AWS IoT Core, with a device certificate or an access key."""

    shorthand: ClassVar = {"ca_path": "tls.ca", "cert_path": "tls.cert", "key_path": "tls.key"}

    endpoint: str = Field(
        description="Host of the account, 'xxxxx-ats.iot.us-west-2.amazonaws.com', or host:port."
    )
    port: Port | None = Field(
        None, description="8883 (absent), or 443 where a firewall wants it; 443 with mqtt_ws."
    )
    region: str = Field("", description="Of the endpoint; compared with it where both name one.")
    client_id: str = Field(
        "",
        max_length=128,
        description="Name of the connection; AWS closes the older of two with the same one. "
        "Absent: the gateway's name.",
    )
    thing_name: str = Field(
        "",
        pattern=f"{NAME}|^$",
        description="Thing whose shadows are meant. Absent: the client_id, as AWS recommends.",
    )
    tls: TlsSettings = Field(
        TlsSettings(),
        description="Certificates. Absent: 'aws/device.pem.crt' and 'aws/private.pem.key' in the "
        "gateway's state folder, and the system's authorities.",
    )
    provisioning: ProvisioningSettings | None = Field(
        None,
        description="How a gateway without a certificate gets one, once; it is kept in the state "
        "folder.",
    )
    protocol: Literal["mqtt", "mqtt_ws"] = Field(
        "mqtt",
        description="mqtt_ws: in a WebSocket on port 443, signed with an access key instead of a "
        "certificate.",
    )
    access_key_id: str = Field("", description="Name of the access key, for mqtt_ws.")
    secret_access_key: Secret | None = Field(None, description="The access key.")
    session_token: Secret | None = Field(None, description="Of a temporary access key.")
    alpn: bool | None = Field(
        None, description="Say in the TLS handshake that this is MQTT. Absent: on port 443."
    )
    keepalive: int = Field(
        30, ge=5, le=1200, description="Seconds of silence before AWS is asked if it is there."
    )
    session_expiry: Seconds = Field(
        3600.0,
        le=604_800,
        description="How long AWS keeps the session of a connection with an input.",
    )
    receive_maximum: int = Field(
        100, ge=1, le=1000, description="Messages it may send before the first is acknowledged."
    )
    messages_per_second: float = Field(
        MESSAGES_PER_SECOND,
        gt=0,
        le=10_000,
        description="Pace of outputs: what the account allows a connection to publish.",
    )
    timeout: Seconds = Field(10.0, gt=0, description="Seconds one request may take.")
    retry_policy: RetrySettings = Field(
        RetrySettings(), description="How a request is tried again when the connection fails."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "/" in self.endpoint or "@" in self.endpoint:
            raise ValueError("endpoint is a host, without a scheme or a path")
        given = Endpoint.of(self.endpoint, 0)
        if given.port and self.port and given.port != self.port:
            raise ValueError(f"endpoint names port {given.port}, port is {self.port}: keep one")
        named = _HOST.search(given.host)
        if self.region and named is not None and named[1] != self.region:
            raise ValueError(f"region is {self.region}, and the endpoint is in {named[1]}")
        self._check_way_in()
        return self

    def _check_way_in(self) -> None:
        has_key = bool(self.access_key_id) and self.secret_access_key is not None
        if self.protocol == "mqtt_ws":
            if not has_key:
                raise ValueError("mqtt_ws takes access_key_id and secret_access_key")
            if self.tls.cert is not None or self.provisioning is not None:
                raise ValueError("mqtt_ws is signed with the access key: there is no certificate")
            if not self.signing_region:
                raise ValueError("mqtt_ws takes a region: the endpoint does not name it")
        elif self.access_key_id:
            raise ValueError("an access key is for protocol: mqtt_ws")
        if self.provisioning is not None and self.tls.cert is not None:
            raise ValueError("cert_path names a certificate, so there is nothing to provision")

    @property
    def signing_region(self) -> str:
        """Region that signatures are made for; '' where it is not known."""
        named = _HOST.search(Endpoint.of(self.endpoint, 0).host)
        return self.region or (named[1] if named is not None else "")

    @property
    def address(self) -> Endpoint:
        """Host and port."""
        given = Endpoint.of(self.endpoint, 0)
        return Endpoint(given.host, given.port or self.port or self._usual_port)

    @property
    def _usual_port(self) -> int:
        return _HTTPS_PORT if self.protocol == "mqtt_ws" else _TLS_PORT

    @property
    def says_alpn(self) -> bool:
        """Whether the TLS handshake names the protocol."""
        if self.protocol == "mqtt_ws":
            return False
        return self.address.port == _HTTPS_PORT if self.alpn is None else self.alpn

    def request_timeout(self) -> float:
        """Seconds one request may take."""
        return self.timeout

    def retry(self) -> RetryPolicy:
        """How a request is tried again."""
        return self.retry_policy.policy()


class AWSIoTInput(MQTTInput):
    """An entry of `data_flow.input`: topics, or the desired state of a shadow."""

    needs_topics = False

    topics: Annotated[list[str], BeforeValidator(as_list)] = Field(
        [], max_length=MOST_FILTERS, description="Topic filters: 'boiler/+/data'."
    )
    qos: Literal[0, 1] = Field(
        1, description="1: acknowledged when stored. 0: may be lost. AWS knows no 2."
    )
    shadow: str | None = Field(
        None,
        description="Instead of topics: the desired state of this shadow, 'classic' for the one "
        "without a name. A wish is a tag, 'desired.<path>', and a proposal where `writes` says so.",
    )

    jobs: bool = Field(
        False,
        description="Also do the thing's jobs: those that propose a write wait for a person, any "
        "other fails. Leave it off where another program does the jobs of this thing.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.jobs and self.shadow is None:
            raise ValueError("'jobs' belongs to the input of a shadow")
        if bool(self.topics) == (self.shadow is not None):
            raise ValueError("an input has either topics or a shadow")
        for topic in self.topics:
            check_topic(topic, wildcards=True)
        check_shadow(self.shadow_name)
        return self

    @property
    def shadow_name(self) -> str:
        """Of the shadow, '' for the classic one."""
        return "" if self.shadow in {None, CLASSIC} else str(self.shadow)

    def decoder_for(self, thing: str) -> Reads:
        """What reads the messages, for the shadow of this thing."""
        if self.shadow is None:
            return self.decoder()
        name = self.shadow_name
        filters = (
            shadow_topic(thing, name, "update", "documents"),
            shadow_topic(thing, name, "get", "accepted"),
        )
        return state_decoder(filters, self.prefix or "desired.", state_reader(thing, name))


class AWSIoTOutput(MQTTOutput):
    """An entry of `data_flow.output`: where and how to publish."""

    topic: str = Field(
        description="Topic, as of 'mqtt' outputs; '$aws/rules/<rule>/...' goes to that rule "
        "without the cost of a message (Basic Ingest)."
    )
    max_payload: int = Field(
        LARGEST_MESSAGE, ge=1024, le=LARGEST_MESSAGE, description="Longest message, bytes."
    )

    @field_validator("topic")
    @classmethod
    def _fits(cls, topic: str) -> str:
        template = topic_template(topic)
        check_topic(template.fill(dict.fromkeys(template.fields, "x")))
        return topic
