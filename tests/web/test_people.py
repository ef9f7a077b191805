"""What waits for a person: the API tells it, the page shows it, and the command it shows works."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from contextlib import asynccontextmanager, suppress

import jsonschema
import pytest

from gl002 import registry
from gl002.cli import main
from gl002.docket import Draft
from gl002.errors import ConfigError
from gl002.flow.outbox import outbox_docket
from gl002.model import now_ns
from gl002.proposal import Proposal
from gl002.security.secrets import Secret
from gl002.sim.modbus import ModbusSimulator
from gl002.sim.plant import Plant
from peers import order_desk_connector
from peers.order_desk import OrderDesk
from peers.process import free_port
from web.browser import opened
from web.client import ask, bearer
from web.house import House, until

HOUR = 3_600_000_000_000
CANARY = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\"';--"
MORE = """
writes:
  mode: approve
  proposals: {allow: [aws]}
  points:
    - {id: o2, connector: modbus, unit: '%', address: boiler1.oxygen_setpoint,
       limits: {min: 2, max: 6, max_step: 2.5, min_interval: 0}}
actions:
  - {destination: order_desk, action: create_reading, approval: true,
     on: {tag: boiler1.efficiency_hhv, every: 1h},
     fields: {point: EFF_1, value: '{value}', unit: '{unit}', time: '{time}'}}
"""


@asynccontextmanager
async def staffed(folder, monkeypatch, **house):
    """A gateway with both queues: its outbox gets a reading for approval by itself."""
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    order_desk_connector.register()
    async with ModbusSimulator([Plant()]) as simulator:
        with OrderDesk() as desk:
            integrations = json.dumps({
                "enabled": ["modbus", "aws", "order_desk", "sqlite"],
                "modbus": {**simulator.config(), "timeout": 30},
                "aws": {"endpoint": "127.0.0.1:9"},
                "order_desk": {"url": f"http://127.0.0.1:{desk.port}"},
                "data_flow": {
                    "input": [{"source": "modbus"}], "output": [{"destination": "sqlite"}],
                },
            })  # fmt: skip
            settings = {"integrations": integrations, "more": MORE, **house}
            async with House(folder, port=free_port(), **settings) as running:
                running.desk = desk
                await until(lambda: running.gateway.outbox.status().waiting == 1)
                yield running


@pytest.fixture
async def office(tmp_path, monkeypatch):
    async with staffed(tmp_path, monkeypatch) as house:
        yield house


def docket(house):
    return outbox_docket(house.gateway.config.state_dir)


def order(key: str, state: str = "waiting", **changes) -> Draft:
    detail = changes.pop("detail", "no such asset" if state == "failed" else "")
    fields = {"asset": "BOILER-001", "text": "Blow soot", "priority": 2}
    body = {
        "destination": "order_desk", "action": "create_order", "fields": fields,
        "dry_run": False, "cause": "c", "text": "Blow soot. It saves 1 %.", **changes,
    }  # fmt: skip
    return Draft(key=key, subject="order_desk create_order", state=state, expires=now_ns() + HOUR,
                 body=body, detail=detail)  # fmt: skip


async def proposed(house, value: float = 3.1, **changes) -> None:
    asked = {"id": "m1", "point": "o2", "value": value, "origin": "aws", "asker": "thing boiler1",
             "reason": "trial"}  # fmt: skip
    answer = await house.gateway.proposals.offer(Proposal(**{**asked, **changes}))
    assert answer.accepted, answer


async def get(house, path: str):
    answer = await ask(house.port, path, headers=bearer(house.token))
    assert answer.status == 200, answer
    return answer.json


async def at_a_beat(house, path: str, holds):
    """What is told as soon as it is what is meant: a queue is looked at once a beat."""
    async with asyncio.timeout(60):
        while not holds(told := await get(house, path)):
            await asyncio.sleep(0.05)
    return told


async def typed(command: str, *more: str) -> int:
    """What a person gets who types a command, anywhere on the gateway's machine."""
    program, *arguments = shlex.split(command)
    assert program == "gl002"
    return await asyncio.to_thread(main, [*arguments, *more])


