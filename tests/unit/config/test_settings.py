"""The base of all settings: short forms, durations, and findings in our words."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gl002.config.problems import dotted, near, shortened
from gl002.config.settings import Milliseconds, Port, Seconds, Settings, parse_duration
from gl002.errors import ConfigError


class Register(Settings):
    address: int = Field(description="x")
    unit: str = Field("", description="x")


class Device(Settings):
    shorthand: ClassVar = {"id": "slave_id"}
    slave_id: int = Field(1, description="x")
    registers: list[Register] = Field(default=[], description="x")


class Security(Settings):
    mode: str = Field("None", description="x")
    policy: str | None = Field(None, description="x")


class Line(Settings):
    host: str = Field(description="x")
    port: Port = Field(502, description="x")
    timeout: Seconds = Field(3.0, description="x")


class Config(Settings):
    shorthand: ClassVar = {
        "host": "line.host", "port": "line.port", "slave_id": "devices.0.slave_id",
        "security": "security.mode", "security_policy": "security.policy",
    }  # fmt: skip
    line: Line = Field(description="x")
    devices: list[Device] = Field(default=[], description="x")
    security: Security = Field(Security(), description="x")
    named: dict[str, Register] = Field(default={}, description="x")
    either: Register | str | None = Field(None, description="x")
    delay: Milliseconds = Field(5, description="x")


def _message(data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.parse(data, "kind")
    return str(caught.value)


# ---- short forms ------------------------------------------------------------------------------


def test_short_and_long_forms_are_the_same() -> None:
    long = Config.parse(
        {
            "line": {"host": "plc", "port": 1502},
            "devices": [{"slave_id": 7}],
            "security": {"mode": "Sign", "policy": "Basic256Sha256"},
        }
    )
    short = Config.parse(
        {
            "host": "plc", "port": 1502, "slave_id": 7,
            "security": "Sign", "security_policy": "Basic256Sha256",
        }
    )  # fmt: skip
    assert short == long


def test_both_forms_may_be_mixed_where_they_say_different_things() -> None:
    mixed = Config.parse(
        {"line": {"port": 1}, "host": "a", "devices": [{"registers": []}], "slave_id": 2}
    )
    assert (mixed.line.host, mixed.line.port, mixed.devices[0].slave_id) == ("a", 1, 2)


def test_a_key_that_is_block_and_short_form_takes_both() -> None:
    base = {"host": "a"}
    assert Config.parse({**base, "security": "Sign"}).security.mode == "Sign"
    assert Config.parse({**base, "security": {"mode": "Sign"}}).security.mode == "Sign"
    both = Config.parse({**base, "security": "Sign", "security_policy": "X"})
    assert both.security.policy == "X"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"host": "a", "line": {"host": "b"}},
            "kind: 'host' and 'line.host' say the same thing: keep one",
        ),
        ({"host": "a", "line": 5}, "kind: 'host' stands for 'line.host', but 'line' is no block"),
        ({"host": "a", "devices": 5, "slave_id": 1}, "'devices' is no block"),
        ({"host": "a", "devices": [5], "slave_id": 1}, "'0' is no block"),
        ({"host": ["a"]}, "kind.line.host"),
    ],
)  # fmt: skip
def test_short_forms_that_clash_or_lead_nowhere_are_refused(data: Any, message: str) -> None:
    assert message in _message(data)


def test_the_given_mapping_is_left_as_it_was() -> None:
    given: dict[str, Any] = {"host": "a", "line": {"port": 1}, "devices": [{"slave_id": 1}]}
    Config.parse(given)
    assert given == {"host": "a", "line": {"port": 1}, "devices": [{"slave_id": 1}]}


def test_settings_do_not_change() -> None:
    config = Config.parse({"host": "a"})
    with pytest.raises(ValueError, match="frozen"):
        config.delay = 7  # type: ignore[misc]


def test_all_keys_of_a_block_are_known() -> None:
    assert Config.keys() >= {"line", "host", "port", "slave_id", "security_policy", "delay"}


# ---- findings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "kind.line: is missing"),
        ({"line": {}}, "kind.line.host: is missing"),
        ({"hots": "a"}, "kind.hots: unknown key 'hots'\n    hint: did you mean 'host'?"),
        ({"host": "a", "zz": 1}, "kind.zz: unknown key 'zz'\n    hint: known here: delay,"),
        (
            {"line": {"host": "a", "prot": 1}},
            "kind.line.prot: unknown key 'prot'\n    hint: did you mean 'port'?",
        ),
        (
            {"host": "a", "devices": [{}, {"slaveid": 1}]},
            "kind.devices[1].slaveid: unknown key 'slaveid'\n    hint: did you mean 'slave_id'?",
        ),
        (
            {"host": "a", "named": {"x": {"address": 1, "unti": ""}}},
            "kind.named.x.unti: unknown key 'unti'\n    hint: did you mean 'unit'?",
        ),
        ({"host": "a", "port": 0}, "kind.line.port: expected greater than or equal to 1, found 0"),
        ({"host": "a", "port": "x" * 100}, "kind.line.port: expected a valid integer"),
        ({"host": "a", "delay": -1}, "kind.delay: expected greater than 0, found -1"),
        ({"host": "a", "delay": float("nan")}, "kind.delay: expected a finite number"),
        ({"host": "a", "either": {"address": "x"}}, "kind.either.address: expected a valid int"),
        ({"host": "a", "either": {"adress": 1}}, "kind.either.adress: unknown key 'adress'"),
        (5, "kind: expected"),
        ([], "kind: expected"),
        (None, "kind: expected"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key(data: Any, message: str) -> None:
    assert message in _message(data)


def test_all_mistakes_are_named_at_once() -> None:
    message = _message({"line": {"port": "x", "prot": 1}, "devces": [], "delay": 0})
    assert message.count("kind.") == 5


@pytest.mark.parametrize("key", ["int", "list", "str", "Config", "Line", "int[3]", "dict"])
def test_a_key_with_the_name_of_a_type_is_a_key(key: str) -> None:
    assert f"kind.{key}: unknown key '{key}'" in _message({"host": "a", key: 1})
    named = Config.parse({"host": "a", "named": {key: {"address": 1}}}).named
    assert list(named) == [key]
    message = _message({"host": "a", "named": {key: {"address": "x"}}})
    assert f"kind.named.{key}.address: expected" in message or key in {
        "int",
        "list",
        "str",
        "int[3]",
        "dict",
    }


def test_a_long_value_is_not_repeated_whole() -> None:
    assert "x" * 70 not in _message({"host": "a", "x" * 500: 1})
    assert "x" * 70 not in _message({"host": "a", "port": "x" * 500})


def test_a_password_in_an_address_is_not_repeated() -> None:
    assert "canary" not in _message({"host": "a", "port": "http://user:canary@host"})


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("modbuss", "did you mean 'modbus'?"),
        ("OPC_UA", "did you mean 'opc_ua'?"),
        ("fax", "known here: modbus, opc_ua"),
        ("", "known here: modbus, opc_ua"),
    ],
)
def test_a_near_miss_is_suggested(word: str, hint: str) -> None:
    assert near(word, ["opc_ua", "modbus", "modbus"]) == hint


def test_where_nothing_is_known_nothing_is_suggested() -> None:
    assert near("x", []) == ""


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("modbus", "devices", 0, "port")) == "modbus.devices[0].port"
    assert dotted((0, "a")) == "[0].a"
    assert dotted(()) == ""


@given(st.text())
def test_shortened_text_is_short(text: str) -> None:
    assert len(shortened(text)) <= 63
    assert shortened(text)[:60] == text[:60]


# ---- durations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30), ("500ms", 0.5), ("500 ms", 0.5), ("10s", 10), ("1.5 s", 1.5), ("2min", 120),
        ("2 m", 120), ("1h", 3600), ("1 hour", 3600), ("1 day", 86400), ("2 weeks", 1209600),
        (" 1 s ", 1), ("0", 0),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert Line.parse({"host": "a", "timeout": text}).timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "10 parsecs", "-1s", "1,5s", "1s 2ms", "1e3", "inf", "nan"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a duration such as 30, '500ms'"):
        Line.parse({"host": "a", "timeout": text})


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), [1], None])
def test_a_duration_is_a_number_of_seconds_from_zero_up(value: object) -> None:
    with pytest.raises(ConfigError):
        Line.parse({"host": "a", "timeout": value})
