"""The device provisioning service: what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gl002.errors import AuthFailed, ConfigError, ConnectFailed, DataError
from gl002.security.secrets import Secret
from gl002.wire.azure_dps import Answer, answer_of, device_key

TOPIC = "$dps/registrations/res/{}/?$rid=r"


def _answer(status: int, content: Any, more: str = "") -> Answer:
    return answer_of(TOPIC.format(status) + more, json.dumps(content).encode())


def test_an_assignment_under_way_says_when_to_ask_again() -> None:
    content = {"operationId": "4.x", "status": "assigning"}
    assert _answer(202, content, "&retry-after=5") == Answer("r", "4.x", 5)
    assert _answer(202, content).wait == 3
    assert _answer(202, content, "&retry-after=99999").wait == 60


def test_an_assignment_names_hub_and_device() -> None:
    state = {"assignedHub": "h.azure-devices.net", "deviceId": "d"}
    found = _answer(200, {"status": "assigned", "registrationState": state})
    assert (found.hub, found.device, found.operation) == ("h.azure-devices.net", "d", "")


@pytest.mark.parametrize(
    ("status", "content", "word"),
    [
        (200, {"status": "disabled"}, "disabled"),
        (200, {"status": "failed", "registrationState": {"errorMessage": "why"}}, "why"),
        (200, {"status": "assigned", "registrationState": {}}, "assigned no hub"),
        (401, {"message": "Unauthorized"}, "Unauthorized"),
        (200, [], "200"),
        (
            200,
            {"status": "assigned", "registrationState": {"assignedHub": "x.org", "deviceId": "d"}},
            "no hub of Azure",
        ),
    ],
)
def test_whoever_is_not_let_in_is_told_why(status: int, content: Any, word: str) -> None:
    with pytest.raises(AuthFailed, match=word):
        _answer(status, content)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_asked_again(status: int) -> None:
    with pytest.raises(ConnectFailed) as caught:
        _answer(status, {})
    assert caught.value.retryable


def test_what_is_no_json_or_no_key_is_said() -> None:
    with pytest.raises(DataError):
        answer_of(TOPIC.format(200), b"{")
    with pytest.raises(ConfigError, match="enrollment group is no base64"):
        device_key(Secret("no base64!"), "d")
