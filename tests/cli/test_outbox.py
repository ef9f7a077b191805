"""`gl002 outbox` and `gl002 proposals`, as people and scripts use them, with no gateway running."""

from __future__ import annotations

import json

import pytest
import yaml

from gl002.cli import main
from gl002.config.load import load
from gl002.context import Context
from gl002.docket import Draft
from gl002.flow.outbox import outbox_docket
from gl002.model import now_ns
from gl002.proposal import Proposal
from gl002.security.audit import read, user
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from gl002.writes.proposals import ProposalQueue, proposal_docket
from peers import order_desk_connector
from peers.order_desk import OrderDesk

HOUR = 3_600_000_000_000


@pytest.fixture
def ran(capsys):
    """Run a command: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a configuration whose business system is there."""
    from gl002 import registry

    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    order_desk_connector.register()
    monkeypatch.chdir(tmp_path)
    with OrderDesk() as server:
        (tmp_path / "integrations.yaml").write_text(
            f"integrations:\n  enabled: [order_desk]\n"
            f"  order_desk: {{url: 'http://127.0.0.1:{server.port}'}}\n"
            "gateway: {state_dir: state}\n"
        )
        yield server


@pytest.fixture
def docket(desk, tmp_path):
    return outbox_docket(tmp_path / "state")


def order(key: str, state: str = "waiting", *, left: int = HOUR, **fields) -> Draft:
    given = {"asset": "BOILER-001", "text": "Blow soot", "priority": 2, **fields}
    return Draft(
        key=key, subject="order_desk create_order", state=state, expires=now_ns() + left,
        body={"destination": "order_desk", "action": "create_order", "fields": given,
              "dry_run": False, "cause": "c", "text": "Blow soot. It saves 1 %."},
    )  # fmt: skip


def test_an_empty_outbox_is_no_trouble(desk, ran):
    assert ran("outbox", "list") == (0, "", "no actions\n")


def test_a_list_shows_what_waits_and_exits_with_1_while_somebody_is_waited_for(docket, ran):
    docket.add(order("gl002-a"))
    docket.add(order("gl002-b", "approved"))
    code, out, err = ran("outbox", "list")
    assert code == 1
    assert "Blow soot." in out
    assert "1 waiting, 1 approved" in err
    code, out, _ = ran("outbox", "list", "order_desk", "--state", "approved", "--json")
    assert code == 0
    (found,) = map(json.loads, out.splitlines())
    assert (found["key"], found["fields"]["asset"]) == ("gl002-b", "BOILER-001")
    assert ran("outbox", "list", "sap")[0] == 0


def test_what_would_be_sent_is_shown_and_not_sent(docket, desk, ran):
    docket.add(order("gl002-a"))
    code, out, _ = ran("outbox", "show", "1", "--rehearse", "--json")
    assert code == 0
    assert 'POST orders {"reference": "gl002-a"' in json.loads(out)["rehearsal"]
    assert desk.documents == []
    code, out, _ = ran("outbox", "show", "gl002-a")
    assert (code, "fields.asset" in out, "rehearsal" in out) == (0, True, False)


def test_approve_retry_and_drop_change_what_they_may_and_say_what_they_may_not(
    docket, tmp_path, ran
):
    docket.add(order("gl002-a"))
    docket.add(order("gl002-b", "failed"))
    docket.add(order("gl002-c"))
    assert ran("outbox", "approve", "1", "--reason", "agreed")[0] == 0
    code, _, err = ran("outbox", "approve", "1", "2")
    assert code == 1
    assert "1: is approved: nothing was changed" in err
    assert "2: is failed: nothing was changed" in err
    assert ran("outbox", "retry", "gl002-b")[0] == 0
    assert ran("outbox", "drop", "--all", "--reason", "done by hand")[0] == 0
    assert [entry.state for entry in docket.list()] == ["dropped"] * 3
    entries = list(read(tmp_path / "state" / "audit.jsonl"))
    lines = [(e["action"], e["key"]) for e in entries if e["action"].startswith("action.")]
    assert lines == [
        ("action.approved", "gl002-a"), ("action.retry", "gl002-b"),
        *[("action.dropped", f"gl002-{key}") for key in "abc"],
    ]  # fmt: skip
    assert entries[-1]["reason"] == "done by hand"


