"""PI: current values, names, browsing, and who may log in."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from gl002.connector import State, first_of
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, ConnectFailed, RequestFailed, TagNotFound
from gl002.integrations.historians import AsyncPIConnector, PIConnector
from gl002.model import Quality, is_bad
from gl002.transport.pi_web_api import browsing
from gl002.wire.pi_values import GOOD_EDITED
from integrations.pi_site import (
    ATTRIBUTE,
    DAY,
    STEAM,
    Make,
    context,
    current_point,
    liar,
    make,
    new_point,
    server,
)
from peers.pi import times
from peers.pi_web_api import PASSWORD, SERVER, TOKEN, USER, PiWebApi, assets
from peers.web_server import Reply, Seen, WebServer

fixtures = server, context, make


# ---- current values ---------------------------------------------------------------------------


async def test_many_tags_are_one_request(server: PiWebApi, make: Make) -> None:
    connector = make()
    await connector.connect()
    before = server.requests("POST batch")
    values = await connector.read_tags([STEAM, "TEXT", "MODE", "ABSENT", ATTRIBUTE])
    assert values == [50000.0, "läuft ✓", "Auto", None, 50000.0]
    assert server.requests("POST batch") == before + 1


async def test_more_tags_than_a_batch_takes_are_several(server: PiWebApi, make: Make) -> None:
    connector = make(batch_size=3)
    await connector.connect()
    before = server.requests("POST batch")
    assert await connector.read_tags([STEAM, "TEXT"] * 4) == [50000.0, "läuft ✓"] * 4
    assert server.requests("POST batch") == before + 3


async def test_a_tag_that_is_not_there_is_named(make: Make) -> None:
    with pytest.raises(TagNotFound, match="ABSENT"):
        await make().read_tag("ABSENT")


async def test_states_of_the_system_set_are_bad_and_say_why(server: PiWebApi, make: Make) -> None:
    name = new_point(server)
    connector = make()
    for state, quality in [
        (246, Quality.BAD_NO_COMMUNICATION), (238, Quality.BAD_OUT_OF_SERVICE),
        (255, Quality.BAD), (210, Quality.BAD),
    ]:  # fmt: skip
        server.bad(name, state)
        (sample,) = await connector.read([name])
        assert (sample.value, sample.quality) == (None, quality)
        assert await connector.read_tag(name) is None


async def test_doubt_and_changes_by_others_are_seen(server: PiWebApi, make: Make) -> None:
    name = new_point(server)
    connector = make()
    server.put(name, (times.now(), 1.0), questionable=True)
    assert (await connector.read([name]))[0].quality == Quality.UNCERTAIN
    await connector.write_tag(name, 2.0, DAY)
    await connector.write_tag(name, 3.0, DAY)
    (sample,) = await connector.read_history(name, DAY, DAY)
    assert (sample.value, sample.quality) == (3.0, GOOD_EDITED)


@pytest.mark.parametrize(
    "address",
    [ATTRIBUTE, f"\\\\{assets.SERVER}\\{assets.DATABASE}\\{ATTRIBUTE}", f"\\\\{SERVER}\\{STEAM}"],
)
async def test_an_attribute_and_a_whole_path_name_the_same(address: str, make: Make) -> None:
    assert await make().read_tag(address) == 50000.0


async def test_the_attributes_of_an_element_are_read_together(make: Make) -> None:
    assert await make().read_attributes("Boilers\\Boiler1") == {
        "Steam Flow": 50000.0, "Manufacturer": "Cleaver & Söhne", "Rated Pressure": 150.0,
        "Load": 80.0,
    }  # fmt: skip
    with pytest.raises(TagNotFound):
        await make().read_attributes("Boilers\\Boiler7")


async def test_without_a_database_a_short_address_of_af_says_what_is_missing(make: Make) -> None:
    connector = make(database="")
    (sample,) = await connector.read([ATTRIBUTE])
    assert sample.quality == Quality.BAD_CONFIGURATION_ERROR
    with pytest.raises(ConfigError, match="database"):
        await connector.read_attributes("Boilers\\Boiler1")


async def test_a_data_server_that_is_not_there_is_refused_with_those_that_are(make: Make) -> None:
    with pytest.raises(ConfigError, match=SERVER):
        await make(data_server="OTHER").connect()


async def test_which_of_several_servers_is_meant_must_be_said(make: Make) -> None:
    two = json.dumps({"Items": [{"Name": "PI1"}, {"Name": "PI2", "IsConnected": True}]}).encode()
    with WebServer(lambda _: Reply(body=two)) as other:
        settings = {"server": other.url}
        with pytest.raises(ConfigError, match="say which: data_server: PI1, PI2"):
            await make(settings).connect()
        await make({**settings, "data_server": "pi2"}).connect()


async def test_without_a_data_archive_there_is_no_session_yet(make: Make) -> None:
    none = json.dumps({"Items": [{"Name": "PI1", "IsConnected": False}]}).encode()
    with WebServer(lambda _: Reply(body=none)) as other, pytest.raises(ConnectFailed) as caught:
        await make({"server": other.url}).connect()
    assert caught.value.retryable


def test_a_pi_address_of_the_command_line_is_an_https_address() -> None:
    settings = AsyncPIConnector.settings_of("pi://pi.plant.example:8443")
    assert AsyncPIConnector.Config.parse(settings).base_url == (
        "https://pi.plant.example:8443/piwebapi/"
    )


async def test_web_ids_made_by_the_server_are_asked_for_once(server: PiWebApi, make: Make) -> None:
    connector = make(web_ids="server")
    before = server.requests("GET points")
    for _ in range(3):
        assert await connector.read_tags([STEAM, "TEXT", "ABSENT"]) == [50000.0, "läuft ✓", None]
    assert server.requests("GET points") == before + 2 + 3  # what is not there may come


async def test_a_point_that_is_forgotten_while_another_is_looked_for_is_still_told(
    make: Make,
) -> None:
    """Another output has just heard that it is gone, or there are more than are remembered."""
    asked, forgotten = threading.Event(), threading.Event()

    def answer(seen: Seen) -> Reply:
        if b"%5CB" in seen.body:
            asked.set()
            assert forgotten.wait(60)
        found = {"Status": 200, "Content": {"WebId": "F1DPx", "PointType": "Float64"}}
        return Reply(207, json.dumps(dict.fromkeys(json.loads(seen.body), found)).encode())

    with liar(answer) as settings:
        streams = make(settings)._streams
        one, other = f"\\\\{SERVER}\\A", f"\\\\{SERVER}\\B"
        await streams.about([one])
        looking = asyncio.create_task(streams.about([one, other]))
        try:
            await asyncio.to_thread(asked.wait, 60)
            streams.forget(one)
        finally:
            forgotten.set()
        found = await looking
    assert {path: about.type for path, about in found.items()} == {one: "Float64", other: "Float64"}


async def test_a_point_that_was_made_anew_is_found_again(server: PiWebApi, make: Make) -> None:
    connector, name = make(web_ids="server"), current_point(server, 1.0)
    assert await connector.read_tag(name) == 1.0
    server.delete(name)
    server.create(name)
    server.set(name, 2.0)
    with pytest.raises(TagNotFound):
        await connector.read_tag(name)
    assert await connector.read_tag(name) == 2.0


@pytest.mark.parametrize(
    "name", ["../../system", "a?path=x&b", "a#b", "%2e%2e/system", "", "x" * 3000, "*", "a\nb", "'"]
)
async def test_a_hostile_name_is_only_a_name(name: str, server: PiWebApi, make: Make) -> None:
    before = server.requests("GET system")
    (sample,) = await make().read([name])
    assert is_bad(sample.quality)
    assert server.requests("GET system") == before


@pytest.mark.parametrize("web_ids", ["client", "server"])
async def test_points_and_assets_are_browsed(web_ids: str, make: Make) -> None:
    connector = make(web_ids=web_ids)
    found = {f.address: f async for f in connector.browse("BA:*")}
    assert found[STEAM].unit == "lb/hr"
    assert found[STEAM].description == "Steam flow to header"
    below = [f async for f in connector.browse("\\", depth=3)]
    assert [f.path for f in below] == [
        "Boilers", "Boilers/Boiler1", "Boilers/Boiler1/Steam Flow",
        "Boilers/Boiler1/Manufacturer", "Boilers/Boiler1/Rated Pressure", "Boilers/Boiler1/Load",
    ]  # fmt: skip
    assert [f.writable for f in below] == [False, False, True, False, False, False]
    assert await connector.read_tag(below[2].address) == 50000.0


def create_many(server: PiWebApi, prefix: str, count: int) -> list[str]:
    names = [f"{prefix}{number:04d}" for number in range(count)]
    base = server.open()
    base.begin()
    for name in names:
        base.create(name)
    base.commit()
    base.close()
    return names


async def test_more_points_than_a_page_are_all_found(server: PiWebApi, make: Make) -> None:
    names = create_many(server, "MANY.", 2003)
    found = await first_of(make().browse("MANY."), 5000)
    assert [f.name for f in found] == names


async def test_a_browse_that_finds_too_much_says_that_there_is_more(
    server: PiWebApi, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_PAGE", 2)
    monkeypatch.setattr(browsing, "_MOST_FOUND", 4)
    create_many(server, "FOUR.", 4)
    assert len([f async for f in make().browse("FOUR.")]) == 4
    names = create_many(server, "FIVE.", 5)
    with pytest.raises(
        RequestFailed, match=r"browse FIVE\.\*: more than 4; .* 'FIVE\.0003'"
    ) as caught:
        [f async for f in make().browse("FIVE.")]
    assert "narrower" in caught.value.hint
    browsed = make().browse("FIVE.")
    assert [(await anext(browsed)).name for _ in range(4)] == names[:4], "what was found has come"
    with pytest.raises(RequestFailed):
        await anext(browsed)
    monkeypatch.setattr(browsing, "_MOST_FOUND", 2)
    with pytest.raises(RequestFailed, match="more than 2; "):  # attributes of an element
        [f async for f in make().browse("\\", depth=3)]


# ---- logging in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "keys"),
    [
        ("bearer", {"token": TOKEN}),
        (
            "negotiate",
            {"authentication": "negotiate", "username": f"PLANT\\{USER}", "password": PASSWORD},
        ),
        ("anonymous", {}),
    ],
)  # fmt: skip
async def test_each_way_of_logging_in_works(auth: str, keys: dict[str, Any], make: Make) -> None:
    with PiWebApi(auth=auth) as server:
        server.create("A")
        server.set("A", 1.0)
        connector = make({"server": server.url, **keys})
        assert await connector.read_tag("A") == 1.0
        await connector.write("A", 2.0)
        assert await asyncio.gather(*(connector.read_tag("A") for _ in range(5))) == [2.0] * 5
        health = await connector.check()
        assert health.ok
        assert "PI Web API 2023" in health.detail


@pytest.mark.parametrize(
    ("auth", "keys"),
    [
        ("bearer", {"token": "wrong-canary-0815"}),
        (
            "negotiate",
            {"authentication": "negotiate", "username": USER, "password": "wrong-canary"},
        ),
        ("negotiate", {"username": USER, "password": "wrong-canary"}),
        ("basic", {"username": USER, "password": "wrong-canary"}),
        ("basic", {}),
    ],
)  # fmt: skip
async def test_a_wrong_log_in_is_refused_and_waits_for_a_person(
    auth: str, keys: dict[str, Any], make: Make
) -> None:
    with PiWebApi(auth=auth) as server:
        connector = make({"server": server.url, **keys})
        with pytest.raises(AuthFailed):
            await connector.connect()
        assert connector.state is State.FAILED


# ---- the blocking face ------------------------------------------------------------------------


def test_the_blocking_face_does_what_the_guide_shows(server: PiWebApi, context: Context) -> None:
    with PIConnector(server.config, context=context) as pi:
        assert pi.read_tag("SETPOINT") == 480.0
        assert pi.read_tags([STEAM, "TEXT"]) == [50000.0, "läuft ✓"]
        assert [f.name for f in pi.browse("SETP")] == ["SETPOINT"]
