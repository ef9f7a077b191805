"""The OpenAPI description of the API, from the types that its answers are made of."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import msgspec
from fastapi import FastAPI

_REFERENCE: Final = "#/components/schemas/{name}"
_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*(?:\n      .*)*)", re.MULTILINE)


def describe(app: FastAPI, answers: dict[str, Any], refusal: type) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        app: knows paths and parameters.
        answers: path -> type of its JSON answer.
        refusal: type of every other answer.
    """
    document = app.openapi()
    types = [*answers.values(), refusal]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_path = dict(zip(answers, schemas, strict=False))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _set_answers(operation["responses"], by_path.get(path), schemas[-1])
    known = document.setdefault("components", {})
    known["schemas"] = {name: _with_attributes(schema) for name, schema in components.items()}
    known["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    return document


def _set_answers(responses: dict[str, Any], answer: Any, refusal: Any) -> None:
    if answer is not None:
        responses["200"]["content"] = {"application/json": {"schema": answer}}
    responses.pop("422", None)
    responses["default"] = {
        "description": "Refused.",
        "content": {"application/json": {"schema": refusal}},
    }


def _with_attributes(schema: dict[str, Any]) -> dict[str, Any]:
    """Move what a docstring says about attributes to the properties it is about."""
    summary, _, attributes = inspect.cleandoc(schema.get("description", "")).partition(
        "\n\nAttributes:\n"
    )
    said = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    properties = {
        name: {**form, "description": said[name]} if name in said else form
        for name, form in schema.get("properties", {}).items()
    }
    return {**schema, "description": summary, "properties": properties}
