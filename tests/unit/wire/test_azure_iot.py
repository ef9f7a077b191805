"""Azure IoT Hub: connection strings, tokens, topics, refusals."""

from __future__ import annotations

import base64
import json
import re

import pytest

from gl002.errors import Busy, ConfigError, DataError, RequestFailed
from gl002.security.secrets import Secret
from gl002.wire import azure_iot as wire

KEY = base64.b64encode(b"sixteen bytes ok").decode()


def test_a_connection_string_is_taken_apart() -> None:
    parts = wire.parts_of(f"HostName=h;DeviceId=d=1;SharedAccessKey={KEY};GatewayHostName=g;")
    assert parts.pop("shared_access_key").reveal() == KEY
    assert parts == {"host": "h", "device_id": "d=1", "gateway": "g"}
    assert wire.parts_of("HostName=h;DeviceId=d;ModuleId=m;x509=true") == {
        "host": "h", "device_id": "d", "module_id": "m",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no HostName"),
        ("HostName=h", "no DeviceId"),
        ("h;d", "name=value"),
        ("HostName=h;DeviceId=d;Nonsense=1", "name=value"),
        ("HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=x", "of the device"),
        (f"HostName=h;DeviceId=d;SharedAccessKey={KEY[:-1]}", "no base64"),
    ],
)
def test_what_is_wrong_with_a_connection_string_is_said_without_showing_it(
    text: str, word: str
) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        wire.parts_of(text)
    assert KEY[:-1] not in str(caught.value)
    assert "iothubowner" not in str(caught.value)


def test_a_token_of_a_module_names_the_module() -> None:
    token = wire.token("h", "d", "m", Secret(KEY), expires=7).reveal()
    assert re.fullmatch(
        r"SharedAccessSignature sr=h%2Fdevices%2Fd%2Fmodules%2Fm&sig=.+&se=7", token
    )
    with pytest.raises(ConfigError, match="no base64"):
        wire.token("h", "d", "", Secret("no base64!"), expires=7)


def test_names_of_devices_and_modules_are_those_of_the_hub() -> None:
    assert wire.name_of("d") == "d"
    assert wire.name_of("d", "m") == "d/m"
    name = wire.username("h", "d", "m", agent="gl002/1 x")
    assert name == f"h/d/m/?api-version={wire.API}&DeviceClientType=gl002%2F1%20x"


def test_properties_go_into_the_topic_and_come_out_again() -> None:
    properties = {"$.mid": "1", "plant": "a b/c&d=e", "ü": "✓", "empty": ""}
    topic = wire.events_topic("d", properties)
    assert topic.startswith("devices/d/messages/events/%24.mid=1&plant=a%20b%2Fc%26d%3De")
    assert wire.events_topic("d", {}, "m") == "devices/d/modules/m/messages/events/"
    assert wire.properties_in(topic.replace("events", "devicebound")) == properties


def test_an_answer_about_the_twin_tells_status_request_and_version() -> None:
    assert wire.result_of("$iothub/twin/res/204/?$rid=a1&$version=6") == (204, "a1", 6)
    assert wire.result_of("$iothub/twin/res/200/?$rid=a1") == (200, "a1", 0)
    assert wire.result_of("$iothub/twin/PATCH/properties/desired/?$version=6") is None


def test_the_desired_state_is_whole_in_an_answer_and_a_part_in_a_change() -> None:
    twin = {"desired": {"o2": 3.1, "$version": 5}, "reported": {"$version": 1}}
    whole = wire.read_state("$iothub/twin/res/200/?$rid=1", json.dumps(twin).encode())
    assert whole is not None
    assert (whole.values, whole.version, whole.whole) == ({"o2": 3.1}, 5, True)
    change = b'{"o2": null, "$version": 6}'
    part = wire.read_state("$iothub/twin/PATCH/properties/desired/?$version=6", change)
    assert part is not None
    assert (part.values, part.version, part.whole) == ({"o2": None}, 6, False)
    assert wire.read_state("$iothub/twin/res/204/?$rid=1&$version=2", b"") is None
    for wrong in (b"", b"[]", b"{}", b'{"o2": 1}'):
        with pytest.raises(DataError):
            wire.read_state("$iothub/twin/PATCH/properties/desired/?$version=6", wrong)


def test_a_call_of_a_method_is_read() -> None:
    method = wire.method_of("$iothub/methods/POST/start%20up/?$rid=c", b'{"x": 1}')
    assert (method.name, method.payload, method.request) == ("start up", {"x": 1}, "c")
    assert wire.method_of("$iothub/methods/POST/a/?$rid=c", b" ").payload is None
    for topic, payload in [
        ("$iothub/methods/POST/a/", b"1"),
        ("$iothub/methods/POST/a/?$rid=1", b"{"),
    ]:
        with pytest.raises(DataError):
            wire.method_of(topic, payload)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, DataError),
        (413, DataError),
        (401, RequestFailed),
        (429, Busy),
        (500, Busy),
        (503, Busy),
    ],
)
def test_a_refusal_of_the_hub_is_an_error_of_ours(status: int, kind: type) -> None:
    error = wire.refusal(status, b"why", "get")
    assert type(error) is kind
    assert "why" in str(error)
