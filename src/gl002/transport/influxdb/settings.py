"""Settings of a connection with InfluxDB, of what is read from it and where is written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Seconds
from gl002.errors import DataError
from gl002.security.secrets import Secret, part_of
from gl002.transport.http.settings import URL, HTTPSettings
from gl002.wire.influx_sample import TAG
from gl002.wire.line_protocol import Precision, series
from gl002.wire.mqtt_topic import Template

Api = Literal["v1", "v2", "v3"]

_IN_URL = ("org", "bucket", "token", "database")
_DAY = 86_400.0


def _as_api(value: object) -> object:
    """`api: 2` is a number in YAML."""
    return f"v{value}" if str(value) in {"1", "2", "3"} and not isinstance(value, bool) else value


def _measurement(name: str) -> str:
    try:
        series(name, {})
    except DataError as error:
        raise ValueError(str(error)) from None
    return name


Measurement = Annotated[str, AfterValidator(_measurement)]


class InfluxDBConfig(HTTPSettings):
    """One bucket or database of one server."""

    url: URL = Field(
        description="Address, 'http://host:8086' or 'https://...'. It may end in "
        "'?org=...&bucket=...&token=...', which are taken apart when it is read."
    )
    api: Annotated[Api, BeforeValidator(_as_api)] = Field(
        "v2",
        description="Interface: v2 (InfluxDB 2, Cloud), v1 (InfluxDB 1), v3 (InfluxDB 3; written "
        "only).",
    )
    token: Secret | None = Field(None, description="Token with rights on the bucket.")
    org: str = Field("gl002", min_length=1, description="Organisation that owns it (v2).")
    bucket: str = Field("gl002", min_length=1, description="Bucket that is written and read (v2).")
    username: str = Field("", description="User name (v1), where there is no token.")
    password: Secret | None = Field(None, description="Its password (v1).")
    database: str = Field(
        "",
        description="Database that is written and read (v1, v3); the bucket's name where absent.",
    )
    retention_policy: str = Field(
        "", description="Retention policy of it (v1); the database's default where absent."
    )
    measurement: Measurement = Field(
        "samples", description="Measurement that outputs write where they name no other."
    )
    precision: Precision = Field(
        "ns", description="Unit of times that are given as numbers, and of all times when sent."
    )
    gzip: bool = Field(True, description="Send points compressed.")
    batch_size: int = Field(5000, ge=1, le=100_000, description="Most points of one request.")
    max_rows: int = Field(100_000, ge=1, description="Most rows a query may give.")
    lookback: Seconds = Field(
        30 * _DAY, gt=0, description="How far back the newest value of a tag is looked for."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split the URL, so that a token in it is a secret like any other."""
        url = data.get("url") if isinstance(data, Mapping) else None
        if not isinstance(url, str) or "?" not in url:
            return data
        parts = urlsplit(url)
        found = dict(parse_qsl(parts.query))
        for name in found:
            if name not in _IN_URL:
                raise ValueError(f"url: '{name}' is not known here: {', '.join(_IN_URL)} are")
            if name in data:
                raise ValueError(f"'url' and '{name}' say the same thing: keep one")
        if "token" in found:
            found["token"] = part_of(url, partial(_token_in, {**found, "token": ""}))
        return {**data, **found, "url": urlunsplit(parts._replace(query=""))}

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.username and self.api != "v1":
            raise ValueError(f"{self.api} has no user name: give a token")
        if bool(self.username) != (self.password is not None):
            raise ValueError("give both username and password, or none of them")
        return self

    @property
    def base_url(self) -> str:
        """The address."""
        return self.url

    @property
    def db(self) -> str:
        """Name of the database (v1, v3)."""
        return self.database or self.bucket


def _token_in(rest: Mapping[str, str], url: str) -> str:
    """The token in a URL with the same rest."""
    found = dict(parse_qsl(urlsplit(url).query))
    token = found.get("token", "")
    if not token or {**found, "token": ""} != rest:
        raise ValueError("url: more than its token has changed; is it percent-encoded?")
    return token


class InfluxDBInput(InputSettings):
    """An entry of `data_flow.input`: what is new in a measurement is read again and again."""

    measurement: str = Field(
        "", description="Measurement of somebody else. Absent: that of the connection, as an "
        "output of ours has written it.",
    )  # fmt: skip
    tags: list[str] | None = Field(
        None, description="Only these tags of ours; all where absent. Not with a measurement."
    )
    where: dict[str, list[str]] = Field(
        default={}, description="Tags of InfluxDB and the values they may have."
    )
    fields: list[str] | None = Field(
        None, min_length=1, description="Only these fields of the measurement; all where absent."
    )
    tag: str | None = Field(
        None,
        description="Names of our tags: {field}, {measurement}, {tags} (all values, dots between), "
        "or a tag of InfluxDB by its key, '{boiler_id}.{field}'. Absent: "
        "'{measurement}.{tags}.{field}'.",
    )
    interval: Seconds = Field(10.0, gt=0, description="Time between two queries.")
    overlap: Seconds = Field(
        60.0,
        le=_DAY,
        description="How far before the newest point each query looks for others that were "
        "written late. What it has met before is left out.",
    )
    start: Seconds = Field(
        0.0, description="How far back to begin the very first time; 0: with the newest values."
    )
    max_tags: int = Field(
        10_000, ge=1, le=100_000, description="Further tags are left out, counted and told of."
    )

    @field_validator("where", mode="before")
    @classmethod
    def _lists(cls, where: object) -> object:
        if not isinstance(where, Mapping):
            return where
        return {key: [value] if isinstance(value, str) else value for key, value in where.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        of_others = {"where": self.where, "fields": self.fields, "tag": self.tag}
        given = [key for key, value in of_others.items() if value]
        if not self.measurement and given:
            raise ValueError(f"'{given[0]}' needs a 'measurement'")
        if self.measurement and self.tags is not None:
            raise ValueError("'tags' are those of our own measurement: use 'where' and 'fields'")
        if any(not values for values in self.where.values()):
            raise ValueError("'where' has a tag that may have no value at all")
        self.template()
        return self

    def template(self) -> Template:
        """How tags of others are named."""
        fields = "{field}, {measurement}, {tags} or the key of a tag"
        return Template(self.tag or "{measurement}.{tags}.{field}", bool, fields)

    def only(self) -> Mapping[str, list[str]]:
        """Tags of InfluxDB and the values they may have."""
        return {TAG: self.tags} if self.tags is not None else self.where


class InfluxDBOutput(OutputSettings):
    """Where an output writes."""

    measurement: Measurement | None = Field(
        None, description="Measurement to write; the connection's where absent."
    )
