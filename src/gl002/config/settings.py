"""Base of all configuration models, and the field types they share.

A model is nested and refuses unknown keys. The flat and the short forms that the guide shows are
`shorthand`: a table from a key to the place it stands for, applied once before validation.

    class ModbusConfig(Settings):
        shorthand = {"host": "connection.host"}
        connection: ConnectionSettings
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gl002.config.problems import InvalidConfig, Problem, keys_of, problems_of
from gl002.retry import RetryPolicy

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$")
_SECONDS = {
    ("", "s", "sec", "second", "seconds"): 1.0,
    ("ms", "millisecond", "milliseconds"): 0.001,
    ("m", "min", "minute", "minutes"): 60.0,
    ("h", "hour", "hours"): 3600.0,
    ("d", "day", "days"): 86400.0,
    ("w", "week", "weeks"): 604800.0,
}


def parse_duration(value: object) -> object:
    """Seconds from text such as '500ms', '10s', '1 day'; anything else as it came.

    Raises:
        ValueError: text that is no duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    for words, factor in _SECONDS.items():
        if match is not None and match[2] in words:
            return float(match[1]) * factor
    raise ValueError(f"expected a duration such as 30, '500ms', '10s' or '1 day', found {value!r}")


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0, "pattern": _DURATION.pattern}),
]
"""A duration in seconds: a number, or text with a unit."""
PLACE = "$comment"
"""Key in the JSON Schema of a short form that holds the place it stands for."""

Milliseconds: TypeAlias = Annotated[float, Field(gt=0)]
"""A duration in milliseconds, for the keys that the guide writes so."""
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]

Positive: TypeAlias = Annotated[float, Field(gt=0)]
"""A number above 0."""
Share: TypeAlias = Annotated[float, Field(ge=0)]
"""A number that is not below 0."""


class Settings(BaseModel):
    """Base of every configuration model: nested, immutable, unknown keys refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # a wrong secret is a secret
    )

    scalar_form: ClassVar[tuple[str, ...]] = ()
    """JSON types of a scalar that a validator of the block takes for all of it."""
    shorthand: ClassVar[Mapping[str, str]] = {}
    """Other keys the guide uses -> dotted place they stand for ('devices.0.slave_id').

    A key may be both a block and a shorthand for something in it (`security: Sign` beside
    `security: {mode: Sign}`): only a value that is no block is moved.
    """

    @classmethod
    def parse(cls, data: object, where: str = "") -> Self:
        """Check `data` and return the settings.

        Raises:
            ConfigError: lists every problem with its key, below `where`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            above = (where,) if where else ()
            raise InvalidConfig(
                Problem((*above, *p.path), p.message, p.hint) for p in problems_of(error, cls)
            ) from None

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Every key that may stand at the top of this block."""
        return keys_of(cls)

    def request_timeout(self) -> float:
        """Seconds one request may take; settings with a key of their own override it."""
        return 10.0

    def retry(self) -> RetryPolicy:
        """How often a single request is tried; settings with keys of their own override it."""
        return RetryPolicy(max_attempts=3)

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: Any) -> Any:
        """Move shorthand keys to the places they stand for."""
        if not isinstance(data, Mapping):
            return data
        unfolded: dict[str, Any] = {k: v for k, v in data.items() if not cls._is_short(k, v)}
        for key, value in data.items():
            if cls._is_short(key, value):
                _put(unfolded, key, cls.shorthand[key].split("."), value)
        return unfolded

    @classmethod
    def _is_short(cls, key: str, value: object) -> bool:
        return key in cls.shorthand and not (key in cls.model_fields and isinstance(value, Mapping))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The JSON Schema, with every shorthand beside the place it stands for."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        properties = schema.setdefault("properties", {})
        for key, place in cls.shorthand.items():
            short: dict[str, Any] = {"description": f"Short for {place}.", PLACE: place}
            if key in properties:  # a block is no short form
                short = {"anyOf": [properties[key], {**short, "not": {"type": "object"}}]}
            properties[key] = short
        covered = {place.partition(".")[0] for place in cls.shorthand.values()}
        schema["required"] = [name for name in schema.get("required", ()) if name not in covered]
        if cls.scalar_form:
            block = {key: schema.pop(key) for key in list(schema)}
            schema["anyOf"] = [block, {"type": list(cls.scalar_form)}]
        return schema


def _put(block: dict[str, Any], key: str, place: list[str], value: object) -> None:
    """Set a nested value; a second way to say the same thing is an error, as is a non-block."""
    here: Any = block
    for part, following in pairwise(place):
        inner = _copied(_get(here, part), as_list=following.isdigit())
        if inner is None:
            raise ValueError(f"'{key}' stands for '{'.'.join(place)}', but '{part}' is no block")
        _set(here, part, inner)
        here = inner
    if _get(here, place[-1]) is not None:
        raise ValueError(f"'{key}' and '{'.'.join(place)}' say the same thing: keep one")
    _set(here, place[-1], value)


def _copied(value: object, *, as_list: bool) -> Any:
    """A changeable copy of a block or list, an empty one where there is none; None for others."""
    if value is None:
        return [] if as_list else {}
    if as_list:
        return list(value) if isinstance(value, list) else None
    return dict(value) if isinstance(value, Mapping) else None


def _get(container: Any, part: str) -> Any:
    if isinstance(container, list):
        return container[int(part)] if int(part) < len(container) else None
    return container.get(part)


def _set(container: Any, part: str, value: object) -> None:
    if not isinstance(container, list):
        container[part] = value
    elif int(part) < len(container):
        container[int(part)] = value
    else:
        container.append(value)


def is_number(data: object) -> bool:
    """Whether a value as it was written is a number, for blocks that a number may stand for."""
    return isinstance(data, int | float) and not isinstance(data, bool)