def test_what_has_expired_cannot_be_approved_any_more(docket, ran):
    docket.add(order("gl002-a", left=-HOUR))
    code, _, err = ran("outbox", "approve", "1")
    assert (code, "expired 1:0" in err) == (1, True)
    assert docket.get(1).state == "waiting"


def test_to_drop_what_was_tried_says_that_it_may_be_there(docket, ran):
    docket.add(order("gl002-a", "approved"))
    docket.move("gl002-a", ["approved"], "sending", tried=True)
    assert "look there" in ran("outbox", "drop", "1")[2]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("outbox", "approve"), 64, "by their numbers"),
        (("outbox", "show"), 64, "by their numbers"),
        (("outbox", "show", "--all"), 64, "by their numbers"),
        (("outbox", "drop", "7"), 78, "there is no action '7'"),
        (("outbox", "steal"), 64, "invalid choice"),
        (("proposals", "approve"), 64, "by its number"),
        (("proposals", "show", "7"), 78, "there is no proposal '7'"),
    ],
)
def test_wrong_usage_is_explained(desk, ran, arguments, code, said):
    got, _, err = ran(*arguments)
    assert (got, said in err) == (code, True), err


async def test_a_running_gateway_says_what_waits_on_its_screen_and_in_its_metrics(
    docket, desk, tmp_path, capsys
):
    from rich.console import Console

    from gl002.cli.live import display
    from gl002.flow.gateway import Gateway
    from gl002.web.metrics import exposition
    from gl002.web.shapes import status_answer

    file = tmp_path / "integrations.yaml"
    on = "{tag: x, every: 1h}"
    fields = "{point: P, value: '{value}', time: '{time}'}"
    file.write_text(
        file.read_text().replace("enabled: [", "enabled: [sqlite, ")
        + f"actions:\n- {{destination: order_desk, action: create_reading, on: {on}, "
        f"fields: {fields}}}\n"
    )
    docket.add(order("gl002-a"))
    docket.add(order("gl002-b", "failed"))
    gateway = Gateway(load(file))
    await gateway.outbox._look()
    status = gateway.status()
    assert (status.outbox.waiting, status.outbox.failed) == (1, 1)
    Console(width=100).print(display(status))
    assert "OUTBOX  1 to approve  0 on their way  1 failed" in capsys.readouterr().out
    text = exposition(gateway, status_answer(status, measured=0, full_in_s=None))
    assert 'gl002_outbox_actions{state="waiting"} 1' in text


# ---- proposals --------------------------------------------------------------------------------


@pytest.fixture
async def plant(tmp_path, monkeypatch):
    """A folder whose configuration lets AWS propose, and the boiler it is about."""
    monkeypatch.chdir(tmp_path)
    plant = Plant()
    async with ModbusSimulator([plant]) as simulator:
        config = {
            "integrations": {
                "enabled": ["modbus", "aws"], "modbus": {**simulator.config(), "timeout": 30},
                "aws": {"endpoint": "127.0.0.1:9"},
            },
            "gateway": {"state_dir": "state"},
            "writes": {
                "mode": "approve",
                "proposals": {"allow": ["aws"]},
                "points": [
                    {"id": "o2", "connector": "modbus", "unit": "%",
                     "address": "boiler1.oxygen_setpoint",
                     "limits": {"min": 2, "max": 6, "max_step": 2.5, "min_interval": 0}},
                ],
            },
        }  # fmt: skip
        (tmp_path / "integrations.yaml").write_text(yaml.safe_dump(config))
        yield plant


