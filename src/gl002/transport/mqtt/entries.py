"""Configuration of MQTT: what to subscribe to, how it is read, where to publish."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gl002.config.flow import InputSettings, OutputSettings
from gl002.transport.mqtt.source import Reads
from gl002.wire.json_path import Path
from gl002.wire.json_payload import TimeUnit
from gl002.wire.mqtt_paths import PathDecoder, QualityForm, Value
from gl002.wire.mqtt_payload import Decoder, tag_template
from gl002.wire.mqtt_topic import IS_POSITION, Template, check_filter, check_name, inner_filter
from gl002.wire.sample_topic import topic_template
from gl002.wire.sparkplug_host import SparkplugDecoder
from gl002.wire.sparkplug_host import tag_template as sparkplug_tag
from gl002.wire.sparkplug_topic import EVERYTHING, NAMESPACE

_REORDER = 2.0  # seconds; what is lost is asked for well within the five after which it is heard of
_OF_PATHS = ("values", "items", "key_path", "time_path", "quality_path")


def as_list(value: object) -> object:
    """One topic filter may stand without its list."""
    return [value] if isinstance(value, str) else value


class MQTTInput(InputSettings):
    """An entry of `data_flow.input`: topics to subscribe to, and how their messages are read."""

    needs_topics: ClassVar = True
    """Whether there is nothing else to read but topics."""

    topics: Annotated[list[str], BeforeValidator(as_list)] = Field(
        default=[],
        description="Topic filters: 'boiler/+/data'; '$share/group/...' is shared. With format "
        "sparkplug all edge nodes where absent.",
    )
    qos: Literal[0, 1, 2] = Field(
        1,
        description="1: acknowledged when stored. 0: may be lost. 2: what was published with 2 is "
        "stored once, whatever its content.",
    )
    format: Literal["json", "json_path", "raw", "sparkplug"] = Field(
        "json",
        description="json: an object of values, or one value. json_path: values that lie deeper, "
        "found by 'values'. raw: one value as text. sparkplug: births, data and deaths of "
        "Sparkplug B.",
    )
    tag: str | None = Field(
        None,
        description="Names of the tags: {1}, {2} is what the wildcards stand for, {key} the key "
        "in the object, {topic} the topic. Absent: wildcards and key, dots between. With format "
        "sparkplug: {group}, {node}, {device}, {key}; absent: node, device and metric.",
    )
    only_keys: list[str] | None = Field(None, description="Only these keys of the object.")
    time_key: str | None = Field(None, description="Key of the values' time. Absent: arrival.")
    values: dict[str, str] = Field(
        default={},
        description="With json_path: tag -> path of its value, 'boiler{1}.o2: $.flue.o2'. {key} is "
        "what the wildcards of the path stand for.",
    )
    items: str | None = Field(
        None,
        description="With json_path: path to each of several things alike, '$.metrics[*]'; the "
        "other paths begin there.",
    )
    key_path: str | None = Field(
        None, description="With items: path of the name of each, which {key} stands for."
    )
    time_path: str | None = Field(
        None, description="With json_path: path of the values' time. Absent: arrival."
    )
    quality_path: str | None = Field(
        None, description="With json_path: path of their quality. Absent: good."
    )
    quality_form: QualityForm = Field(
        "words",
        description="words: Good, Uncertain, Bad, BadSensorFailure ..., true, false. opc_ua: "
        "status codes. opc_da: quality numbers, 192 is good.",
    )
    time_unit: TimeUnit = Field(
        "iso", description="iso is text as ISO 8601; the others are numbers."
    )
    reorder_timeout: float | None = Field(
        None,
        ge=0,
        le=60,
        description="With sparkplug: seconds that a message waits for those before it, until the "
        "edge node is asked for a birth. 0: it is asked at once. Absent: 2.",
    )
    max_tags: int = Field(
        10_000, ge=1, le=100_000, description="Further tags are left out, counted and told of."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for pattern in self.topics:
            check_filter(pattern)
        given = [key for key in _OF_PATHS if getattr(self, key)]
        if given and self.format != "json_path":
            raise ValueError(f"'{given[0]}' has a meaning with format json_path only")
        if self.format == "sparkplug":
            return self._as_sparkplug()
        if self.reorder_timeout is not None:
            raise ValueError("'reorder_timeout' has a meaning with format sparkplug only")
        if self.needs_topics and not self.topics:
            raise ValueError("'topics' is missing: which topics are to be read?")
        if self.format == "json_path":
            return self._as_paths()
        template = tag_template(self.tag) if self.tag is not None else None
        fields = template.fields if template is not None else frozenset()
        if self.format == "raw" and ("key" in fields or self.only_keys or self.time_key):
            raise ValueError("format raw is one value: it has no keys")
        if template is not None:
            self._check_positions(template)
        return self

    def _check_positions(self, template: Template) -> None:
        for pattern in self.topics:
            missing = [
                f for f in template.fields if IS_POSITION(f) and int(f) > _wildcards(pattern)
            ]
            if missing:
                raise ValueError(
                    f"tag asks for {{{missing[0]}}}, and '{pattern}' has fewer wildcards"
                )

    def _as_paths(self) -> Self:
        if self.tag or self.only_keys or self.time_key:
            raise ValueError("format json_path: tags stand in 'values', the time is 'time_path'")
        if not self.values:
            raise ValueError("'values' is missing: which tag's value lies where?")
        if self.key_path and not self.items:
            raise ValueError("'key_path' is the name of each of the 'items': say where they lie")
        among = Path(self.items).wildcards if self.items is not None else 0
        for tag, path in self.values.items():
            template, wildcards = tag_template(tag), Path(path).wildcards
            self._check_positions(template)
            if (wildcards or among or self.key_path) and "key" not in template.fields:
                raise ValueError(f"'{tag}': '{path}' leads to several values: put {{key}} into it")
            if "key" in template.fields and not (wildcards or among or self.key_path):
                raise ValueError(f"'{tag}': '{path}' has no wildcard that {{key}} could stand for")
        for single in (self.key_path, self.time_path, self.quality_path):
            if single is not None and Path(single).wildcards:
                raise ValueError(f"'{single}' leads to several values, and one is wanted")
        return self

    def _as_sparkplug(self) -> Self:
        if self.only_keys or self.time_key:
            raise ValueError("format sparkplug: names and times stand in the payload")
        if self.tag is not None:
            sparkplug_tag(self.tag)
        return self

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self.topics) or (EVERYTHING,)

    def decoder(self) -> Reads:
        """What reads the messages."""
        if self.format == "sparkplug":
            tag = sparkplug_tag(self.tag) if self.tag is not None else None
            wait = _REORDER if self.reorder_timeout is None else self.reorder_timeout
            return SparkplugDecoder(
                filters=self.filters, tag=tag, prefix=self.prefix, reorder_timeout=wait
            )
        if self.format == "json_path":
            return self._path_decoder()
        return Decoder(
            filters=tuple(self.topics),
            format=self.format,
            tag=tag_template(self.tag) if self.tag is not None else None,
            prefix=self.prefix,
            keys=frozenset(self.only_keys) if self.only_keys is not None else None,
            time_key=self.time_key,
            time_unit=self.time_unit,
        )

    def _path_decoder(self) -> PathDecoder:
        def path(text: str | None) -> Path | None:
            return Path(text) if text is not None else None

        return PathDecoder(
            filters=tuple(self.topics),
            values=[Value(tag_template(tag), Path(where)) for tag, where in self.values.items()],
            items=path(self.items),
            key=path(self.key_path),
            time=path(self.time_path),
            time_unit=self.time_unit,
            quality=path(self.quality_path),
            quality_form=self.quality_form,
            prefix=self.prefix,
        )


def _wildcards(pattern: str) -> int:
    """How many levels a filter's wildcards stand for; any number where it ends in '#'."""
    levels = inner_filter(pattern).split("/")
    return 99 if levels[-1] == "#" else levels.count("+")