# ---- the API ------------------------------------------------------------------------------------


async def test_the_outbox_is_told_with_what_waits_for_a_person_first(office):
    docket(office).add(order("k-failed", "failed"))
    for number in range(30):
        docket(office).add(order(f"k-{number}", "dropped"))
    counts = {"waiting": 1, "failed": 1, "dropped": 30}
    told = await at_a_beat(office, "/api/outbox?limit=5", lambda told: told["counts"] == counts)
    assert told["configured"]
    assert told["person"] == 2
    assert [e["state"] for e in told["entries"]] == ["failed", "waiting", *["dropped"] * 3]
    assert [e["id"] for e in told["entries"]] == [2, 1, 32, 31, 30]
    failed = told["entries"][0]
    assert (failed["destination"], failed["action"]) == ("order_desk", "create_order")
    assert (failed["detail"], failed["number"]) == ("no such asset", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", failed["since"])
    assert failed["command"].startswith("gl002 outbox retry 2 -c ")
    assert told["entries"][2]["command"] == ""
    assert len((await get(office, "/api/outbox"))["entries"]) == 20


async def test_proposals_are_told_with_who_asks_and_until_when(office):
    await proposed(office)
    told = await at_a_beat(office, "/api/proposals", lambda told: told["entries"])
    assert (told["configured"], told["counts"], told["person"]) == (True, {"waiting": 1}, 1)
    (entry,) = told["entries"]
    known = {name: entry[name] for name in ("point", "value", "unit", "origin", "asker", "reason")}
    assert known == {
        "point": "o2", "value": 3.1, "unit": "%", "origin": "aws", "asker": "thing boiler1",
        "reason": "trial",
    }  # fmt: skip
    assert entry["expires"] > entry["made"]
    assert entry["command"].startswith("gl002 proposals approve 1 -c ")


async def test_where_neither_is_configured_both_are_empty_and_say_so(house):
    for path in ("/api/outbox", "/api/proposals"):
        told = await get(house, path)
        assert told.pop("command").startswith(f"gl002 {path.removeprefix('/api/')} list -c ")
        assert told == {"configured": False, "counts": {}, "person": 0, "entries": []}
    assert not docket(house).path.exists()


async def test_answers_are_as_the_openapi_document_says(office):
    await proposed(office)
    await at_a_beat(office, "/api/proposals", lambda told: told["entries"])
    document = await get(office, "/api/openapi.json")
    for path in ("/api/outbox", "/api/proposals"):
        operation = document["paths"][path]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        answer = await get(office, path)
        assert answer["entries"]
        jsonschema.validate(answer, {**schema, **document})
        (limit,) = operation["parameters"]
        assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 100)
    about = document["components"]["schemas"]["OutboxEntry"]["properties"]["command"]
    assert about["description"].startswith("what a person types")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e9"])
async def test_a_limit_that_is_none_is_refused(house, limit):
    for path in ("/api/outbox", "/api/proposals"):
        answer = await ask(house.port, f"{path}?limit={limit}", headers=bearer(house.token))
        assert answer.status == 400
        assert "limit" in answer.json["error"]


async def test_texts_are_cut_and_secrets_in_them_hidden(office):
    Secret("canary-51c2e")
    draft = order("k-long", "failed", detail="sent canary-51c2e", text="x" * 100_000)
    docket(office).add(draft)
    told = await at_a_beat(office, "/api/outbox", lambda told: len(told["entries"]) == 2)
    entry = told["entries"][0]
    assert entry["text"] == "x" * 299 + "…"
    assert entry["detail"] == "sent ***"


