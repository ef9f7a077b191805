"""Our peer for AWS IoT Core is true: the SDK of AWS works with it, and moto agrees with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peers import vendors
from peers.aws_front import KEY, KEY_ID, REGION, TOKEN, SignedWebSocket
from peers.aws_iot import THING, AWSIoT, Rejected, Shadow
from peers.aws_provisioning import CLAIM, TEMPLATE, ProvisioningService

_SEQUENCE: list[dict[str, Any]] = [
    {"state": {"reported": {"o2": 3.4, "fan": {"speed": 5}}}},
    {"state": {"desired": {"o2": 3.1, "fan": {"speed": 5, "on": True}}}},
    {"state": {"reported": {"o2": 1}}, "version": 1},
    {"nonsense": 1},
    {"state": {"desired": {"fan": None}}},
    {"state": {"reported": {"o2": 3.1}}},
    {"state": {"desired": {"list": [1, 2]}}, "version": 4},
]


def test_the_device_sdk_of_aws_updates_reads_and_deletes_a_shadow() -> None:
    with AWSIoT() as cloud:
        config = cloud.config()
        seen = vendors.run(
            "aws_shadow.py", config["endpoint"], config["port"], config["ca_path"],
            config["cert_path"], config["key_path"], THING,
        )  # fmt: skip
        cloud.shadows.settle()
        assert cloud.shadows.errors == []
    assert seen == {
        "versions": [1, 2, 2, 2],
        "conflict": [409, "Version conflict"],
        "state": [{"o2": 3.4}, {"o2": 3.1}, {"o2": 3.1}],
        "stamped": True,
        "delta": [{"o2": 3.1}, 2],
        "missing": [404, f"No shadow exists with name: '{THING}'"],
    }


def test_the_device_sdk_of_aws_does_a_job() -> None:
    with AWSIoT() as cloud:
        cloud.jobs.create("first", {"do": "report"})
        cloud.jobs.create("second", {"do": "more"})
        config = cloud.config()
        seen = vendors.run(
            "aws_jobs.py", config["endpoint"], config["port"], config["ca_path"],
            config["cert_path"], config["key_path"], THING,
        )  # fmt: skip
        cloud.jobs.settle()
        assert cloud.jobs.errors == []
    assert seen == {
        "job": ["first", {"do": "report"}, 2],
        "next": "second",
        "refused": "InvalidStateTransition",
    }
    assert cloud.jobs.status("first") == ("SUCCEEDED", {"by": "the SDK"})


def test_moto_answers_a_sequence_of_updates_as_our_shadow_does() -> None:
    theirs = vendors.run("moto_shadow.py", json.dumps(_SEQUENCE))
    ours, shadow = [], Shadow()
    for document in _SEQUENCE:
        try:
            shadow.update(document, 1)
            ours.append(["accepted", shadow.version])
        except Rejected as refusal:
            ours.append(refusal.code)
    assert theirs["answers"] == ours
    assert theirs["version"] == shadow.version
    assert theirs["state"] == {**shadow.state, "delta": shadow.delta()}


def test_the_device_sdk_of_aws_gets_a_certificate_by_claim() -> None:
    with AWSIoT() as cloud:
        service = ProvisioningService(cloud.broker)
        service.start()
        cert, key = cloud.certificate(CLAIM)
        config = cloud.config()
        seen = vendors.run(
            "aws_provisioning.py", config["endpoint"], config["port"], config["ca_path"], cert,
            key, TEMPLATE,
        )  # fmt: skip
        service.stop()
        assert service.errors == []
    assert seen == {
        "key": True,
        "certificates": [True, True],
        "thing": [THING, {"site": "north"}],
        "refused": [400, "InvalidCertificateOwnershipToken"],
    }


@pytest.mark.parametrize("token", ["", TOKEN])
def test_the_device_sdk_of_aws_signs_what_our_websocket_asks_for(token: str) -> None:
    with SignedWebSocket() as there:
        there.front.wants_token = bool(token)
        arguments = "localhost", there.front.port, there.ca, REGION, KEY_ID, KEY, token
        assert vendors.run("aws_websocket.py", *arguments) == [["plant/sdk", "85.4"]]
        assert there.front.refused == []
