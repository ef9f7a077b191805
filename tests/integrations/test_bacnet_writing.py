"""Writing over BACnet: priorities, types, scaling; sent once."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from gl002.cli import main
from gl002.connector import State
from gl002.errors import DataError, RequestFailed, RequestTimeout
from gl002.security.audit import read
from gl002.testing.datagram_link import DatagramLink
from integrations.bacnet_site import PATIENCE, connect, eventually, old, rusty

fixtures = rusty, old, connect


async def test_a_value_arrives_at_its_priority_and_can_be_taken_back(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    await connector.write_value("b.AV1", 120.5, priority=12)
    await connector.write_value("b.AV1", 110.0)
    assert rusty.get("analog-value,1") == 120.5
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 110.0
    await connector.relinquish("b.AV1", priority=12)
    assert rusty.get("analog-value,1") == 110.0
    await connector.write("b.AV1", None)
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) is None


POINT = """
integrations:
  enabled: [bacnet]
  bacnet: {{address: '127.0.0.1:{port}', name: b, timeout: 10}}
gateway: {{state_dir: state}}
writes:
  mode: approve
  points:
    - id: supply
      connector: bacnet
      address: b.AV1
      unit: psig
      limits: {{min: 100, max: 130, min_interval: 600}}
"""


def test_what_a_person_has_written_he_can_take_back(
    rusty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """On the command line, through the guard; also within the interval between two writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(POINT.format(port=rusty.udp))
    before = rusty.get("analog-value,1")
    assert main(["write", "supply", "--relinquish", "--check"]) == 0
    assert "to be taken back" in capsys.readouterr().err
    assert main(["write", "supply", "99", "--yes", "--json"]) != 0
    assert capsys.readouterr().out == "", "no table among what a script reads"
    assert main(["write", "supply", "120.5", "--yes"]) == 0
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 120.5
    assert main(["write", "supply", "--relinquish"]) != 0, "nobody confirmed"
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 120.5
    capsys.readouterr()
    words = ["write", "supply", "--relinquish", "--yes", "--reason", "end of trial", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["before"], told["after"]) == ("relinquished", 120.5, before)
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) is None
    entries = [e for e in read(tmp_path / "state" / "audit.jsonl") if e["action"].startswith("wr")]
    assert [e["action"] for e in entries[-3:]] == ["write.approved", "write", "write.result"]
    assert (entries[-3]["after"], entries[-3]["reason"]) == ("relinquish", "end of trial")
    for wrong in (["120.5", "--relinquish"], []):
        assert main(["write", "supply", *wrong]) == 64


@pytest.mark.parametrize("priority", [0, 1, 5, 8, 17])
async def test_priorities_of_safety_and_people_are_refused(rusty, connect, priority) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(ValueError, match="9 to 16"):
        await connector.write_value("b.AV1", 1.0, priority=priority)
    assert not connector.context.audit.path.exists(), "nothing was to be audited or sent"
    assert connector.state is State.NEW


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analog-value,1", 17.25),
        ("binary-value,1", True),
        ("multi-state-value,1", 3),
        ("integer-value,1", -70000),
        ("positive-integer-value,1", 4_000_000_000),
        ("large-analog-value,1", 1.0e300),
        ("characterstring-value,1", "Maßstab"),
    ],
)
async def test_each_type_is_written_as_its_own(rusty, connect, name, value) -> None:
    connector = connect(rusty, name="b")
    before = rusty.get(name)
    await connector.write_value(f"b.{name}", value)
    assert rusty.get(name) == value
    (sample,) = await connector.read([f"b.{name}"])
    assert sample.value == value
    assert type(sample.value) is type(value)
    if name.startswith("characterstring"):
        await connector.write_value(f"b.{name}", before)
    else:
        await connector.relinquish(f"b.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analog-value,1", True),
        ("analog-value,1", float("nan")),
        ("analog-value,1", 1e39),
        ("characterstring-value,1", "x" * 100_000),
        ("binary-value,1", "on"),
        ("multi-state-value,1", 2.5),
        ("multi-state-value,1", -1),
        ("multi-state-value,1", 9),  # of 5 states: the device says so
        ("positive-integer-value,1", 1 << 32),
        ("characterstring-value,1", 5),
    ],
)
async def test_a_value_that_does_not_fit_changes_nothing(rusty, connect, name, value) -> None:
    connector = connect(rusty, name="b")
    before = rusty.get(name)
    with pytest.raises((DataError, RequestFailed)):
        await connector.write_value(f"b.{name}", value)
    assert rusty.get(name) == before


async def test_scaling_is_undone_when_writing(rusty, connect) -> None:
    objects = [{"name": "sp", "object": "AV1", "scale": 2.0, "offset": 10.0}]
    connector = connect(rusty, name="b", objects=objects)
    await connector.write("b.sp", 110.0)
    assert rusty.get("analog-value,1") == 50.0
    await connector.relinquish("b.sp")


async def test_the_priority_is_on_the_wire_as_another_stack_sees_it(old, connect) -> None:
    old.tell("written")
    connector = connect(old, name="old")
    await connector.write_value("old.AV1", 12.5, priority=9)
    await connector.relinquish("old.AV1")
    assert old.tell("written") == [
        {"object": "2,1", "type": 4, "value": 12.5, "priority": 9},
        {"object": "2,1", "type": 0, "value": None, "priority": 14},
    ]


async def test_a_write_is_sent_once_whatever_happens(rusty, connect) -> None:
    with DatagramLink(rusty.udp) as link:
        connector = connect(address=f"127.0.0.1:{link.port}", name="b", retry_count=3)
        await connector.write_value("b.AV1", 1.0)
        await connector.relinquish("b.AV1")
        link.drop_replies()
        sent, clients = link.requests, link.connections
        connector.set_timeout(800)
        with pytest.raises(RequestTimeout):
            await connector.write_value("b.AV1", 2.0)
        with socket.socket(type=socket.SOCK_DGRAM) as after:  # it passes behind all that was sent
            after.sendto(b"x", ("127.0.0.1", link.port))
            await eventually(lambda: link.connections > clients, "passed on")
            await eventually(lambda: link.requests > sent + 1, "passed on")
        assert link.requests == sent + 2
        link.restore()
        connector.set_timeout(1000 * PATIENCE)
        await connector.relinquish("b.AV1")


async def test_a_refusal_is_said_in_the_standards_words(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(RequestFailed, match="write-access-denied"):
        await connector.write_value("b.AI1", 1.0)