async def offered(folder, value: float, id_: str = "m1", asker: str = "thing") -> None:
    settings = load(folder / "integrations.yaml").sections.writes
    context = Context.standalone()
    queue = ProposalQueue(settings, proposal_docket(folder / "state", settings), context.audit)
    asked = Proposal(id=id_, point="o2", value=value, origin="aws", asker=asker, reason="trial")
    assert (await queue.offer(asked)).accepted
    context.audit.close()


async def in_thread(ran, *arguments: str) -> tuple[int, str, str]:
    import asyncio

    return await asyncio.to_thread(ran, *arguments)


async def test_a_proposal_is_listed_shown_with_its_checks_and_approved(plant, tmp_path, ran):
    before = plant.signals()["AIC301.SP"].value
    await offered(tmp_path, before + 0.25)
    code, out, _ = await in_thread(ran, "proposals", "list", "--json")
    assert (code, json.loads(out)["asker"]) == (1, "thing")
    code, out, _ = await in_thread(ran, "proposals", "show", "1", "--json")
    assert (code, all(check["ok"] for check in json.loads(out)["checks"])) == (0, True)
    code, _, err = await in_thread(ran, "proposals", "approve", "1")
    assert (code, "goes on waiting" in err) == (1, True), "nobody is at the keyboard"
    assert plant.signals()["AIC301.SP"].value == before
    code, _, err = await in_thread(ran, "proposals", "approve", "1", "--yes")
    assert (code, "aws: thing" in err) == (0, True)
    assert plant.signals()["AIC301.SP"].value == pytest.approx(before + 0.25)
    code, _, err = await in_thread(ran, "proposals", "approve", "1", "--yes")
    assert (code, "it is written" in err) == (1, True)
    assert (await in_thread(ran, "proposals", "list"))[0] == 0


async def test_nobody_approves_under_a_name_that_is_not_his(plant, tmp_path, ran, monkeypatch):
    """The environment is whatever whoever types the command wants it to be."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "chief")
    await offered(tmp_path, plant.signals()["AIC301.SP"].value + 0.25)
    assert (await in_thread(ran, "proposals", "approve", "1", "--yes"))[0] == 0
    _, out, _ = await in_thread(ran, "proposals", "show", "1", "--json")
    assert "chief" not in out
    actors = {entry["actor"] for entry in read(tmp_path / "state" / "audit.jsonl")}
    assert (user() in actors, "chief" in actors) == (True, False)


async def test_the_value_that_is_confirmed_is_the_one_that_is_written(plant, tmp_path, ran):
    await offered(tmp_path, 3.1234567)
    code, out, _ = await in_thread(ran, "proposals", "list")
    assert (code, "3.1234567" in out) == (1, True)
    _, _, err = await in_thread(ran, "proposals", "approve", "1")
    assert "proposed 3.1234567 %" in err


async def test_what_the_guard_would_refuse_goes_on_waiting(plant, tmp_path, ran):
    before = plant.signals()["AIC301.SP"].value
    await offered(tmp_path, 6.0)
    code, out, err = await in_thread(ran, "proposals", "approve", "1", "--yes")
    assert code == 1
    assert "STEP_LIMIT" in out
    assert "would be refused" in err
    assert plant.signals()["AIC301.SP"].value == before
    code, out, _ = await in_thread(ran, "proposals", "reject", "1", "--reason", "tuning", "--json")
    assert (code, json.loads(out)["state"]) == (0, "rejected")
    assert (await in_thread(ran, "proposals", "reject", "1"))[0] == 1


@pytest.mark.parametrize("command", [("approve", "1"), ("show", "1"), ("list",), ("reject", "1")])
async def test_who_asks_cannot_paint_the_terminal_of_who_decides(plant, tmp_path, ran, command):
    """A topic or an attribute of a message may hold anything: another value over the real one."""
    await offered(tmp_path, 3.1, asker="x\x1b[2J\x9b1A\ro2: now 3.1 %\no2: proposed 3.0 %")
    _, out, err = await in_thread(ran, "proposals", *command)
    assert not {c for c in out + err if not c.isprintable()} - {"\n"}
    assert not any(line.startswith("o2: proposed") for line in err.splitlines())
