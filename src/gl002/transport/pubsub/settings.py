"""Configuration of Google Cloud Pub/Sub: the connection, inputs, outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Seconds
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.http.settings import URL, HTTPSettings, is_this_machine
from gl002.wire.json_payload import LARGEST, TimeUnit
from gl002.wire.mqtt_payload import Decoder, tag_template
from gl002.wire.mqtt_topic import Template
from gl002.wire.pubsub import LARGEST_MESSAGE, LONGEST_DEADLINE, MOST_PULLED, PROJECT, full_name
from gl002.wire.sample_topic import per_sample, topic_template

_EMULATOR_PORT = 8085
_LEAST_DEADLINE = 10
_OF_IOT_CORE = {"registry", "registry_id", "device", "device_id", "cloud_region"}


def _from_environment(name: str) -> str:
    return os.environ.get(name, "")


class GCPConfig(HTTPSettings):
    """A connection to Pub/Sub in one project."""

    project: str = Field(pattern=PROJECT, description="Id of the project, 'plant-1'.")
    credentials: str | None = Field(
        default_factory=lambda: _from_environment("GOOGLE_APPLICATION_CREDENTIALS") or None,
        description="JSON file of a service account's key, or of workload identity federation. "
        "Absent: $GOOGLE_APPLICATION_CREDENTIALS, else the identity of this machine or pod.",
    )
    credentials_json: Secret | None = Field(
        None, description="Content of such a file, from a secret store."
    )
    url: URL = Field(
        "https://pubsub.googleapis.com/",
        description="Of the service; a regional one keeps messages and their order in its region: "
        "'https://europe-west1-pubsub.googleapis.com'.",
    )
    emulator: str = Field(
        default_factory=lambda: _from_environment("PUBSUB_EMULATOR_HOST"),
        description="'host:port' of a Pub/Sub emulator, in the stead of the service and without "
        "credentials. Absent: $PUBSUB_EMULATOR_HOST.",
    )
    messages_per_second: float = Field(
        1000.0, gt=0, le=100_000, description="Pace of outputs: what the project's quota allows."
    )

    @model_validator(mode="before")
    @classmethod
    def _not_iot_core(cls, block: object) -> object:
        """Say what became of the service that these keys belonged to."""
        if isinstance(block, Mapping) and (found := sorted(_OF_IOT_CORE & block.keys())):
            raise ValueError(
                f"{', '.join(found)}: Google retired IoT Core, with its registries and devices, on "
                "16 August 2023. Here stand 'project' and 'credentials' of Pub/Sub; a service that "
                "took over the MQTT bridge is a connection of 'mqtt' with 'jwt'"
            )
        return block

    @field_validator("emulator")
    @classmethod
    def _is_address(cls, emulator: str) -> str:
        if emulator:
            Endpoint.of(emulator, _EMULATOR_PORT)
        return emulator

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.credentials_json is not None and "credentials" in self.model_fields_set:
            raise ValueError("'credentials' and 'credentials_json' say the same thing: keep one")
        if not self.emulator and not self.secure and not is_this_machine(self.endpoint.host):
            raise ValueError("url: over http:// the token would go in clear: write https://")
        return self

    @property
    def base_url(self) -> str:
        """Of the service, or of the emulator."""
        if self.emulator:
            return f"http://{Endpoint.of(self.emulator, _EMULATOR_PORT)}/"
        return self.url


class GCPInput(InputSettings):
    """An entry of `data_flow.input`: a pull subscription."""

    subscription: str = Field(
        description="Name of the subscription, or 'projects/<project>/subscriptions/<name>'. For "
        "this gateway alone: two that read the same one get half each."
    )
    tag: str = Field(
        "{key}",
        description="How tags are named: {key} of the JSON object, {1} is what name_attribute "
        "gives, {topic} the subscription.",
    )
    name_attribute: str = Field(
        "", description="Attribute that tells where a message comes from, 'deviceId', for {1}."
    )
    only_keys: list[str] | None = Field(None, description="Only these keys. All where absent.")
    time_key: str | None = Field(
        None, description="Key of the values' time. Absent: when the message was published."
    )
    time_unit: TimeUnit = Field(
        "iso", description="iso is text as ISO 8601; the others are numbers."
    )
    wait: Seconds = Field(
        20.0, ge=1, le=90, description="How long the service may wait for a first message."
    )
    max_messages: int = Field(500, ge=1, le=MOST_PULLED // 2, description="Messages taken at once.")
    ack_deadline: int = Field(
        60,
        ge=_LEAST_DEADLINE,
        le=LONGEST_DEADLINE,
        description="Seconds by which the service is put off while values are not on disk yet.",
    )
    max_tags: int = Field(
        10_000, ge=1, le=100_000, description="Further tags are left out, counted and told of."
    )
    commands: bool = Field(
        False,
        description="Messages ask for writes, {'point', 'value'}: each becomes a proposal that a "
        "person decides on, where writes.proposals.allow names this connection.",
    )
    answers: str = Field("", description="Topic on which commands are answered.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        full_name(self.subscription, "subscriptions", "project")
        tag_template(self.tag)
        if self.answers:
            full_name(self.answers, "topics", "project")
            if not self.commands:
                raise ValueError("answers are those to commands: set commands: true")
        return self

    def decoder(self) -> Decoder:
        """What reads the messages."""
        return Decoder(
            filters=("+",),
            tag=tag_template(self.tag),
            prefix=self.prefix,
            keys=None if self.only_keys is None else frozenset(self.only_keys),
            time_key=self.time_key,
            time_unit=self.time_unit,
        )


class GCPOutput(OutputSettings):
    """An entry of `data_flow.output`: samples as messages of a topic."""

    topic: str = Field(description="Name of the topic, or 'projects/<project>/topics/<name>'.")
    ordering_key: str = Field(
        "",
        description="Messages of one key are delivered in order: '{gateway}', '{source}', "
        "'{tag}' or a fixed text. With {tag}, {path} or {source} each sample is a message.",
    )
    one_message: bool = Field(
        False,
        description="A message for each sample, its fields on top, as BigQuery wants it.",
    )
    attributes: dict[str, str] = Field(
        {}, description="Attributes of each message, for filters of subscriptions."
    )
    max_payload: int = Field(
        LARGEST, ge=1024, le=LARGEST_MESSAGE, description="Longest message, bytes."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        full_name(self.topic, "topics", "project")
        if self.ordering_key:
            topic_template(self.ordering_key)
        if "id" in self.attributes:
            raise ValueError("attributes: 'id' is what repeats are known by: choose another name")
        return self

    @property
    def template(self) -> Template:
        """What decides which samples go together, and the ordering key where there is one."""
        key = topic_template(self.ordering_key) if self.ordering_key else None
        if key is not None and (per_sample(key) or not self.one_message):
            return key
        return topic_template("{tag}" if self.one_message else "messages")