class MQTTOutput(OutputSettings):
    """An entry of `data_flow.output`: where and how to publish."""

    format: Literal["json", "sparkplug"] = Field(
        "json",
        description="json: the samples as JSON. sparkplug: metrics of the connection's edge node.",
    )
    topic: str = Field(
        "",
        description="Topic. With {tag}, {path} (the tag, its dots as levels), {source} or "
        "{gateway}: a message for each sample; without: one for each batch.",
    )
    qos: Literal[0, 1, 2] | None = Field(
        None,
        description="That of the connection where absent, 1 at most. 2 needs 'clean_start: true'.",
    )
    retain: bool | None = Field(None, description="That of the connection where absent.")
    max_payload: int = Field(
        131_072, ge=1024, le=16 * 1024 * 1024, description="Longest message, bytes."
    )

    @model_validator(mode="after")
    def _publishable(self) -> Self:
        if self.format == "sparkplug":
            if self.topic or self.qos or self.retain:
                raise ValueError("format sparkplug has its own topics, QoS 0, and retains nothing")
            return self
        if not self.topic:
            raise ValueError("'topic' is missing or empty: where is it to be published?")
        template = topic_template(self.topic)
        filled = template.fill(dict.fromkeys(template.fields, "x"))
        check_name(filled)
        if filled.partition("/")[0] == NAMESPACE:  # NCMD and DCMD there command devices
            raise ValueError(f"topics below '{NAMESPACE}' are Sparkplug's: 'format: sparkplug'")
        return self