async def test_a_secret_in_a_refused_configuration_is_hidden(office):
    Secret("canary-51c2e")
    office.gateway.refuse_reload(ConfigError("bad canary-51c2e", hint="not canary-51c2e"))
    loaded = (await get(office, "/api/status"))["loaded"]
    assert (loaded["error"], loaded["hint"]) == ("bad *** (not ***)", "not ***")


async def test_a_file_that_cannot_be_read_is_a_problem_and_not_a_fault(office):
    file = docket(office).path
    while not file.is_dir():
        for part in file.parent.glob("outbox.sqlite*"):
            part.unlink(missing_ok=True)
        with suppress(FileExistsError):  # the outbox was about to look into it
            file.mkdir()
    answer = await ask(office.port, "/api/outbox", headers=bearer(office.token))
    assert answer.status == 503
    assert str(file) not in json.dumps(answer.json)
    file.rmdir()


# ---- the page -----------------------------------------------------------------------------------


async def test_a_page_without_queues_shows_nothing_of_them(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#link", "connected")
        await asyncio.sleep(2.5)
        for selector in ("#people", "#person", "#reload"):
            assert not await screen.page.is_visible(selector)
        assert await screen.page.title() == "Boiler house 1 \N{EN DASH} gl002"
        asked = [url for url in screen.requests if "/api/outbox" in url]
        assert len(asked) == 1


async def test_it_says_how_many_wait_and_the_command_it_shows_does_it(chromium, office):
    docket(office).add(order("k-1"))
    await proposed(office, 3.10004)
    async with opened(chromium, office.url) as screen:
        await screen.shows("#waiting", "▲ waiting for a person: 3")
        await screen.shows("#to-people", "▲ 3")
        await screen.shows("#of-which", "2 to approve, 1 write to the plant asked for")
        assert (await screen.page.title()).startswith("(3) ")
        row = "[data-entry='outbox 2']"
        await screen.shows(row, "▲ waiting order_desk create_order")
        await screen.shows(row, "Blow soot. It saves 1 %.")
        asked = "[data-entry='proposals 1']"
        await screen.shows(asked, "o2 = 3.10004 %")
        await screen.shows(asked, "aws: thing boiler1 asks for it · trial")
        await screen.shows(asked, "lapses in")
        await screen.keep("people")
        assert await typed(await screen.text(f"{row} code")) == 0
        await screen.shows(row, "● done")
        assert office.desk.documents
        number = docket(office).get("k-1").number
        assert number
        await screen.shows(row, number)
        assert await screen.page.locator(f"{row} code").count() == 0
        assert await typed(await screen.text(f"{asked} code"), "--yes") == 0
        await screen.shows(asked, "● written")
        await screen.shows("#waiting", "▲ waiting for a person: 1")
        assert await typed("gl002 outbox drop 1 -c " + str(office.gateway.config.file)) == 0
        await screen.shows("#waiting", "○ waiting for a person: 0")
        assert await screen.page.title() == "Boiler house 1 \N{EN DASH} gl002"
        assert await screen.page.get_attribute("#to-people", "href") is None
        await screen.shows("[data-entry='outbox 1']", "○ dropped")
        await screen.keep("people-nobody")
        assert await screen.violations() == []
        assert screen.complaints == []


async def test_a_failed_action_is_red_and_says_why(chromium, office):
    docket(office).add(order("k-1", "failed"))
    async with opened(chromium, office.url) as screen:
        await screen.shows("#waiting", "■ waiting for a person: 2")
        await screen.shows("#of-which", "1 to approve, 1 failed")
        await screen.shows("[data-entry='outbox 2']", "■ failed")
        await screen.shows("[data-entry='outbox 2']", "no such asset")
        await screen.shows("[data-entry='outbox 2'] code", "gl002 outbox retry 2 -c ")


async def test_a_crowd_does_not_push_the_efficiency_off_the_page(chromium, office):
    for number in range(60):
        docket(office).add(order(f"k-{number}"))
    async with opened(chromium, office.url) as screen:
        await screen.shows("#waiting", "waiting for a person: 61")
        await screen.shows("#more", "57 more: gl002 outbox list -c ")
        assert await screen.page.locator("#decisions tbody").count() == 4
        await screen.shows(".boiler .now .figure", "%")
        assert (await screen.page.locator(".boiler .now").bounding_box())["y"] < 450
        await screen.keep("people-crowd")


async def test_markup_from_a_cloud_or_a_business_system_is_text(chromium, office):
    docket(office).add(
        order("k-1", "failed", detail=CANARY, text=CANARY, destination=CANARY, action=CANARY)
    )
    docket(office).add(order("k-2", "dropped"))
    docket(office).move("k-2", ["dropped"], "dropped", number=CANARY, actor=CANARY, detail=CANARY)
    await proposed(office, asker=CANARY, reason=CANARY, unit="%")
    async with opened(chromium, office.url) as screen:
        await screen.shows("[data-entry='outbox 2'] th", CANARY)
        await screen.shows("[data-entry='outbox 3'] td", CANARY)
        await screen.shows("[data-entry='proposals 1'] td", CANARY)
        office.gateway.refuse_reload(ConfigError(CANARY, hint=CANARY))
        await screen.shows("#reload", CANARY)
        assert await screen.page.evaluate("window.hacked") is None
        assert await screen.page.evaluate("document.querySelectorAll('img, main b').length") == 0
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await screen.page.evaluate(too_wide) <= 0
        assert await screen.violations() == []
        assert screen.complaints == []


async def test_a_refused_configuration_is_told_until_one_is_taken_up(chromium, house):
    async with opened(chromium, house.url) as screen:
        await screen.shows("#link", "connected")
        house.gateway.refuse_reload(ConfigError("line 3: no such tag\nline 9: no", hint="mend it"))
        await screen.shows("#reload", "▲ changed configuration not taken up")
        await screen.shows("#reload", "line 3: no such tag line 9: no (mend it)")
        await screen.shows("#reload", "The gateway goes on with the one before.")
        await screen.keep("reload-refused")
        await house.gateway.reload(house.gateway.config)
        await screen.hides("#reload")


async def test_the_count_in_the_bar_leads_there_by_keyboard(chromium, office):
    async with opened(chromium, office.url) as screen:
        await screen.shows("#to-people", "▲ 1")
        await screen.page.keyboard.press("Tab")
        await screen.page.keyboard.press("Tab")
        assert await screen.page.evaluate("document.activeElement.id") == "to-people"
        await screen.page.keyboard.press("Enter")
        assert screen.page.url.endswith("#people")
        assert await screen.page.evaluate("document.activeElement.id") == "people"


@pytest.mark.slow
@pytest.mark.parametrize("width", [683, 360])
async def test_on_a_telephone_nothing_of_it_is_cut_off(chromium, office, width):
    docket(office).add(order("k-1", "failed"))
    await proposed(office)
    viewport = {"width": width, "height": 768}
    async with opened(chromium, office.url, viewport=viewport) as screen:
        await screen.shows("#waiting", "waiting for a person: 3")
        await screen.shows("[data-entry='proposals 1']", "waiting")
        await screen.keep(f"people-{width}")
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await screen.page.evaluate(too_wide) <= 0
        cells = "[...document.querySelectorAll('#decisions tbody th')].map(e => e.clientWidth)"
        assert min(await screen.page.evaluate(cells)) > 60


@pytest.mark.slow
async def test_it_has_a_dark_form_too(chromium, office):
    docket(office).add(order("k-1", "failed"))
    async with opened(chromium, office.url, color_scheme="dark") as screen:
        await screen.shows("[data-entry='outbox 2']", "failed")
        office.gateway.refuse_reload(ConfigError("line 3: no such tag", hint="mend it"))
        await screen.shows("#reload", "line 3")
        await screen.keep("people-dark")
        assert await screen.violations() == []
