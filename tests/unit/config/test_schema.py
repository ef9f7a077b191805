"""The JSON Schema says of a file what `load` says of it, as far as a schema can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gl002.config.schema import schema
from gl002.config.yaml import Document
from gl002.registry import connector, kinds

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "config" / "cases"
GOOD = sorted(path.parent.name for path in CASES.glob("*/expected.json"))
UNKNOWN_KEYS = sorted(
    path.parent.name for path in CASES.glob("*/error.txt") if "unknown key" in path.read_text()
)
PLC = {"integrations": {"enabled": ["modbus"], "modbus": {"host": "plc"}}}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    whole = schema()
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


def _errors(validator: Draft202012Validator, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]


def _data(case: str) -> Any:
    return Document((CASES / case / "integrations.yaml").read_text(), "f").data


@pytest.mark.parametrize("case", GOOD)
def test_a_file_that_loads_is_valid(validator: Draft202012Validator, case: str) -> None:
    assert _errors(validator, _data(case)) == []


@pytest.mark.parametrize("case", UNKNOWN_KEYS)
def test_a_file_with_an_unknown_key_is_not(validator: Draft202012Validator, case: str) -> None:
    assert _errors(validator, _data(case)) != []


@pytest.mark.parametrize(
    "case",
    ["a_list", "no_integrations", "integrations_is_a_list", "enabled_is_no_list", "unknown_kind",
     "enabled_twice", "web_for_everyone", "wrong_types", "unknown_source", "empty_file"],
)  # fmt: skip
def test_a_file_of_the_wrong_shape_is_not(validator: Draft202012Validator, case: str) -> None:
    assert _errors(validator, _data(case)) != []


def test_shipped_files_are_valid(validator: Draft202012Validator) -> None:
    shipped = [path for path in (ROOT / "src").rglob("*.yaml") if _is_configuration(path)]
    for path in shipped:
        assert _errors(validator, Document(path.read_text(), path.name).data) == [], path


def _is_configuration(path: Path) -> bool:
    return re.search(r"^integrations:", path.read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize(
    "block",
    [
        {"host": "plc"},
        {"host": "${PLC}", "port": "${PORT}", "timeout": "${T:-3s}", "slave_id": "${ID}"},
        {"connection": {"host": "plc"}, "devices": [{"slave_id": 1}, {"slave_id": 2}]},
        {"devices": [{"name": "a", "host": "x", "port": 502}, {"name": "b", "host": "y"}]},
        {"north": {"host": "a"}, "south": {"host": "b"}},
        None,
    ],
)
def test_every_form_of_a_block_is_valid(validator: Draft202012Validator, block: Any) -> None:
    assert _errors(validator, {"integrations": {"enabled": ["modbus"], "modbus": block}}) == []


@pytest.mark.parametrize(
    "block",
    [
        {"hots": "plc"}, {"host": "plc", "slaveid": 1}, 5, [], "plc",
        {"devices": [{"name": "a", "hots": "x"}]}, {"north": {"hots": "a"}},
        {"north": {"host": "a"}, "south": 5}, {"host": "plc", "timeout": "soon"},
        {"host": "plc", "parity": "X"},
    ],
    ids=str,
)  # fmt: skip
def test_no_form_of_a_wrong_block_is(validator: Draft202012Validator, block: Any) -> None:
    assert _errors(validator, {"integrations": {"enabled": ["modbus"], "modbus": block}}) != []


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ({"store": {"commit_interval": "20ms"}}, True),
        ({"store": {"commit_interval": "${INTERVAL}"}}, True),
        ({"store": {"commit_interval": -1}}, False),
        ({"store": {"on_full": "${POLICY}"}}, True),
        ({"store": {"on_full": "explode"}}, False),
        ({"web": {"enabled": "${WEB}"}}, True),
        ({"web": {"enabled": 7}}, False),
        ({"stroe": {}}, False),
        ({"boilers": {"b": {"oxygen": {"tag": "o2", "basis": "wet"}, "stack_temperature": "t",
                            "air_temperature": 25}}}, True),
        ({"boilers": {"b": {"oxygen": "o2", "stack_temperature": [], "air_temperature": 1}}},
         False),
    ],
    ids=str,
)  # fmt: skip
def test_sections_are_checked(
    validator: Draft202012Validator,
    section: dict[str, Any],
    valid: bool,  # noqa: FBT001
) -> None:
    assert (_errors(validator, {**PLC, **section}) == []) is valid


def _keys(node: Any, path: str = "", *, names: bool = False) -> Iterator[tuple[str, Any]]:
    """Every key of a block; `names` tells a table of keys, where 'properties' is one of them."""
    if isinstance(node, dict):
        for name, value in ({} if names else node.get("properties", {})).items():
            yield f"{path}.{name}", value
        for key, value in node.items():
            yield from _keys(value, f"{path}.{key}", names=key == "properties" and not names)
    if isinstance(node, list):
        for i, value in enumerate(node):
            yield from _keys(value, f"{path}[{i}]")


def test_every_key_is_described_for_the_one_who_types() -> None:
    bare = [
        path
        for path, value in _keys(schema())
        if "description" not in json.dumps(value) and "$ref" not in json.dumps(value)
    ]
    assert [path for path in bare if not path.endswith((".source", ".destination"))] == []


def test_the_schema_names_every_kind() -> None:
    assert set(kinds()) <= set(schema()["properties"]["integrations"]["properties"])


def test_the_schema_is_made_anew_each_time() -> None:
    first = schema()
    first["properties"].clear()
    assert schema()["properties"]
    assert json.dumps(schema()) == json.dumps(schema())
    assert "properties" in connector("modbus").Config.model_json_schema()
