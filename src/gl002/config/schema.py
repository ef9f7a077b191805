"""The JSON Schema of a whole `integrations.yaml`: editors complete and check while one types.

It describes the file as it is written, before `${...}` is filled in and short forms are moved, so
it takes every form that `load` takes. It is made from the models that check, never by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gl002.config.load import Sections
from gl002.config.settings import PLACE, Settings
from gl002.registry import AnyConnector, connector, kinds

Schema: TypeAlias = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{[^{}]+\}"}
_NO_TEXT = ("integer", "number", "boolean", "null")


def schema() -> dict[str, Any]:
    """The schema, in the dialect of 2020-12; made of every registered connector."""
    connectors = [connector(kind) for kind in kinds()]
    parts: list[type[BaseModel]] = [Sections, *(p for cls in connectors for p in _parts(cls))]
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (part, "validation") for part in dict.fromkeys(parts)
    ]
    refs, definitions = models_json_schema(models, ref_template="#/$defs/{model}")
    found: Schema = definitions["$defs"]
    _spell_out_short_forms(found)
    whole = _Whole({model: refs[model, "validation"] for model, _ in models}, found)
    top: Schema = found.pop(whole.name(Sections))
    top["properties"] = {"integrations": whole.integrations(connectors), **top["properties"]}
    return {
        "$schema": _DIALECT,
        "title": "integrations.yaml of gl002",
        **_with_references(top),
        "required": ["integrations"],
        "$defs": _with_references(found),
    }


def _parts(cls: AnyConnector) -> list[type[Settings]]:
    return [part for part in (cls.Config, cls.Input, cls.Output) if part is not None]


class _Whole:
    """Puts the schemas of the models together as the file does."""

    def __init__(self, refs: Mapping[type[BaseModel], Schema], found: Schema) -> None:
        self._refs = refs
        self._found = found

    def name(self, model: type[BaseModel]) -> str:
        return str(self._refs[model]["$ref"]).rpartition("/")[2]

    def integrations(self, connectors: list[AnyConnector]) -> Schema:
        blocks = {cls.kind: self._block(cls) for cls in connectors}
        return {
            "type": "object",
            "description": "The connectors, and what flows between them.",
            "properties": {
                "enabled": {
                    "type": ["array", "null"],
                    "description": "Kinds of connectors in use.",
                    "items": {"enum": list(blocks)},
                    "uniqueItems": True,
                },
                "data_flow": {
                    "type": ["object", "null"],
                    "description": "Where values come from and where they go.",
                    "properties": {
                        "input": self._entries(connectors, "source", "Input"),
                        "output": self._entries(connectors, "destination", "Output"),
                    },
                    "additionalProperties": False,
                },
                **blocks,
            },
            "additionalProperties": False,
        }

    def _block(self, cls: AnyConnector) -> Schema:
        """One connection, one for each name, or nothing where variables stand in."""
        one = self._connection(cls)
        keys = sorted(cls.Config.keys())
        named = {
            "type": "object",
            "description": "One connection for each name.",
            "minProperties": 1,
            "propertyNames": {"not": {"enum": keys}},
            "additionalProperties": one,
        }
        return {"anyOf": [self._with_instances(cls, one), named, {"type": "null"}]}

    def _connection(self, cls: AnyConnector) -> Schema:
        """Settings of one connection; the key that a variable can stand for may be enough."""
        config: Schema = self._found[self.name(cls.Config)]
        required = config.pop("required", [])
        enough = sorted({*cls.environment.values()} - {*required})
        if required and enough:
            config["anyOf"] = [{"required": required}, {"required": enough}]
        elif required:
            config["required"] = required
        return dict(self._refs[cls.Config])

    def _with_instances(self, cls: AnyConnector, one: Schema) -> Schema:
        """A block in which the entries of a list may be connections of their own."""
        key = cls.list_of_instances
        if not key:
            return one
        properties = {**self._found[self.name(cls.Config)]["properties"]}
        properties[key] = {"type": "array", "items": one, "minItems": 1}
        several = {
            "type": "object",
            "properties": properties,
            "required": [key],
            "additionalProperties": False,
        }
        return {"anyOf": [one, several]}

    def _entries(
        self, connectors: list[AnyConnector], naming: str, part: Literal["Input", "Output"]
    ) -> Schema:
        """A list whose entries are described by the kind that they name."""
        able = [cls for cls in connectors if getattr(cls, part) is not None]
        named = [{"pattern": _names_of(cls)} for cls in able]
        rules = [
            {
                "if": {"properties": {naming: {"pattern": _names_of(cls)}}},
                "then": self._refs[getattr(cls, part)],
            }
            for cls in able
        ]
        entry = {
            "type": "object",
            "properties": {naming: {"type": "string", "anyOf": named}},
            "required": [naming],
            "allOf": rules,
        }
        return {"type": ["array", "null"], "items": entry}


def _names_of(cls: AnyConnector) -> str:
    return rf"^{cls.kind}(\..+)?$"


def _spell_out_short_forms(found: Schema) -> None:
    """Give every short form the schema of the place it stands for."""
    for definition in found.values():
        for name, short in definition.get("properties", {}).items():
            form = next((f for f in (short, *short.get("anyOf", [])) if PLACE in f), None)
            if form is not None:
                place = form.pop(PLACE).split(".")
                form |= {**_at(definition, place, found), "description": form["description"]}
                definition["properties"][name] = short


def _at(block: Schema, place: list[str], found: Schema) -> Schema:
    """The schema of a place inside a block; an empty one where the way there is not plain."""
    for part in place:
        inner = block.get("items") if part.isdigit() else block.get("properties", {}).get(part)
        if not isinstance(inner, dict):
            return {}
        block = found.get(str(inner.get("$ref", "")).rpartition("/")[2], inner)
    return {key: value for key, value in block.items() if key not in {"default", "title"}}


def _with_references(node: Any) -> Any:
    """The schema, every scalar that is no text also open for a reference such as `${PORT}`."""
    if isinstance(node, list):
        return [_with_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _with_references(value) for key, value in node.items()}
    if not _is_scalar(node):
        return inner
    about = {key: inner.pop(key) for key in ("description", "title", "default") if key in inner}
    return {**about, "anyOf": [inner, _REFERENCE]}


def _is_scalar(node: Schema) -> bool:
    kinds_ = node.get("type", [])
    if isinstance(kinds_, list):
        return bool(kinds_) and "pattern" in node
    return kinds_ in _NO_TEXT or "const" in node or (kinds_ == "string" and "enum" in node)
